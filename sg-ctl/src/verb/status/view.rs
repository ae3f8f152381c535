//! What is guarded, and whether it is in order.

use std::cmp::Reverse;

use comfy_table::Cell;
use schemars::JsonSchema;
use serde::Serialize;
use sg_ctl::host::dataplane::{FlowTableInfo, HookKind, RuleCounterInfo};
use sg_ctl::host::{Guard, InterfaceStatus, Mode, Occupancy, Status, Suppressed, Traffic};
use sg_ctl::vpc::follow::Health;
use sg_policy::model::{LogMode, Side};

use crate::verb::output::deadline::DeadlineView;
use crate::verb::output::problem::{Problem, problems};
use crate::verb::output::state::State;
use crate::verb::output::table::{Table, or_dash};
use crate::verb::output::{Tone, word};

/// Drop reasons that the table names.
const TOP_REASONS: usize = 3;

/// The answer of `status`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StatusView<'a> {
    generation: u64,
    build: &'a str,
    image: Option<ImageView>,
    flow_table: Option<TableView<'a>>,
    rule_counters: Option<RuleCounterInfo>,
    pending: bool,
    under_way: bool,
    problems: Vec<Problem<'a>>,
    interfaces: Vec<InterfaceView<'a>>,
    not_attached: &'a [String],
}

/// `status` with the VPC, as JSON.
#[derive(Serialize, JsonSchema)]
pub(crate) struct WithVpc<'a> {
    #[serde(flatten)]
    pub(crate) status: &'a StatusView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vpc: Option<&'a Health>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ImageView {
    generation: u64,
    kernel_bytes: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
struct TableView<'a> {
    #[serde(flatten)]
    info: FlowTableInfo,
    #[serde(flatten)]
    occupancy: Option<&'a Occupancy>,
}

impl TableView<'_> {
    fn text(&self) -> String {
        match self.occupancy {
            None => flow_table_text(&self.info),
            Some(occupancy) => format!(
                "flow table: {occupancy}, {} KiB of kernel memory\n",
                self.info.bytes.div_ceil(1024)
            ),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct InterfaceView<'a> {
    name: &'a str,
    state: State,
    mode: Mode,
    deadline: Option<DeadlineView>,
    ifindex: Option<u32>,
    zone: u32,
    side: Side,
    groups: &'a [String],
    ingress: Option<&'static str>,
    egress: Option<&'static str>,
    build: Option<&'a str>,
    programs_before: &'a [String],
    log: LogMode,
    passed: Directions,
    dropped: Directions,
    audited: Directions,
    reasons: Vec<ReasonView>,
    flow_share: u64,
    flows_per_remote: u64,
    events_lost: u64,
    events_suppressed: &'a [Suppressed],
}

/// The same of both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Directions {
    inbound: Traffic,
    outbound: Traffic,
}

impl From<[Traffic; 2]> for Directions {
    fn from([inbound, outbound]: [Traffic; 2]) -> Self {
        Self { inbound, outbound }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct ReasonView {
    #[schemars(extend("enum" = ["inbound", "outbound"]))]
    direction: &'static str,
    #[schemars(extend("enum" = ["allow", "deny"]))]
    verdict: &'static str,
    reason: &'static str,
    packets: u64,
    bytes: u64,
}

/// One line about the flow table.
pub(crate) fn flow_table_text(table: &FlowTableInfo) -> String {
    format!(
        "flow table: room for {} flows, {} KiB of kernel memory\n",
        table.flows,
        table.bytes.div_ceil(1024)
    )
}

impl<'a> StatusView<'a> {
    /// The view of what is in force.
    pub(crate) fn new(status: &'a Status) -> Self {
        Self {
            generation: status.generation,
            build: &status.build,
            image: status.image.as_ref().map(|image| ImageView {
                generation: image.generation,
                kernel_bytes: image.bytes,
            }),
            flow_table: status.flow_table.map(|info| TableView {
                info,
                occupancy: status.occupancy.as_ref(),
            }),
            rule_counters: status.rule_counters,
            pending: status.pending,
            under_way: status.under_way,
            problems: problems(status),
            interfaces: status.interfaces.iter().map(InterfaceView::new).collect(),
            not_attached: &status.not_attached,
        }
    }

    /// Whether there is anything to show in a table.
    pub(crate) const fn is_empty(&self) -> bool {
        self.interfaces.is_empty()
    }

    /// Takes in what is not as it should be of the VPC, on a host that guards something: an
    /// administrator's machine need not follow it.
    pub(crate) fn add_problems_of(&mut self, health: &Health) {
        if !self.is_empty() {
            let of_vpc = health.problems();
            self.problems.extend(of_vpc.map(|text| Problem {
                interface: None,
                text,
            }));
        }
    }

    /// Whether anything is not as it should be.
    pub(crate) const fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Everything that is not as it should be, a line each.
    pub(crate) fn problems(&self) -> impl Iterator<Item = String> {
        self.problems.iter().map(|problem| {
            let warning = Tone::Notable.paint("warning:");
            match problem.interface {
                Some(interface) => format!("{warning} {interface}: {}", problem.text),
                None => format!("{warning} {}", problem.text),
            }
        })
    }

    /// A line each about the policy, the flow table and the counters of rules.
    pub(crate) fn policy(&self) -> String {
        let policy = match &self.image {
            Some(image) => format!(
                "policy {}, {} KiB of kernel memory\n",
                image.generation,
                image.kernel_bytes.div_ceil(1024)
            ),
            None if (self.interfaces.iter()).any(|each| each.state == State::Unreachable) => {
                "the last policy goes on, out of reach\n".to_owned()
            }
            None => "no policy is in force\n".to_owned(),
        };
        let table = self.flow_table.as_ref().map(TableView::text);
        let rules = self.rule_counters.map(|counters| {
            format!(
                "rule counters: {} of {} in use, {} KiB of kernel memory\n",
                counters.rules,
                counters.room,
                counters.bytes.div_ceil(1024)
            )
        });
        policy + &table.unwrap_or_default() + &rules.unwrap_or_default()
    }

    /// The table of interfaces.
    pub(crate) fn interfaces(&self) -> Table {
        let mut table = Table::new(&[
            "INTERFACE",
            "STATE",
            "SIDE",
            "INGRESS",
            "EGRESS",
            "LOG",
            "GROUPS",
        ])
        .giving_way(&["LOG", "EGRESS", "SIDE", "INGRESS"]);
        for interface in &self.interfaces {
            table.push([
                Cell::new(interface.name),
                interface.state.tone().cell(word(&interface.state)),
                Cell::new(word(&interface.side)),
                Cell::new(interface.ingress.unwrap_or("-")),
                Cell::new(interface.egress.unwrap_or("-")),
                Cell::new(word(&interface.log)),
                Cell::new(or_dash(&interface.groups.join(","))),
            ]);
        }
        table
    }

    /// The table of packets.
    pub(crate) fn traffic(&self) -> Table {
        let mut table = Table::new(&[
            "INTERFACE",
            ">PASSED-IN",
            ">PASSED-OUT",
            ">DROPPED-IN",
            ">DROPPED-OUT",
            ">AUDITED",
            ">EVENTS-LOST",
            ">NOT-LOGGED",
            "TOP-DROPS",
        ])
        .giving_way(&[
            "NOT-LOGGED",
            "EVENTS-LOST",
            "AUDITED",
            "TOP-DROPS",
            "PASSED-OUT",
            "DROPPED-OUT",
        ]);
        for interface in &self.interfaces {
            let Directions { inbound, outbound } = interface.audited;
            let top: Vec<_> = interface
                .top_drops()
                .into_iter()
                .map(|(reason, packets)| format!("{reason} {packets}"))
                .collect();
            table.push([
                Cell::new(interface.name),
                Cell::new(interface.passed.inbound.packets),
                Cell::new(interface.passed.outbound.packets),
                Cell::new(interface.dropped.inbound.packets),
                Cell::new(interface.dropped.outbound.packets),
                Cell::new(inbound.packets + outbound.packets),
                Cell::new(interface.events_lost),
                Cell::new(
                    interface
                        .events_suppressed
                        .iter()
                        .map(|each| each.events)
                        .sum::<u64>(),
                ),
                Cell::new(or_dash(&top.join(", "))),
            ]);
        }
        table
    }

    /// The table of every reason that there was.
    pub(crate) fn reasons(&self) -> Table {
        let mut table = Table::new(&[
            "INTERFACE",
            "DIRECTION",
            "VERDICT",
            "REASON",
            ">PACKETS",
            ">BYTES",
        ])
        .giving_way(&["BYTES", "DIRECTION"]);
        for interface in &self.interfaces {
            for view in &interface.reasons {
                table.push([
                    Cell::new(interface.name),
                    Cell::new(view.direction),
                    Cell::new(view.verdict),
                    Cell::new(view.reason),
                    Cell::new(view.packets),
                    Cell::new(view.bytes),
                ]);
            }
        }
        table
    }
}

impl<'a> InterfaceView<'a> {
    fn new(status: &'a InterfaceStatus) -> Self {
        Self {
            name: &status.name,
            state: State::of(status),
            mode: status.mode,
            deadline: status.deadline.map(DeadlineView::from),
            ifindex: status.ifindex,
            zone: status.zone,
            side: status.side,
            groups: &status.groups,
            ingress: status.ingress.map(HookKind::name),
            egress: status.egress.map(HookKind::name),
            build: status.build.as_deref(),
            programs_before: match &status.guard {
                Guard::Preempted(before) => before,
                _ => &[],
            },
            log: status.log,
            passed: status.passed.into(),
            dropped: status.really_dropped().into(),
            audited: status.audited.into(),
            reasons: status
                .reasons
                .iter()
                .map(|count| ReasonView {
                    direction: count.direction,
                    verdict: if count.passes { "allow" } else { "deny" },
                    reason: count.reason,
                    packets: count.traffic.packets,
                    bytes: count.traffic.bytes,
                })
                .collect(),
            flow_share: status.flow_share,
            flows_per_remote: status.flows_per_remote,
            events_lost: status.events_lost,
            events_suppressed: &status.events_suppressed,
        }
    }

    /// The drop reasons with the most packets, both directions together.
    fn top_drops(&self) -> Vec<(&'static str, u64)> {
        let mut sums: Vec<(&'static str, u64)> = Vec::new();
        for view in self.reasons.iter().filter(|view| view.verdict == "deny") {
            match sums.iter_mut().find(|(reason, _)| *reason == view.reason) {
                Some((_, packets)) => *packets += view.packets,
                None => sums.push((view.reason, view.packets)),
            }
        }
        sums.sort_by_key(|(_, packets)| Reverse(*packets));
        sums.truncate(TOP_REASONS);
        sums
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use sg_ctl::host::dataplane::HookSide;
    use sg_ctl::host::{ReasonCount, Renamed};

    use super::*;

    fn traffic(packets: u64, bytes: u64) -> Traffic {
        Traffic { packets, bytes }
    }

    /// eth0, with groups and counters.
    pub(crate) fn interface() -> InterfaceStatus {
        let count = |direction, reason, passes, packets| ReasonCount {
            direction,
            reason,
            passes,
            traffic: traffic(packets, packets * 60),
        };
        InterfaceStatus {
            name: "eth0".to_owned(),
            renamed: None,
            ifindex: Some(2),
            guard: Guard::Whole,
            zone: 0,
            recorded: true,
            ingress: Some(HookKind::Tcx),
            egress: Some(HookKind::Tcx),
            build: Some("2-b".to_owned()),
            side: Side::Nic,
            mode: Mode::Enforce,
            deadline: None,
            isolated: false,
            log: LogMode::Denied,
            groups: vec!["web".to_owned()],
            passed: [traffic(10, 1000), traffic(8, 800)],
            dropped: [traffic(9, 540), traffic(4, 240)],
            audited: [traffic(3, 180), Traffic::default()],
            reasons: vec![
                count("inbound", "established", true, 10),
                count("inbound", "no-rule", false, 2),
                count("inbound", "malformed-tcp", false, 7),
                count("outbound", "no-rule", false, 4),
            ],
            flow_share: 0,
            flows_per_remote: 0,
            events_lost: 0,
            events_suppressed: vec![Suppressed {
                reason: "no-rule",
                events: 5,
            }],
        }
    }

    /// What is in force on a host with these interfaces.
    pub(crate) fn status(interfaces: Vec<InterfaceStatus>) -> Status {
        Status {
            generation: 7,
            build: "2-b".to_owned(),
            image: None,
            flow_table: Some(FlowTableInfo::made_for(262_144)),
            occupancy: None,
            rule_counters: Some(RuleCounterInfo {
                rules: 10,
                room: 16_384,
                bytes: 3 << 20,
            }),
            flow_table_wanted: FlowTableInfo::made_for(262_144),
            hz: 250,
            pending: false,
            under_way: false,
            interfaces,
            other_layouts: vec![],
            not_attached: vec![],
        }
    }

    fn rows(table: &Table) -> Vec<Vec<String>> {
        let plain = anstream::adapter::strip_str(&table.to_string()).to_string();
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        plain.lines().skip(1).map(words).collect()
    }

    #[test]
    fn the_memory_of_the_flow_table_is_told() {
        let status = status(vec![interface()]);
        let view = StatusView::new(&status);
        assert!(view.policy().ends_with(
            "flow table: room for 262144 flows, 66048 KiB of kernel memory\n\
             rule counters: 10 of 16384 in use, 3072 KiB of kernel memory\n"
        ));
        let json = serde_json::to_value(view).expect("JSON");
        assert_eq!(json["flow_table"]["bytes"], 66048 * 1024);
    }

    #[test]
    fn audited_packets_are_not_dropped() {
        let status = status(vec![interface()]);
        let rows = rows(&StatusView::new(&status).traffic());
        assert_eq!(
            rows[0].join(" "),
            "eth0 10 8 6 4 3 0 5 malformed-tcp 7, no-rule 6"
        );
    }

    #[test]
    fn the_state_of_an_interface_is_one_plain_word() {
        let state = |interface| {
            let status = status(vec![interface]);
            let view = StatusView::new(&status);
            let row = rows(&view.interfaces()).remove(0);
            (row[1].clone(), view.problems().next())
        };
        let guarded = interface();
        assert_eq!(state(guarded.clone()).0, "enforcing");
        let audit = InterfaceStatus {
            mode: Mode::Audit,
            ..guarded.clone()
        };
        let guarded_by = |guard| InterfaceStatus {
            guard,
            ..guarded.clone()
        };
        let half = guarded_by(Guard::Half {
            missing: HookSide::Egress,
        });
        let detached = guarded_by(Guard::Open);
        let preempted = guarded_by(Guard::Preempted(vec!["ingress: other (12)".to_owned()]));
        let unreachable = guarded_by(Guard::Unreachable);
        let isolated = InterfaceStatus {
            isolated: true,
            ..guarded.clone()
        };
        let missing = guarded_by(Guard::Missing);
        for (interface, word, problem) in [
            (audit, "auditing", "nothing is dropped"),
            (isolated, "isolated", "nothing passes but infrastructure"),
            (preempted, "preempted", "other (12) sees packets first"),
            (unreachable, "unreachable", "nobody can change"),
            (half, "half-attached", "has sent are not judged"),
            (detached, "not-attached", "no program is attached"),
            (missing, "missing", "no such interface"),
        ] {
            let (state, found) = state(interface);
            assert_eq!(state, word);
            assert!(found.is_some_and(|found| found.contains(problem)), "{word}");
        }
    }

    #[test]
    fn a_policy_that_is_out_of_reach_goes_on() {
        let told = |guard| {
            let interface = InterfaceStatus {
                guard,
                ..interface()
            };
            let status = status(vec![interface]);
            StatusView::new(&status).policy()
        };
        assert!(told(Guard::Unreachable).starts_with("the last policy goes on, out of reach\n"));
        assert!(told(Guard::Whole).starts_with("no policy is in force\n"));
    }

    #[test]
    fn disagreements_are_told() {
        let unrecorded = InterfaceStatus {
            recorded: false,
            renamed: Some(Renamed {
                to: "ens3".to_owned(),
                is_replaced: false,
            }),
            build: Some("1-a".to_owned()),
            guard: Guard::Preempted(vec!["ingress: other (12)".to_owned()]),
            ..interface()
        };
        let status = Status {
            pending: true,
            flow_table_wanted: FlowTableInfo::made_for(1 << 20),
            not_attached: vec!["eth1".to_owned()],
            ..status(vec![unrecorded])
        };
        let problems: Vec<_> = StatusView::new(&status)
            .problems()
            .map(|line| anstream::adapter::strip_str(&line).to_string())
            .collect();
        let begins = [
            "warning: a change was interrupted",
            "warning: eth0: ingress: other (12) sees packets first",
            "warning: eth0: is called ens3 now",
            "warning: eth0: attached, but the state does not know it",
            "warning: eth0: its programs are those of another sg-ctl (1-a)",
            "warning: the flow table has room for 262144 flows, the rules ask for 1048576",
            "warning: eth1: named by the rules",
        ];
        assert_eq!(problems.len(), begins.len(), "{problems:#?}");
        for (problem, begin) in problems.iter().zip(begins) {
            assert!(problem.starts_with(begin), "{problem}");
        }
    }

    #[test]
    fn json_names_directions() {
        let status = status(vec![interface()]);
        let json = serde_json::to_value(StatusView::new(&status)).expect("JSON");
        let interface = &json["interfaces"][0];
        assert_eq!(interface["state"], "enforcing");
        assert_eq!(interface["dropped"]["inbound"]["packets"], 6);
        assert_eq!(interface["ingress"], "tcx");
        assert_eq!(interface["reasons"][1]["verdict"], "deny");
        assert_eq!(interface["events_suppressed"][0]["events"], 5);
        assert_eq!(json["image"], serde_json::Value::Null);
    }
}
