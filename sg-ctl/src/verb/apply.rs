//! `sg-ctl apply`.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueHint;
use schemars::JsonSchema;
use serde::Serialize;
use sg_ctl::host::{ApplyRequest, ApplySummary, Changes, Deadline, PolicySummary};

use crate::verb::output::change::{part_lines, policy_text};
use crate::verb::output::deadline::DeadlineView;
use crate::verb::output::time::milliseconds;
use crate::verb::output::{self, Tone};
use crate::verb::shared::arguments::{Format, KeepSsh, Trial};
use crate::verb::shared::{Context, PENDING, rule_files, value, way_in};
use crate::verb::vpc;

/// What the help of `apply` says beyond the options.
const HELP: &str = "\
JSON: an object with these fields:
  applied       false with --dry-run
  changed       whether anything differs from what was in force
  policy        generation, groups, rules, prefix_lists, classes, ranges, bytes, kernel_bytes
  changes       groups, prefix_lists, members, interfaces; of each the names added, removed,
                changed; and diff, an array with kind, name, removed and added (lines)
  attached      interfaces on which the rules are in force
  not_attached  interfaces that the rules name, or mean by a pattern, and that are not attached
  deadline      with --confirm-within: passed and in_ms, else null
  notes, duration_ms

EXIT STATUS:
  0 done; with --dry-run: nothing would change
  3 with --dry-run: a change is pending
  1 refused, or bad input; 2 system error

EXAMPLES:
  See what would change, then change it:
    sg-ctl apply -n -f web.yaml
    sg-ctl apply -f web.yaml

  On a host far away: unless you still get in to confirm, it is undone after a minute:
    sg-ctl apply -f web.yaml --confirm-within 60s
    sg-ctl confirm

  Two files are one description; names of one may be used in the other:
    sg-ctl apply -f groups.yaml -f interfaces.yaml

  From another program:
    generate-rules | sg-ctl apply -f -";

/// Put rule files in force.
///
/// Reads all files as one description of this host, checks everything, and replaces the policy of
/// every guarded interface at one moment: a packet is judged by the old rules or by the new ones.
/// An error in any file changes nothing. Live flows go on, as on AWS, until they end or idle out.
/// Prints what differs from the rules before, line by line.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Rule file (YAML or JSON); may be repeated.
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// Check everything, show what would change and the memory it would take, and change nothing.
    /// Exit status 0: no change; 3: a change is pending.
    #[arg(short = 'n', long, conflicts_with = "confirm_within")]
    pub(crate) dry_run: bool,

    /// In a VPC: wait until every host that is heard of enforces the rules, at most this long (`5s`).
    /// Those that do not are named then, with exit status 2.
    #[arg(long, value_name = "TIME", value_parser = value::time)]
    pub(crate) wait: Option<Duration>,

    #[command(flatten)]
    pub(crate) trial: Trial,

    #[command(flatten)]
    pub(crate) keep: KeepSsh,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Puts rule files in force, or shows what that would change.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (model, origins) = rule_files::rules(&args.files)?;
    if let Some(joined) = context.vpc()? {
        return vpc::apply(args, (model, origins), joined, context);
    }
    rule_files::check_is_of_one_host(&model)?;
    let confirm_within = args.trial.confirm_within;
    let request = ApplyRequest {
        model,
        origins,
        confirm_within,
        way_in: way_in(args.keep),
    };
    if args.dry_run {
        let summary = context.host()?.plan(request)?;
        return planned(&summary, args.format.json);
    }
    let summary = context.host()?.apply(request)?;
    show(&ApplyView::done(&summary, confirm_within), args.format.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints what would happen to the rules.
pub(super) fn planned(summary: &ApplySummary, json: bool) -> anyhow::Result<ExitCode> {
    show(&ApplyView::planned(summary), json)?;
    Ok(if summary.changed {
        ExitCode::from(PENDING)
    } else {
        ExitCode::SUCCESS
    })
}

/// Prints what happened to the rules.
pub(super) fn show(view: &ApplyView<'_>, json: bool) -> anyhow::Result<()> {
    output::print_with_notes(view, view.notes(), json)?;
    Ok(())
}

/// Answer of `apply` and `rollback`.
#[derive(Debug, Serialize, JsonSchema)]
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
            duration_ms: milliseconds(summary.duration),
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
        output::last_line(f, self.deadline.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use sg_ctl::host::{Changes, PartDiff, PartKind, PolicySummary};

    use super::*;
    use crate::verb::output::change::tests::policy;
    use crate::verb::output::plain;

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

        let members = vec!["10.0.0.1".to_owned(); 53];
        summary.changes.diff[0].added = members;
        summary.attached = vec!["eth0".to_owned()];
        let text = plain(&ApplyView::planned(&summary));
        assert!(text.contains("  + … and 3 more\n"), "{text}");
        assert!(text.contains("dry run: nothing was changed"), "{text}");
    }
}
