//! What replaying captures comes to.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::net::IpAddr;
use std::path::PathBuf;

use comfy_table::Cell;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use sg_common::addr::Addr;
use sg_common::counters;
use sg_common::flow::Direction;
use sg_common::reason::{Reason, Verdict};
use sg_ctl::host::Traffic;
use sg_ctl::replay::{DropKey, DropTally, Skip, Tally};
use sg_policy::compile::RuleNumbers;
use sg_policy::model::{self, Hook, InterfaceSpec, Model, Side};

use crate::verb::output::table::{Table, or_dash};
use crate::verb::output::time::{WallClock, span};
use crate::verb::output::{Tone, counted, packet};

/// Kinds of drops that text shows; JSON has all.
const DROPS_SHOWN: usize = 20;

/// What was replayed.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    /// The files.
    pub(crate) captures: &'a [PathBuf],
    /// Name of the interface.
    pub(crate) interface: &'a str,
    /// How it was guarded.
    pub(crate) spec: &'a InterfaceSpec,
    /// The rules.
    pub(crate) model: &'a Model,
    /// Numbers of the rules.
    pub(crate) numbers: &'a RuleNumbers,
}

/// What judging captures comes to.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SummaryView<'a> {
    #[serde(rename = "type")]
    #[schemars(extend("const" = "summary"))]
    kind: &'static str,
    captures: &'a [PathBuf],
    interface: &'a str,
    groups: &'a [String],
    side: Side,
    hook: &'static str,
    first: Option<String>,
    latest: Option<String>,
    packets: u64,
    judged: u64,
    passed: Traffic,
    dropped: Traffic,
    cut: u64,
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "BTreeMap<String, u64>")]
    skipped: Vec<(Skip, u64)>,
    reasons: Vec<ReasonView>,
    rules: Vec<RuleView<'a>>,
    drops: Vec<DropView>,
    other_drops: u64,
    #[serde(skip)]
    duration: std::time::Duration,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ReasonView {
    #[schemars(extend("enum" = ["inbound", "outbound"]))]
    direction: &'static str,
    #[schemars(extend("enum" = ["allow", "deny"]))]
    verdict: &'static str,
    reason: &'static str,
    #[serde(flatten)]
    count: Traffic,
}

#[derive(Debug, Serialize, JsonSchema)]
struct RuleView<'a> {
    group: &'a str,
    group_id: &'a str,
    #[schemars(extend("enum" = ["inbound", "outbound"]))]
    direction: &'static str,
    id: &'a str,
    protocol: String,
    ports: String,
    peer: String,
    flows: u64,
    #[serde(flatten)]
    count: Traffic,
    latest: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct DropView {
    #[schemars(extend("enum" = ["inbound", "outbound"]))]
    direction: &'static str,
    reason: &'static str,
    protocol: Option<String>,
    local: Option<IpAddr>,
    remote: Option<IpAddr>,
    port: Option<u16>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    #[serde(flatten)]
    count: Traffic,
    first: String,
}

/// Packets and bytes.
const fn traffic(tally: counters::Tally) -> Traffic {
    Traffic {
        packets: tally.packets,
        bytes: tally.bytes,
    }
}

impl<'a> SummaryView<'a> {
    /// Describes the counts of all packets.
    pub(crate) fn new(subject: &Subject<'a>, tally: &Tally, clock: &WallClock) -> Self {
        let spec = subject.spec;
        let (first, latest) = tally.time.unwrap_or_default();
        let time = |time| tally.time.map(|_any| clock.text(time));
        let skips = Skip::ALL.map(|skip| (skip, tally.skipped(skip)));
        Self {
            kind: "summary",
            captures: subject.captures,
            interface: subject.interface,
            groups: &spec.groups,
            side: spec.side,
            hook: if spec.hook == Hook::Tc { "tc" } else { "xdp" },
            first: time(first),
            latest: time(latest),
            packets: tally.packets(),
            judged: tally.judged(),
            passed: traffic(tally.verdict(Verdict::Pass)),
            dropped: traffic(tally.verdict(Verdict::Drop)),
            cut: tally.cut,
            skipped: skips.to_vec(),
            reasons: reasons(tally),
            rules: rules(subject, tally, clock),
            drops: tally
                .drops()
                .into_iter()
                .map(|(key, drop)| DropView::new(key, drop, clock))
                .collect(),
            other_drops: tally.other_drops,
            duration: std::time::Duration::from_nanos(latest - first),
        }
    }

    /// Writes the first lines: how much was judged, and what was not.
    fn headline(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: u64, word: &str| format!("{count} {word}");
        let passed = Tone::Good.paint(count(self.passed.packets, "passed"));
        let dropped = match self.dropped.packets {
            0 => count(0, "dropped"),
            packets => Tone::Bad.paint(count(packets, "dropped")),
        };
        writeln!(
            f,
            "{} with {}: {} in {}, {} judged: {passed}, {dropped}",
            self.interface,
            self.groups.join(", "),
            counted(self.packets, "packet"),
            span(self.duration),
            self.judged,
        )?;
        for (skip, packets) in self.skipped.iter().filter(|(_, packets)| *packets > 0) {
            let packets = counted(*packets, "packet");
            writeln!(f, "left out: {packets} {}", skip.description())?;
        }
        if self.cut > 0 {
            let packets = counted(self.cut, "packet");
            let what = "judged with zeros for headers that were not captured";
            writeln!(f, "{} {packets} {what}", Tone::Notable.paint("note:"))?;
        }
        Ok(())
    }

    fn reason_table(&self) -> Table {
        let mut table = Table::new(&["DIRECTION", "VERDICT", "REASON", ">PACKETS", ">BYTES"]);
        for reason in &self.reasons {
            let tone = if reason.verdict == "allow" {
                Tone::Good
            } else {
                Tone::Bad
            };
            table.push([
                Cell::new(reason.direction),
                tone.cell(reason.verdict),
                Cell::new(reason.reason),
                Cell::new(reason.count.packets),
                Cell::new(reason.count.bytes),
            ]);
        }
        table
    }

    fn rule_table(&self) -> Table {
        let mut table = Table::new(&[
            "RULE",
            "GROUP",
            "DIRECTION",
            "PROTOCOL",
            "PORTS",
            "PEER",
            ">FLOWS",
            ">PACKETS",
            ">BYTES",
        ])
        .giving_way(&["RULE", "BYTES", "GROUP", "DIRECTION"]);
        for rule in &self.rules {
            table.push([
                Tone::Quiet.cell(rule.id),
                Cell::new(rule.group),
                Cell::new(rule.direction),
                Cell::new(&rule.protocol),
                Cell::new(&rule.ports),
                Cell::new(&rule.peer),
                Cell::new(rule.flows),
                Cell::new(rule.count.packets),
                Cell::new(rule.count.bytes),
            ]);
        }
        table
    }

    fn drop_table(&self) -> Table {
        let mut table = Table::new(&[
            "DROPPED", "REASON", "PROTOCOL", "LOCAL", "REMOTE", "TO", ">PACKETS", ">BYTES",
        ])
        .giving_way(&["BYTES", "PROTOCOL", "DROPPED"]);
        let address = |address: Option<IpAddr>| address.map_or("-".to_owned(), |it| it.to_string());
        for drop in self.drops.iter().take(DROPS_SHOWN) {
            table.push([
                Cell::new(drop.direction),
                Tone::Bad.cell(drop.reason),
                Cell::new(or_dash(drop.protocol.as_deref().unwrap_or_default())),
                Cell::new(address(drop.local)),
                Cell::new(address(drop.remote)),
                Cell::new(drop.service()),
                Cell::new(drop.count.packets),
                Cell::new(drop.count.bytes),
            ]);
        }
        table
    }
}

impl Display for SummaryView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.headline(f)?;
        if self.judged == 0 {
            return Ok(());
        }
        write!(f, "\n{}\n{}", self.reason_table(), self.rule_table())?;
        if self.drops.is_empty() {
            return Ok(());
        }
        write!(f, "\n{}", self.drop_table())?;
        let more = self.drops.len().saturating_sub(DROPS_SHOWN);
        if more > 0 {
            let kinds = counted(more as u64, "more kind");
            writeln!(
                f,
                "{}",
                Tone::Quiet.paint(format_args!("and {kinds}: --json"))
            )?;
        }
        Ok(())
    }
}

fn reasons(tally: &Tally) -> Vec<ReasonView> {
    let each = |direction: Direction| {
        Reason::ALL.iter().map(move |reason| ReasonView {
            direction: direction.name(),
            verdict: match reason.verdict() {
                Verdict::Pass => "allow",
                Verdict::Drop => "deny",
            },
            reason: reason.name(),
            count: traffic(tally.reason(direction, *reason)),
        })
    };
    Direction::ALL
        .into_iter()
        .flat_map(each)
        .filter(|reason| reason.count.packets > 0)
        .collect()
}

/// All rules of the interface, in the order that picks the deciding one.
fn rules<'a>(subject: &Subject<'a>, tally: &Tally, clock: &WallClock) -> Vec<RuleView<'a>> {
    let mut views = Vec::new();
    let groups = subject.spec.groups.iter();
    for group in groups.filter_map(|name| subject.model.group(name)) {
        for direction in model::Direction::ALL {
            for rule in group.rules(direction) {
                let number = subject.numbers.find(&group.id, &rule.id);
                let hits = number.and_then(|number| tally.rules.get(&number));
                views.push(RuleView {
                    group: &group.name,
                    group_id: group.id.as_str(),
                    direction: direction.name(),
                    id: rule.id.as_str(),
                    protocol: rule.service.protocol_text(),
                    ports: rule.service.ports_text(),
                    peer: rule.peer.to_string(),
                    flows: hits.map_or(0, |hits| hits.flows),
                    count: traffic(hits.map(|hits| hits.passed).unwrap_or_default()),
                    latest: hits.map(|hits| clock.text(hits.latest)),
                });
            }
        }
    }
    views
}

impl DropView {
    fn new(key: &DropKey, drop: &DropTally, clock: &WallClock) -> Self {
        let has_addresses = [key.local, key.remote] != [Addr::UNSPECIFIED; 2];
        let is_icmp = has_addresses && packet::is_icmp(key.protocol);
        let has_port = has_addresses && packet::has_ports(key.protocol) && key.service != 0;
        let [icmp_type, icmp_code] = key.service.to_be_bytes();
        Self {
            direction: key.direction.name(),
            reason: key.reason.name(),
            protocol: has_addresses.then(|| packet::protocol(key.protocol)),
            local: has_addresses.then(|| key.local.into()),
            remote: has_addresses.then(|| key.remote.into()),
            port: has_port.then_some(key.service),
            icmp_type: is_icmp.then_some(icmp_type),
            icmp_code: is_icmp.then_some(icmp_code),
            count: traffic(drop.dropped),
            first: clock.text(drop.first),
        }
    }

    /// What the packets asked for.
    fn service(&self) -> String {
        match (self.port, self.icmp_type, self.icmp_code) {
            (Some(port), ..) => format!("port {port}"),
            (_, Some(kind), Some(code)) => format!("type {kind} code {code}"),
            _ => "-".to_owned(),
        }
    }
}

/// Writes packets that were left out as an object.
fn by_name<S: Serializer>(skipped: &[(Skip, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(skipped.iter().map(|(skip, packets)| (skip.name(), packets)))
}
