//! Rule numbers: how flows, events and images name a rule, in 31 bits, long after it is gone.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize, Serializer};
use sg_common::image::Cell;

use super::Image;
use crate::model::{Direction, GroupId, Model, Peer, Rule, RuleId, SecurityGroup, Service};

/// What a rule number stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRecord {
    /// Name of the group.
    pub group: String,
    /// Id of the group.
    pub group_id: GroupId,
    /// Id of the rule.
    pub rule_id: RuleId,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// Protocol and ports.
    pub service: Service,
    /// From or to whom.
    pub peer: Peer,
    /// Free text, possibly empty.
    pub description: String,
}

/// Numbers of rules, given once and never again: a flow may hold one for days.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "BTreeMap<u32, RuleRecord>")]
pub struct RuleNumbers {
    records: BTreeMap<u32, RuleRecord>,
    numbers: HashMap<(GroupId, RuleId), u32>,
}

impl From<BTreeMap<u32, RuleRecord>> for RuleNumbers {
    fn from(records: BTreeMap<u32, RuleRecord>) -> Self {
        let numbers = records
            .iter()
            .map(|(number, record)| ((record.group_id.clone(), record.rule_id.clone()), *number))
            .collect();
        Self { records, numbers }
    }
}

impl Serialize for RuleNumbers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.records.serialize(serializer)
    }
}

/// The most rules that are remembered after they are gone: they are for flows that a rule which is gone
/// once admitted, and whoever may change rules must not fill a host's memory with them.
const MOST_GONE: usize = 65_536;

impl RuleNumbers {
    /// Forgets the oldest numbers of rules that are gone, neither in an image nor in a model, when there
    /// are more than 65 536 of them; no number is given out again for that.
    pub fn forget_gone<'m>(&mut self, image: &Image, models: impl IntoIterator<Item = &'m Model>) {
        if self.records.len() <= MOST_GONE {
            return;
        }
        let in_force: HashSet<u32> = image.rules().iter().map(|key| key.rule).collect();
        let mut known = HashSet::new();
        for group in models.into_iter().flat_map(|model| model.groups.values()) {
            for rule in group.inbound.iter().chain(&group.outbound) {
                known.insert((&group.id, &rule.id));
            }
        }
        self.forget_beyond(MOST_GONE, |number, record| {
            in_force.contains(&number) || known.contains(&(&record.group_id, &record.rule_id))
        });
    }

    /// `is_there` says which numbers are not gone.
    fn forget_beyond(&mut self, most: usize, is_there: impl Fn(u32, &RuleRecord) -> bool) {
        // The greatest stays, for the next number follows it.
        let last = self.records.last_key_value().map(|(number, _)| *number);
        let gone = self
            .records
            .iter()
            .filter(|(number, record)| Some(**number) != last && !is_there(**number, record));
        let gone: Vec<u32> = gone.map(|(number, _)| *number).collect();
        for number in &gone[..gone.len().saturating_sub(most)] {
            if let Some(record) = self.records.remove(number) {
                self.numbers.remove(&(record.group_id, record.rule_id));
            }
        }
    }

    /// The rule behind a number.
    pub fn rule(&self, number: u32) -> Option<&RuleRecord> {
        self.records.get(&number)
    }

    /// The number of a rule of a group, if it has one.
    pub fn find(&self, group: &GroupId, rule: &RuleId) -> Option<u32> {
        self.numbers.get(&(group.clone(), rule.clone())).copied()
    }

    /// The number of a rule, a new one if it has none; `None` when all are given out.
    pub(super) fn number(
        &mut self,
        group: &SecurityGroup,
        direction: Direction,
        rule: &Rule,
    ) -> Option<u32> {
        let number = if let Some(known) = self.find(&group.id, &rule.id) {
            known
        } else {
            let last = self.records.last_key_value();
            let next = last.map_or(1, |(number, _)| number + 1);
            if next > Cell::MAX_RULE {
                return None;
            }
            self.numbers
                .insert((group.id.clone(), rule.id.clone()), next);
            next
        };
        // Descriptions may change without the rule becoming another.
        self.records.insert(
            number,
            RuleRecord {
                group: group.name.clone(),
                group_id: group.id.clone(),
                rule_id: rule.id.clone(),
                direction: direction.name().to_owned(),
                service: rule.service,
                peer: rule.peer.clone(),
                description: rule.description.clone(),
            },
        );
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Transport;

    #[test]
    fn the_oldest_rules_that_are_gone_are_forgotten_and_no_number_comes_again() {
        let group = SecurityGroup::built_in();
        let rules: Vec<Rule> = (1..=6)
            .map(|port| {
                let service = Service::Ports {
                    protocol: Transport::Tcp,
                    from: port,
                    to: port,
                };
                let peer = "0.0.0.0/0".parse().expect("a peer");
                Rule::new(&group.id, Direction::Inbound, service, peer)
            })
            .collect();
        let mut numbers = RuleNumbers::default();
        let number = |numbers: &mut RuleNumbers, rule: usize| {
            numbers.number(&group, Direction::Inbound, &rules[rule])
        };
        let given: Vec<_> = (0..5)
            .filter_map(|rule| number(&mut numbers, rule))
            .collect();
        assert_eq!(given, [1, 2, 3, 4, 5]);
        // Of five, the second is in force; two that are gone stay, and the last given.
        numbers.forget_beyond(2, |number, _| number == 2);
        let left: Vec<u32> = numbers.records.keys().copied().collect();
        assert_eq!(left, [2, 3, 4, 5]);
        assert_eq!(number(&mut numbers, 0), Some(6), "as a new one");
        assert_eq!(number(&mut numbers, 2), Some(3), "as before");
    }
}
