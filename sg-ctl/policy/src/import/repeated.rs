//! Rules that are stated more than once, by two dumps or because Terraform shows a rule inline and
//! as a resource: such are one, with what all say of it.

use std::collections::HashMap;

use super::draft::Rule;
use crate::model::{self, Direction, RuleId, SecurityGroup};
use crate::text::report::Problems;

/// The rules so far.
#[derive(Default)]
pub(super) struct Known {
    /// Which rule has an id.
    owners: HashMap<RuleId, RuleId>,
    /// Where the rule stands that these derived ids are of.
    places: HashMap<RuleId, usize>,
}

/// Adds a rule to a group, or what it says to the same rule there.
pub(super) fn add(
    group: &mut SecurityGroup,
    mut made: model::Rule,
    draft: &Rule,
    known: &mut Known,
    problems: &mut Problems<'_>,
) {
    // Derived of the group and all that makes a rule the same.
    let identity = made.id.clone();
    if let Some(given) = &draft.id {
        match given.parse::<RuleId>() {
            Ok(id) => made.id = id,
            Err(error) => {
                let help = "the rule gets an id of its own";
                problems.warning(&draft.at, error.to_string(), help);
            }
        }
    }
    let rules = match draft.direction {
        Direction::Inbound => &mut group.inbound,
        Direction::Outbound => &mut group.outbound,
    };
    let place = known.places.get(&identity);
    let Some(same) = place.and_then(|place| rules.get_mut(*place)) else {
        let owner = known.owners.entry(made.id.clone());
        if *owner.or_insert_with(|| identity.clone()) != identity {
            let message = format!("two rules have the id {}", made.id);
            problems.warning(&draft.at, message, "this one gets an id of its own");
            made.id = identity.clone();
        }
        known.places.insert(identity, rules.len());
        rules.push(made);
        return;
    };
    if same.id == identity && made.id != identity {
        known.owners.insert(made.id.clone(), identity);
        same.id = made.id;
    }
    if same.description.is_empty() {
        same.description = made.description;
    } else if !made.description.is_empty() && same.description != made.description {
        let message = format!("{} {} is stated twice", made.service, made.peer);
        let help = format!("the description `{}` is kept", same.description);
        problems.warning(&draft.at, message, help);
    }
}
