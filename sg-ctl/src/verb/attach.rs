//! `sg-ctl attach`.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueHint;
use clap_complete::ArgValueCompleter;
use schemars::JsonSchema;
use serde::Serialize;
use sg_ctl::host::dataplane::{FlowTableInfo, Seeded};
use sg_ctl::host::state::Overrides;
use sg_ctl::host::{AttachRequest, AttachSummary, PolicySummary};
use sg_policy::model::Model;

use crate::failure::refusal;
use crate::verb::output::change::policy_text;
use crate::verb::output::deadline::DeadlineView;
use crate::verb::output::time::milliseconds;
use crate::verb::output::{self, Tone, counted, note};
use crate::verb::shared::arguments::{Format, Hook, KeepSsh, Log, Side, Trial};
use crate::verb::shared::candidates::Named;
use crate::verb::shared::{Context, rule_files, way_in};
use crate::verb::status::view::flow_table_text;

/// What the help of `attach` says beyond the options.
const HELP: &str = "\
JSON: an object with these fields:
  interface, zone (its slot in the kernel's tables), groups, mode (enforce or audit),
  deadline (passed and in_ms, or null), ingress, ingress_reason, egress (hooks: xdp,
  xdp-generic, tcx, clsact), existing (connections that were there before: opened as flows, known
  as flows already, refused for want of room), flow_table (flows and bytes, or null), notes,
  policy (generation, groups, rules, prefix_lists, classes, ranges, bytes, kernel_bytes),
  duration_ms

EXAMPLES:
  Guard eth0 with groups of a rule file:
    sg-ctl attach eth0 --group web --group ssh -f rules.yaml

  See first what would be dropped, then enforce:
    sg-ctl attach eth0 --group web -f rules.yaml --audit
    sg-ctl logs -f --denied
    sg-ctl mode eth0 enforce --confirm-within 60s
    sg-ctl confirm

  Guard a virtual machine or a container at the host's end of its link:
    sg-ctl attach tap0 --side workload --group db";

/// Guard an interface with security groups.
///
/// Loads the programs, attaches them to both directions of IFACE and puts the policy of its groups
/// in force; all of it or nothing. Options win over what rule files say about the interface; one
/// of which nothing is said carries the group `default`. Rule files given with -f are put in force
/// with it, as `sg-ctl apply` does, and otherwise the rules in force are kept. Connections that there
/// are go on: those of this host's sockets, and those that the kernel's connection tracking knows.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The interface.
    #[arg(value_name = "IFACE", add = ArgValueCompleter::new(Named::Present))]
    pub(crate) interface: String,

    /// Group that the interface carries, by name or id; several as `a,b` or repeated. Of several that
    /// allow a packet the first is shown as the deciding one.
    #[arg(short, long = "group", value_name = "NAME", value_delimiter = ',')]
    #[arg(add = ArgValueCompleter::new(Named::Group))]
    pub(crate) groups: Vec<String>,

    /// Address of the workload behind the interface (--side workload), which makes it a member of its
    /// groups; several as `a,b` or repeated. Without it, those of a rule file.
    #[arg(
        short = 'A',
        long = "address",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    pub(crate) addresses: Vec<IpAddr>,

    /// Rule file to put in force with it; may be repeated.
    #[arg(short, long = "file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// Where packets are met on the receiving path; `auto` unless a rule file says otherwise.
    #[arg(long, value_enum, value_name = "HOOK")]
    pub(crate) hook: Option<Hook>,

    /// Which side of the interface is protected; `nic` unless a rule file says otherwise.
    #[arg(long, value_enum, value_name = "SIDE")]
    pub(crate) side: Option<Side>,

    /// Judge, count and log, but drop nothing.
    #[arg(long)]
    pub(crate) audit: bool,

    /// Which verdicts are logged; `all` unless a rule file says otherwise.
    #[arg(long, value_enum, value_name = "WHICH")]
    pub(crate) log: Option<Log>,

    /// Flows that the flow table keeps room for, whatever other interfaces hold; an equal part of the
    /// table unless a rule file says otherwise.
    #[arg(long, value_name = "FLOWS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) flow_share: Option<u32>,

    #[command(flatten)]
    pub(crate) trial: Trial,

    #[command(flatten)]
    pub(crate) keep: KeepSsh,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Guards an interface.
pub(crate) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let rules = if args.files.is_empty() {
        None
    } else {
        if context.vpc()?.is_some() {
            return Err(refusal(
                "this host belongs to a VPC, whose rules are for all of its hosts",
                "`sg-ctl apply -f …` changes them; attach without -f",
            ));
        }
        let rules = rule_files::rules(&args.files)?;
        rule_files::check_is_of_one_host(&rules.0)?;
        Some(rules)
    };
    let by_default = rules
        .as_ref()
        .filter(|_| args.groups.is_empty())
        .and_then(|(model, _)| carries_default(&args.interface, model));
    let request = AttachRequest {
        interface: args.interface,
        by_pattern: false,
        overrides: Overrides {
            groups: (!args.groups.is_empty()).then_some(args.groups),
            addresses: (!args.addresses.is_empty()).then(|| args.addresses.into_iter().collect()),
            side: args.side.map(Into::into),
            hook: args.hook.map(Into::into),
            audit: args.audit.then_some(true),
            log: args.log.map(Into::into),
            flow_share: args.flow_share,
        },
        rules,
        confirm_within: args.trial.confirm_within,
        way_in: way_in(args.keep),
    };
    let summary = context.host()?.attach(request)?;
    if let Some(warning) = by_default {
        note(warning);
    }
    let view = AttachView::new(&summary);
    output::print_with_notes(&view, view.notes(), args.format.json)?;
    Ok(ExitCode::SUCCESS)
}

/// The warning that rule files define groups, and say nothing of the interface: it then carries
/// `default`, which may not be what was meant.
fn carries_default(interface: &str, model: &Model) -> Option<String> {
    let groups = model.groups.values().map(|group| group.name.as_str());
    let others: Vec<_> = groups.filter(|name| *name != "default").collect();
    (model.interface(interface).is_none() && !others.is_empty()).then(|| {
        format!(
            "warning: the rule files say nothing of {interface}: it carries the group `default`, \
             none of theirs ({}); give --group NAME, or name it under `interfaces:`",
            others.join(", ")
        )
    })
}

/// Answer of `attach`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AttachView<'a> {
    interface: &'a str,
    zone: u32,
    groups: &'a [String],
    #[schemars(extend("enum" = ["enforce", "audit"]))]
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
            duration_ms: milliseconds(summary.duration),
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
        output::last_line(f, self.deadline.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sg_ctl::host::dataplane::HookKind;

    use super::*;
    use crate::verb::output::change::tests::policy;
    use crate::verb::output::plain;

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
}
