//! Explanations of verdicts.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use comfy_table::Cell;
use schemars::JsonSchema;
use serde::Serialize;
use sg_policy::compile::RuleNumbers;
use sg_policy::explain::{Explanation, NearMiss, Probe, Step};

use crate::verb::output::Tone;
use crate::verb::output::names::RuleRef;
use crate::verb::output::table::Table;
use crate::verb::output::time::span;

/// Rules that are shown of those that come near.
const SHOWN: usize = 5;

/// Answer of `explain`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ExplanationView<'a> {
    interface: Option<&'a str>,
    packet: String,
    #[schemars(extend("enum" = ["allow", "deny"]))]
    verdict: &'static str,
    audited: bool,
    reason: &'static str,
    rule: Option<RuleRef>,
    steps: &'a [Step],
    nearest: Vec<NearView<'a>>,
    /// Groups that would admit the packet and that the interface does not carry.
    elsewhere: Vec<&'a str>,
    /// What the packet may be a part of.
    hints: &'a [String],
    /// In a VPC of many hosts: as what the remote address is a member of groups.
    members: Vec<MembershipView>,
}

/// That an address is a member of a group.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct MembershipView {
    /// Name of the group.
    pub(crate) group: String,
    /// The address.
    pub(crate) address: IpAddr,
    /// The host that has it.
    pub(crate) host: String,
    /// And the interface of that host.
    pub(crate) interface: String,
    /// For how long, by that host's clock.
    pub(crate) age_ms: u64,
}

impl fmt::Display for MembershipView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is a member of {}: host {}, {}, claimed {} ago",
            self.address,
            self.group,
            self.host,
            self.interface,
            span(Duration::from_millis(self.age_ms))
        )
    }
}

/// A rule that does not admit the packet.
#[derive(Debug, Serialize, JsonSchema)]
struct NearView<'a> {
    id: &'a str,
    group: &'a str,
    protocol: String,
    ports: String,
    peer: String,
    why: String,
    file: Option<&'a str>,
    line: Option<u32>,
}

impl<'a> NearView<'a> {
    fn new(miss: &NearMiss<'a>) -> Self {
        let location = miss.rule.location.as_ref();
        Self {
            id: miss.rule.id.as_str(),
            group: &miss.group.name,
            protocol: miss.rule.service.protocol_text(),
            ports: miss.rule.service.ports_text(),
            peer: miss.rule.peer.to_string(),
            why: miss.to_string(),
            file: location.map(|place| place.file.as_str()),
            line: location.map(|place| place.line),
        }
    }
}

impl<'a> ExplanationView<'a> {
    /// The view; `audits` says that the interface drops nothing now.
    pub(crate) fn new(
        interface: Option<&'a str>,
        probe: &Probe,
        explanation: &'a Explanation<'a>,
        numbers: &RuleNumbers,
        audits: bool,
    ) -> Self {
        let passes = explanation.passes();
        Self {
            interface,
            packet: probe.to_string(),
            verdict: if passes { "allow" } else { "deny" },
            audited: audits && !passes,
            reason: explanation.reason.name(),
            rule: RuleRef::find(explanation.rule, numbers),
            steps: &explanation.steps,
            nearest: explanation.nearest.iter().map(NearView::new).collect(),
            elsewhere: explanation
                .elsewhere
                .iter()
                .map(|group| group.name.as_str())
                .collect(),
            hints: &explanation.hints,
            members: Vec::new(),
        }
    }

    /// The same, with what is known of the remote address.
    pub(crate) fn with_members(self, members: Vec<MembershipView>) -> Self {
        Self { members, ..self }
    }
}

impl fmt::Display for ExplanationView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.interface.map(|name| format!(" at {name}"));
        writeln!(f, "{}{}", self.packet, at.unwrap_or_default())?;
        writeln!(f)?;
        let mut steps = Table::new(&["", "STEP", "FINDING"]);
        for (i, step) in self.steps.iter().enumerate() {
            steps.push([
                Cell::new(i + 1),
                Cell::new(step.step),
                Cell::new(&step.finding),
            ]);
        }
        writeln!(f, "{steps}")?;
        let (tone, verdict) = match (self.verdict, self.audited) {
            ("allow", _) => (Tone::Good, "ALLOW"),
            (_, false) => (Tone::Bad, "DENY"),
            (_, true) => (Tone::Notable, "AUDIT-DENY"),
        };
        write!(f, "{} {}", tone.paint(verdict), self.reason)?;
        if let Some(rule) = &self.rule {
            write!(f, " {rule}")?;
        }
        writeln!(f)?;
        if self.audited {
            writeln!(
                f,
                "the interface only audits: the packet passes all the same"
            )?;
        }
        for member in &self.members {
            writeln!(f, "{member}")?;
        }
        if !self.nearest.is_empty() {
            let mut near = Table::new(&[
                "NEAREST RULE",
                "GROUP",
                "PROTOCOL",
                "PORTS",
                "PEER",
                "WHY NOT",
            ])
            .giving_way(&["PROTOCOL", "NEAREST RULE"]);
            for miss in self.nearest.iter().take(SHOWN) {
                near.push([
                    Tone::Quiet.cell(miss.id),
                    Cell::new(miss.group),
                    Cell::new(&miss.protocol),
                    Cell::new(&miss.ports),
                    Cell::new(&miss.peer),
                    Cell::new(&miss.why),
                ]);
            }
            write!(f, "\n{near}")?;
            let more = self.nearest.len().saturating_sub(SHOWN);
            if more > 0 {
                writeln!(f, "and {more} more, further away")?;
            }
        }
        if !self.elsewhere.is_empty() {
            writeln!(
                f,
                "\ngroups that would admit it, if the interface carried them: {}",
                self.elsewhere.join(", ")
            )?;
        }
        for hint in self.hints {
            writeln!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}
