//! What stands behind the numbers in flows and events.

use std::collections::BTreeMap;

use sg_common::event::Event;
use sg_policy::compile::RuleNumbers;

pub(crate) use sg_ctl::record::rule::RuleRef;

/// The names of rules and interfaces.
#[derive(Debug, Default)]
pub(crate) struct Names {
    rules: RuleNumbers,
    interfaces: BTreeMap<u32, (String, u32)>,
}

impl Names {
    /// Names for rule numbers, and for zones: name and index of the interface.
    pub(crate) const fn new(rules: RuleNumbers, interfaces: BTreeMap<u32, (String, u32)>) -> Self {
        Self { rules, interfaces }
    }

    /// The interface that had a zone when it had the index `ifindex`: zones are given again.
    pub(crate) fn interface(&self, zone: u32, ifindex: u32) -> Option<&str> {
        let (name, index) = self.interfaces.get(&zone)?;
        (*index == ifindex).then_some(name)
    }

    /// The interface that has a zone.
    pub(crate) fn of_zone(&self, zone: u32) -> Option<&str> {
        self.interfaces.get(&zone).map(|(name, _)| name.as_str())
    }

    /// Whether there is a name for everything in an event.
    pub(crate) fn know(&self, event: &Event) -> bool {
        let zone = u32::from(event.zone);
        self.interface(zone, event.ifindex).is_some()
            && (event.rule == 0 || self.rules.rule(event.rule).is_some())
    }

    /// The rule with a number; `None` for 0, which stands for no rule.
    pub(crate) fn rule(&self, number: u32) -> Option<RuleRef> {
        RuleRef::find(number, &self.rules)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use sg_policy::compile::RuleRecord;
    use sg_policy::model::{Peer, Service};

    use super::*;

    /// Rule 1 is one of group `web`, rule 2 one of `web tier`.
    pub(crate) fn numbers() -> RuleNumbers {
        let record = |group: &str| RuleRecord {
            group: group.to_owned(),
            group_id: "sg-0123456789abcdef0".parse().expect("id"),
            rule_id: "sgr-0123456789abcdef0".parse().expect("id"),
            direction: "inbound".to_owned(),
            service: Service::protocol(6),
            peer: "0.0.0.0/0".parse::<Peer>().expect("peer"),
            description: String::new(),
        };
        BTreeMap::from([(1, record("web")), (2, record("web tier"))]).into()
    }

    /// The same rules; zone 0 is eth0 with index 2.
    pub(crate) fn names() -> Names {
        Names::new(numbers(), BTreeMap::from([(0, ("eth0".to_owned(), 2))]))
    }

    #[test]
    fn rules_are_named_by_id_and_group() {
        let text = |number| names().rule(number).map(|rule| rule.to_string());
        assert_eq!(text(0), None);
        assert_eq!(
            text(1).as_deref(),
            Some("rule=sgr-0123456789abcdef0 group=web")
        );
        assert_eq!(
            text(2).as_deref(),
            Some("rule=sgr-0123456789abcdef0 group=\"web tier\"")
        );
        assert_eq!(text(3).as_deref(), Some("rule=#3"));
    }
}
