//! Fragments: what the first one of a datagram leaves to the later ones.

use super::Scratch;
use crate::datapath::Datapath;
use crate::ends::Ends;
use crate::flow::{FRAGMENT_SECONDS, FragmentEntry, FragmentKey};
use crate::outcome::Outcome;
use crate::parse::Parsed;
use crate::policy::{NO_REPLY, Question};
use crate::reason::Reason;
use crate::subject::service_of_later;

#[inline(always)]
fn fragment_key<D: Datapath>(datapath: &D, parsed: &Parsed) -> FragmentKey {
    FragmentKey {
        src: parsed.src,
        dst: parsed.dst,
        id: parsed.fragment_id,
        zone: datapath.zone() as u16,
        vlan: parsed.vlan.ids(),
        protocol: if parsed.src.is_ipv4() {
            parsed.protocol
        } else {
            0
        },
        direction: datapath.direction() as u8,
        pad: [0; 4],
    }
}

/// A first fragment that passes: leaves word for the later ones.
#[inline(never)]
pub(super) fn first_fragment<D: Datapath>(datapath: &D, scratch: &mut Scratch, rule: u32) {
    scratch.fragment = fragment_key(datapath, &scratch.parsed);
    let entry = FragmentEntry {
        expires: datapath.now() + FRAGMENT_SECONDS * datapath.hz(),
        rule,
        pad: 0,
    };
    datapath.remember_fragment(&scratch.fragment, &entry);
}

/// A fragment without ports: it follows its first one, or needs a rule without ports.
#[inline(never)]
pub(super) fn later_fragment<D: Datapath>(datapath: &D, scratch: &mut Scratch) -> Outcome {
    scratch.fragment = fragment_key(datapath, &scratch.parsed);
    if let Some(first) = datapath.fragment(&scratch.fragment)
        && datapath.now() <= first.expires
    {
        return Outcome::new(Reason::Fragment, first.rule);
    }
    let direction = datapath.direction();
    scratch.question = Question {
        remote: Ends::of(&scratch.parsed, direction).remote,
        zone: datapath.zone(),
        direction: direction as u32,
        service: service_of_later(&scratch.parsed),
        reply_service: NO_REPLY,
    };
    let outcome = datapath.ask(&scratch.question);
    match outcome.reason() {
        Reason::NoRule => Outcome::new(Reason::FragmentUnknown, 0),
        _ if outcome.is_pass() => Outcome::new(Reason::Fragment, outcome.rule()),
        _ => outcome,
    }
}
