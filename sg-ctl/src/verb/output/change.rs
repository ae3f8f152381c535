//! What commands that change something say when it is done.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use sg_ctl::host::dataplane::{FlowTableInfo, Seeded};
use sg_ctl::host::{ApplySummary, AttachSummary, Changes, Deadline, PartDiff, PolicySummary};

use crate::verb::output::time::span;
use crate::verb::output::trial::DeadlineView;
use crate::verb::output::{Tone, counted};
use crate::verb::status::view::flow_table_text;

/// Answer of `attach`. The names of the fields are those of the JSON form.
#[derive(Debug, Serialize)]
pub(crate) struct AttachView<'a> {
    interface: &'a str,
    zone: u32,
    groups: &'a [String],
    mode: &'static str,
    deadline: Option<DeadlineView>,
    ingress: &'static str,
    ingress_reason: &'a str,
    egress: &'static str,
    flow_table: Option<FlowTableInfo>,
    existing: Seeded,
    notes: &'a [String],
    policy: &'a PolicySummary,
    duration_ms: u64,
}

impl<'a> AttachView<'a> {
    /// The view of what was done.
    pub(crate) fn new(summary: &'a AttachSummary) -> Self {
        Self {
            interface: &summary.interface,
            zone: summary.zone,
            groups: &summary.groups,
            mode: if summary.audit { "audit" } else { "enforce" },
            deadline: summary.deadline.map(DeadlineView::from),
            ingress: summary.ingress.name(),
            ingress_reason: &summary.reason,
            egress: summary.egress.name(),
            flow_table: summary.flow_table,
            existing: summary.existing,
            notes: &summary.notes,
            policy: &summary.policy,
            duration_ms: summary.duration.as_millis() as u64,
        }
    }

    /// What the user should know besides.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        let refused = self.existing.refused;
        let lost = (refused > 0).then(|| {
            format!(
                "there is no room in the flow table for {}",
                counted(refused as u64, "existing connection")
            )
        });
        self.notes.iter().cloned().chain(lost)
    }
}

impl fmt::Display for AttachView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = self.groups.join(", ");
        if self.mode == "audit" {
            let audited = Tone::Notable.paint("audited, nothing is dropped");
            writeln!(f, "{} is {audited}: {groups}", self.interface)?;
        } else {
            let guarded = Tone::Good.paint("guarded");
            writeln!(f, "{} is {guarded}: {groups}", self.interface)?;
        }
        writeln!(
            f,
            "hooks: ingress {}, {}; egress {}",
            self.ingress, self.ingress_reason, self.egress
        )?;
        if let Some(table) = &self.flow_table {
            f.write_str(&flow_table_text(table))?;
        }
        let Seeded { opened, known, .. } = self.existing;
        if opened + known > 0 {
            let going_on = counted((opened + known) as u64, "existing connection");
            writeln!(f, "flows: {going_on} may go on")?;
        }
        writeln!(f, "{}", policy_text(self.policy, self.duration_ms))?;
        match &self.deadline {
            Some(deadline) => writeln!(f, "{deadline}"),
            None => Ok(()),
        }
    }
}

/// Answer of `detach`. The names of the fields are those of the JSON form.
#[derive(Debug, Serialize)]
pub(crate) struct DetachView {
    /// Names of the interfaces.
    pub(crate) detached: Vec<String>,
    /// Whether they are those that were not there.
    #[serde(skip)]
    pub(crate) were_missing: bool,
    /// Whether that is only what would be done.
    #[serde(skip)]
    pub(crate) is_dry: bool,
}

impl fmt::Display for DetachView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detached.is_empty() {
            let nothing = if self.were_missing {
                "no interface is missing"
            } else {
                "nothing was attached"
            };
            return writeln!(f, "{nothing}");
        }
        for interface in &self.detached {
            let text = match (self.were_missing, self.is_dry) {
                (true, false) => "is forgotten",
                (true, true) => "would be forgotten",
                (false, false) => "is detached: its packets pass unfiltered",
                (false, true) => "would be detached: its packets would pass unfiltered",
            };
            writeln!(f, "{interface} {text}")?;
        }
        Ok(())
    }
}

/// Answer of `apply` and `rollback`. The names of the fields are those of the JSON form.
#[derive(Debug, Serialize)]
pub(crate) struct ApplyView<'a> {
    applied: bool,
    changed: bool,
    policy: &'a PolicySummary,
    changes: &'a Changes,
    attached: &'a [String],
    not_attached: &'a [String],
    deadline: Option<DeadlineView>,
    notes: &'a [String],
    duration_ms: u64,
}

impl<'a> ApplyView<'a> {
    /// The view of what was done, with the time that there is to confirm it.
    pub(crate) fn done(summary: &'a ApplySummary, confirm_within: Option<Duration>) -> Self {
        let on_trial = confirm_within.filter(|_| !summary.attached.is_empty());
        Self {
            applied: true,
            deadline: on_trial.map(|after| DeadlineView::from(Deadline::In(after))),
            ..Self::planned(summary)
        }
    }

    /// The view of what would be done.
    pub(crate) fn planned(summary: &'a ApplySummary) -> Self {
        Self {
            applied: false,
            changed: summary.changed,
            policy: &summary.policy,
            changes: &summary.changes,
            attached: &summary.attached,
            not_attached: &summary.not_attached,
            deadline: None,
            notes: &summary.notes,
            duration_ms: summary.duration.as_millis() as u64,
        }
    }

    /// What the user should know besides.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        let not_attached = self.not_attached.iter().map(|interface| {
            format!("{interface} is not attached, its rules wait: sg-ctl attach {interface}")
        });
        self.notes.iter().cloned().chain(not_attached)
    }
}

impl fmt::Display for ApplyView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.changes.diff {
            writeln!(f, "{}", part_lines(part).join("\n"))?;
        }
        if self.changes.is_empty() {
            writeln!(f, "nothing differs from the rules before")?;
        }
        let attached = self.attached.join(", ");
        let in_force = Tone::Good.paint("in force");
        match (self.applied, self.attached.is_empty()) {
            (true, true) => writeln!(f, "the rules are stored; no interface is attached")?,
            (true, false) => writeln!(f, "the rules are {in_force} on {attached}")?,
            (false, true) => writeln!(f, "dry run: nothing was changed; no interface is attached")?,
            (false, false) => writeln!(
                f,
                "dry run: nothing was changed; the rules would be in force on {attached}"
            )?,
        }
        writeln!(f, "{}", policy_text(self.policy, self.duration_ms))?;
        match &self.deadline {
            Some(deadline) => writeln!(f, "{deadline}"),
            None => Ok(()),
        }
    }
}

/// Lines of one part that are shown of each sign; the JSON form has all of them.
const SHOWN: usize = 50;

/// The lines that a part loses and gains, below its name.
pub(crate) fn part_lines(part: &PartDiff) -> Vec<String> {
    let heading = format!("{} {}", part.kind.words(), part.name);
    let mut text = vec![Tone::Heading.paint(heading.trim_end())];
    for (sign, tone, lines) in [
        ('-', Tone::Bad, &part.removed),
        ('+', Tone::Good, &part.added),
    ] {
        let signed = |line: &String| format!("  {}", tone.paint(format_args!("{sign} {line}")));
        text.extend(lines.iter().take(SHOWN).map(signed));
        if lines.len() > SHOWN {
            text.push(format!("  {sign} … and {} more", lines.len() - SHOWN));
        }
    }
    if part.removed.is_empty() && part.added.is_empty() {
        text.push("  the order of its rules".to_owned());
    }
    text
}

fn policy_text(policy: &PolicySummary, duration_ms: u64) -> String {
    let kernel = match policy.kernel_bytes {
        0 => String::new(),
        bytes => format!(", {} KiB of kernel memory", bytes.div_ceil(1024)),
    };
    format!(
        "policy {}: {} in {}{kernel}, took {}",
        policy.generation,
        counted(policy.rules as u64, "rule"),
        counted(policy.groups as u64, "group"),
        span(Duration::from_millis(duration_ms))
    )
}

#[cfg(test)]
mod tests {
    use sg_ctl::host::PartKind;
    use sg_ctl::host::dataplane::HookKind;

    use super::*;

    fn policy() -> PolicySummary {
        PolicySummary {
            generation: 7,
            groups: 2,
            rules: 9,
            prefix_lists: 0,
            classes: 3,
            ranges: 5,
            bytes: 400,
            kernel_bytes: 1 << 20,
        }
    }

    fn plain(view: &impl fmt::Display) -> String {
        anstream::adapter::strip_str(&view.to_string()).to_string()
    }

    #[test]
    fn attach_tells_groups_hooks_and_policy() {
        let summary = AttachSummary {
            interface: "eth0".to_owned(),
            zone: 0,
            groups: vec!["web".to_owned(), "ssh".to_owned()],
            audit: false,
            deadline: None,
            ingress: HookKind::Tcx,
            reason: "because XDP on a veth device costs more than it saves".to_owned(),
            egress: HookKind::Tcx,
            policy: policy(),
            flow_table: Some(FlowTableInfo::made_for(262_144)),
            existing: Seeded::default(),
            notes: vec![],
            duration: Duration::from_millis(820),
        };
        assert_eq!(
            plain(&AttachView::new(&summary)),
            "eth0 is guarded: web, ssh\n\
             hooks: ingress tcx, because XDP on a veth device costs more than it saves; egress tcx\n\
             flow table: room for 262144 flows, 66048 KiB of kernel memory\n\
             policy 7: 9 rules in 2 groups, 1024 KiB of kernel memory, took 820ms\n"
        );
        let audit = AttachSummary {
            audit: true,
            ..summary
        };
        assert!(plain(&AttachView::new(&audit)).contains("nothing is dropped"));
    }

    #[test]
    fn apply_tells_what_changed_and_what_waits() {
        let part = PartDiff {
            kind: PartKind::Group,
            name: "web".to_owned(),
            removed: vec!["inbound tcp 22 from 0.0.0.0/0 (sgr-1)".to_owned()],
            added: vec!["inbound tcp 443 from 0.0.0.0/0 (sgr-2)".to_owned()],
        };
        let mut summary = ApplySummary {
            policy: PolicySummary {
                kernel_bytes: 0,
                ..policy()
            },
            changed: true,
            changes: Changes {
                diff: vec![part],
                ..Changes::default()
            },
            attached: vec![],
            not_attached: vec!["eth1".to_owned()],
            notes: vec!["a note".to_owned()],
            duration: Duration::from_millis(3),
        };
        let view = ApplyView::done(&summary, Some(Duration::from_mins(1)));
        assert_eq!(
            plain(&view),
            "group web\n\
             \u{20} - inbound tcp 22 from 0.0.0.0/0 (sgr-1)\n\
             \u{20} + inbound tcp 443 from 0.0.0.0/0 (sgr-2)\n\
             the rules are stored; no interface is attached\n\
             policy 7: 9 rules in 2 groups, took 3ms\n"
        );
        let notes: Vec<_> = view.notes().collect();
        assert_eq!(notes.len(), 2);
        assert!(notes[1].contains("sg-ctl attach eth1"));

        let members = vec!["10.0.0.1".to_owned(); SHOWN + 3];
        summary.changes.diff[0].added = members;
        summary.attached = vec!["eth0".to_owned()];
        let text = plain(&ApplyView::planned(&summary));
        assert!(text.contains("  + … and 3 more\n"), "{text}");
        assert!(text.contains("dry run: nothing was changed"), "{text}");
    }
}
