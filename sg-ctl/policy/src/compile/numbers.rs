//! Rule numbers: how flows, events and images name a rule, in 31 bits, long after it is gone.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize, Serializer};
use sg_common::image::Cell;

use crate::model::{Direction, GroupId, Peer, Rule, RuleId, SecurityGroup, Service};

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

impl RuleNumbers {
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
