//! One written rule: expanded to one rule for each source or destination, as AWS does.

use std::collections::BTreeMap;

use super::decode::{Field, Located};
use super::error::{At, Problems};
use super::names;
use super::peer::PeerText;
use super::service;
use super::syntax;
use crate::model::{Direction, Peer, RuleId, Service};

/// A rule whose peer is not resolved yet.
#[derive(Debug)]
pub(super) struct Draft {
    /// The id given, if any.
    pub(super) id: Option<Located<RuleId>>,
    /// Protocol and ports.
    pub(super) service: Service,
    /// The peer as written.
    pub(super) peer: Located<Peer>,
    /// Free text, possibly empty.
    pub(super) description: String,
    /// Free key-value pairs.
    pub(super) tags: BTreeMap<String, String>,
    /// The rule as written.
    pub(super) at: At,
}

/// The words of one direction, and those of the other that are refused.
struct Words {
    one: &'static str,
    several: &'static str,
    example: &'static str,
    refused: &'static str,
}

/// Expands `rule`; what is wrong with it is reported and yields nothing.
pub(super) fn expand(
    rule: Located<syntax::Rule>,
    direction: Direction,
    problems: &mut Problems<'_>,
) -> Vec<Draft> {
    let service = service::service(&rule, problems);
    let Located { value: keys, at } = rule;
    let description = names::description(keys.description.given(), problems);
    let tags = names::tags(keys.tags.into_given(), problems);
    let id = names::id::<RuleId>(keys.id.given(), problems);
    let (here, elsewhere, words) = match direction {
        Direction::Inbound => (
            (keys.source, keys.sources),
            (keys.destination, keys.destinations),
            Words {
                one: "source",
                several: "sources",
                example: "write `source: 203.0.113.0/24`, `source: sg:NAME` or `source: pl:NAME`",
                refused: "an inbound rule has no destination: that is always the protected side",
            },
        ),
        Direction::Outbound => (
            (keys.destination, keys.destinations),
            (keys.source, keys.sources),
            Words {
                one: "destination",
                several: "destinations",
                example: "write `destination: 203.0.113.0/24`, `destination: sg:NAME` or \
                          `destination: pl:NAME`",
                refused: "an outbound rule has no source: that is always the protected side",
            },
        ),
    };
    if let Some(wrong) = place_of(&elsewhere) {
        let help = format!("write `{}` or `{}`", words.one, words.several);
        problems.error(wrong, words.refused, help);
        return Vec::new();
    }
    let peers = peers(here, &at, &words, problems);
    if let Some(id) = &id
        && peers.len() > 1
    {
        let message = format!("an id names one rule, but this is {} rules", peers.len());
        problems.error(
            &id.at,
            message,
            "write one rule for each, with an id of its own",
        );
        return Vec::new();
    }
    let Some(service) = service else {
        return Vec::new();
    };
    let draft = |peer: Located<PeerText>| Draft {
        id: id.clone(),
        service,
        peer: Located {
            value: peer.value.0,
            at: peer.at,
        },
        description: description.clone(),
        tags: tags.clone(),
        at: at.clone(),
    };
    peers.into_iter().map(draft).collect()
}

/// One peer, several peers: both keys of one direction.
type Keys = (Field<Located<PeerText>>, Field<Vec<Located<PeerText>>>);

/// Where one of the keys stands, if one does.
fn place_of((one, several): &Keys) -> Option<&At> {
    one.given()
        .or_else(|| several.given()?.first())
        .map(|peer| &peer.at)
}

/// The peers that the keys name.
fn peers(
    keys: Keys,
    at: &At,
    words: &Words,
    problems: &mut Problems<'_>,
) -> Vec<Located<PeerText>> {
    let Words {
        one,
        several,
        example,
        ..
    } = words;
    match keys {
        (Field::Given(_), Field::Given(list)) => {
            let place = list.first().map_or(at, |peer| &peer.at);
            let help = format!("put everything into `{several}`");
            problems.error(
                place,
                format!("both `{one}` and `{several}` are given"),
                help,
            );
            Vec::new()
        }
        (Field::Given(peer), _) => vec![peer],
        (_, Field::Given(list)) => {
            if list.is_empty() {
                problems.error(at, format!("`{several}` is empty"), *example);
            }
            list
        }
        (Field::Absent, Field::Absent) => {
            problems.error(at, format!("the rule has no {one}"), *example);
            Vec::new()
        }
        (Field::Refused, _) | (_, Field::Refused) => Vec::new(),
    }
}
