//! Rules in force, with what they have admitted.

use std::collections::BTreeMap;

use comfy_table::Cell;
use schemars::JsonSchema;
use serde::Serialize;
use sg_common::counters::RuleKey;
use sg_ctl::host::RuleCount;
use sg_policy::compile::RuleNumbers;
use sg_policy::model::{InterfaceSpec, MergedRule, Model, SecurityGroup, Transport};

use crate::verb::output::Tone;
use crate::verb::output::rule::RuleView;
use crate::verb::output::table::Table;
use crate::verb::output::time::{WallClock, span};

/// A rule of an interface.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CountedRuleView<'a> {
    interface: &'a str,
    #[serde(flatten)]
    rule: RuleView<'a>,
    /// The protocols whose flows are not tracked, and so not counted, when the rule admits them.
    untracked: Vec<Transport>,
    counters: Option<CountersView>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct CountersView {
    new_flows: u64,
    packets: u64,
    bytes: u64,
    last_hit: Option<String>,
    since: String,
    #[serde(skip)]
    ago: Option<String>,
    #[serde(skip)]
    counted: String,
}

impl CountersView {
    fn new(count: &RuleCount, clock: &WallClock) -> Self {
        Self {
            new_flows: count.flows,
            packets: count.packets,
            bytes: count.bytes,
            last_hit: count.last_hit.map(|ago| clock.ago_text(ago)),
            since: clock.ago_text(count.counted),
            ago: count.last_hit.map(span),
            counted: span(count.counted),
        }
    }
}

impl<'a> CountedRuleView<'a> {
    /// The rules that an interface has by the groups it carries, in the order that picks the deciding
    /// one, of those groups that are `wanted`; the interface is a name and a zone.
    pub(crate) fn of_interface(
        (interface, zone): (&'a str, u32),
        (model, groups): (&'a Model, &[String]),
        wanted: impl Fn(&SecurityGroup) -> bool,
        numbers: &RuleNumbers,
        counts: &BTreeMap<RuleKey, RuleCount>,
        clock: &WallClock,
    ) -> Vec<Self> {
        let carried = InterfaceSpec {
            groups: groups.to_vec(),
            ..InterfaceSpec::default()
        };
        let rules = model.merged_rules(&carried).into_iter();
        let wanted = rules.filter(|rule| wanted(rule.group));
        wanted
            .map(|merged: MergedRule<'_>| {
                let rule = RuleView::numbered(merged.group, merged.direction, merged.rule, numbers);
                let rule_key = rule.number().map(|rule| RuleKey { zone, rule });
                let count = rule_key.and_then(|key| counts.get(&key));
                Self {
                    interface,
                    rule,
                    untracked: merged.untracked,
                    counters: count.map(|count| CountersView::new(count, clock)),
                }
            })
            .collect()
    }

    /// The new flows, or why there are none.
    fn new_flows(&self, counters: &CountersView) -> Cell {
        if counters.new_flows == 0 && !self.untracked.is_empty() {
            return Cell::new("untracked");
        }
        Cell::new(counters.new_flows)
    }

    /// Whether it is counted and has never decided on a packet.
    pub(crate) fn is_never_hit(&self) -> bool {
        let counters = self.counters.as_ref();
        counters.is_some_and(|counters| counters.last_hit.is_none())
    }

    /// The table of rules, by interface and direction.
    pub(crate) fn table(rules: &[Self]) -> Table {
        let mut table = Table::new(&[
            "INTERFACE",
            "DIRECTION",
            "PROTOCOL",
            "PORTS",
            "PEER",
            ">NEW-FLOWS",
            ">PACKETS",
            ">BYTES",
            ">LAST-HIT",
            ">COUNTED",
            "GROUP",
            "RULE",
            "DESCRIPTION",
        ])
        .giving_way(&[
            "DESCRIPTION",
            "RULE",
            "COUNTED",
            "BYTES",
            "GROUP",
            "LAST-HIT",
            "INTERFACE",
        ]);
        for view in rules {
            let Self {
                interface,
                rule,
                counters,
                ..
            } = view;
            let mut cells = vec![Cell::new(interface)];
            cells.extend(rule.what().map(Cell::new));
            cells.extend(match counters {
                Some(counters) => [
                    view.new_flows(counters),
                    Cell::new(counters.packets),
                    Cell::new(counters.bytes),
                    match &counters.ago {
                        Some(ago) => Cell::new(format!("{ago} ago")),
                        None => Tone::Notable.cell("never"),
                    },
                    Cell::new(format!("for {}", counters.counted)),
                ],
                None => ["-"; 5].map(Cell::new),
            });
            let [group, id, description] = rule.whose();
            cells.extend([
                Cell::new(group),
                Tone::Quiet.cell(id),
                Cell::new(description),
            ]);
            table.push(cells);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sg_policy::compile::{ZonePolicy, compile};
    use sg_policy::model::Model;

    use super::*;

    const RULES: &str = "
        security_groups:
          web:
            inbound: [{ type: HTTPS, source: 0.0.0.0/0 }, { type: HTTP, source: 0.0.0.0/0 }]
            outbound: [{ type: SSH, destination: 10.0.0.0/8 }]
    ";

    fn model() -> Model {
        let source = sg_policy::rulefile::Source {
            name: "rules.yaml".to_owned(),
            text: RULES.to_owned(),
        };
        sg_policy::rulefile::read(&[source]).expect("rules").model
    }

    #[test]
    fn rules_show_what_they_admitted_and_which_never_did() {
        let model = model();
        let mut numbers = RuleNumbers::default();
        let zone = ZonePolicy {
            zone: 3,
            groups: vec!["web".to_owned()],
            addresses: vec![],
        };
        let image = compile(&model, &[zone], &mut numbers, 1).expect("rules");
        let mut counts = BTreeMap::new();
        // The last one is beyond the room.
        for (key, last_hit) in image.rules().iter().zip([Some(5), None]) {
            let seconds = Duration::from_secs;
            let hit = u64::from(last_hit.is_some());
            let count = RuleCount {
                flows: 2 * hit,
                packets: 12 * hit,
                bytes: 900 * hit,
                last_hit: last_hit.map(seconds),
                counted: seconds(60),
            };
            counts.insert(*key, count);
        }
        let clock = WallClock::now().expect("clock");
        let view = |zone| {
            let groups = ["web".to_owned()];
            let carried = (&model, &groups[..]);
            CountedRuleView::of_interface(
                ("eth0", zone),
                carried,
                |_| true,
                &numbers,
                &counts,
                &clock,
            )
        };
        let table = CountedRuleView::table(&view(3)).to_string();
        let plain = anstream::adapter::strip_str(&table).to_string();
        let rows: Vec<Vec<&str>> = plain
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().skip(1).collect())
            .collect();
        let [https, http, ssh] = &rows[..] else {
            panic!("{plain}");
        };
        let counters = |row: &[&str]| row[4..9].join(" ");
        assert_eq!(https[..3], ["inbound", "tcp", "443"]);
        assert_eq!(counters(https), "2 12 900 5s ago");
        assert_eq!(counters(http), "0 0 0 never for");
        assert_eq!(counters(ssh), "- - - - -");
        let json = serde_json::to_value(view(3)).expect("JSON");
        assert_eq!(json[0]["interface"], "eth0");
        assert_eq!(json[0]["from_port"], 443);
        assert_eq!(json[0]["counters"]["new_flows"], 2);
        assert_eq!(json[1]["counters"]["last_hit"], serde_json::Value::Null);
        assert!(json[1]["counters"]["since"].is_string());
        assert_eq!(json[2]["counters"], serde_json::Value::Null);
        let never: Vec<_> = view(3).iter().map(CountedRuleView::is_never_hit).collect();
        assert_eq!(never, [false, true, false]);
        // Another interface has counters of its own.
        assert!(view(4).iter().all(|rule| rule.counters.is_none()));
    }

    #[test]
    fn where_flows_are_not_tracked_there_are_none_to_count() {
        let text = "security_groups: {open: {inbound: [{type: HTTPS, source: 0.0.0.0/0}]}}";
        let source = sg_policy::rulefile::Source {
            name: "open.yaml".to_owned(),
            text: text.to_owned(),
        };
        let model = sg_policy::rulefile::read(&[source]).expect("rules").model;
        let groups = ["open".to_owned()];
        let zone = ZonePolicy {
            zone: 0,
            groups: groups.to_vec(),
            addresses: vec![],
        };
        let mut numbers = RuleNumbers::default();
        let image = compile(&model, &[zone], &mut numbers, 1).expect("rules");
        let count = |flows| RuleCount {
            flows,
            packets: 7,
            bytes: 700,
            last_hit: None,
            counted: Duration::from_secs(1),
        };
        let clock = WallClock::now().expect("clock");
        let shown = |flows| {
            let counts = image
                .rules()
                .iter()
                .map(|key| (*key, count(flows)))
                .collect();
            let carried = (&model, &groups[..]);
            let eth0 = ("eth0", 0);
            let views =
                CountedRuleView::of_interface(eth0, carried, |_| true, &numbers, &counts, &clock);
            let json = serde_json::to_value(&views).expect("JSON");
            assert_eq!(json[0]["untracked"], serde_json::json!(["tcp"]));
            CountedRuleView::table(&views)
                .to_string()
                .contains("untracked")
        };
        assert!(shown(0));
        assert!(!shown(1), "some of before are there still");
    }
}
