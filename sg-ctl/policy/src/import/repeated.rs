//! Rules that are stated more than once, by two dumps or because Terraform shows a rule inline and
//! as a resource: such are one, with what all say of it.

use std::collections::HashMap;

use super::draft::Rule;
use crate::model::{self, Direction, RuleId, SecurityGroup};
use crate::text::report::Problems;

/// The rules so far: a file may state a million, so each takes little room.
#[derive(Default)]
pub(super) struct Known {
    /// Of which rule an id is that a file gives.
    owners: HashMap<Digits, Digits>,
    /// The rules that these derived ids are of.
    places: HashMap<Digits, Place>,
}

/// Where a rule stands in its group.
struct Place {
    index: u32,
    /// Whether it had the derived id at first.
    is_derived: bool,
}

/// The digits of an id, at most 17, and how many there are.
type Digits = [u8; 10];

fn digits(id: &RuleId) -> Digits {
    let text = id.as_str().strip_prefix("sgr-").unwrap_or_default();
    let value = u128::from_str_radix(text, 16).unwrap_or_default();
    let mut digits = Digits::default();
    digits[0] = text.len() as u8;
    digits[1..].copy_from_slice(&value.to_be_bytes()[7..]);
    digits
}

impl Known {
    /// Whether an id is free, or that of the rule with this derived one, whose it is then.
    fn take(&mut self, id: &RuleId, identity: &RuleId) -> bool {
        let (given, derived) = (digits(id), digits(identity));
        if given == derived {
            return self
                .owners
                .get(&given)
                .is_none_or(|owner| *owner == derived);
        }
        let is_derived = |place: &Place| place.is_derived;
        if self.places.get(&given).is_some_and(is_derived) {
            return false;
        }
        *self.owners.entry(given).or_insert(derived) == derived
    }
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
    let place = known.places.get(&digits(&identity));
    let same = place.and_then(|place| rules.get_mut(place.index as usize));
    let Some(same) = same else {
        let is_derived = made.id == identity;
        if !known.take(&made.id, &identity) {
            let message = format!("two rules have the id {}", made.id);
            problems.warning(&draft.at, message, "this one gets an id of its own");
            made.id = identity.clone();
        }
        let index = rules.len() as u32;
        let place = Place { index, is_derived };
        known.places.insert(digits(&identity), place);
        rules.push(made);
        return;
    };
    if same.id == identity && made.id != identity {
        known.owners.insert(digits(&made.id), digits(&identity));
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
