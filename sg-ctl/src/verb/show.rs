//! `sg-ctl show`.

pub(crate) mod counted;
pub(crate) mod group;
pub(crate) mod infra;
pub(crate) mod interface;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::ExitCode;

use clap::Subcommand;
use clap_complete::ArgValueCompleter;
use sg_ctl::host::state::State;
use sg_ctl::host::{Host, HostError};
use sg_policy::model::{Model, SecurityGroup, Side};

use crate::failure::refusal;
use crate::verb::output::note;
use crate::verb::output::rule::RuleView;
use crate::verb::output::time::WallClock;
use crate::verb::shared::arguments::Format;
use crate::verb::shared::candidates::Named;
use crate::verb::shared::{Context, check_attached, print_list};
use crate::verb::show::counted::CountedRuleView;
use crate::verb::show::group::{GroupView, MemberView};
use crate::verb::show::infra::InfraView;
use crate::verb::show::interface::{Configured, InterfaceView};
use crate::verb::vpc;

/// What the help of `show` says beyond the options.
const HELP: &str = "\
EXAMPLES:
    sg-ctl show groups
    sg-ctl show rules --group web
    sg-ctl show members --json";

/// What the help of `show groups` says beyond the options.
const GROUPS_HELP: &str = "\
JSON: an array of objects with these fields:
  name, id, description, tags, inbound_rules, outbound_rules (numbers of rules), interfaces

EXAMPLES:
    sg-ctl show groups";

/// What the help of `show rules` says beyond the options.
const RULES_HELP: &str = "\
JSON: an array of objects with these fields:
  group, group_id, direction, id, number (in flows and events; left out before the rule is in
  force), protocol (tcp, udp, icmp, icmpv6, all, or a number), from_port, to_port, icmp_type,
  icmp_code, peer (a range, pl:NAME or sg:NAME), description, file, line

With --counters an object for each rule of each attached interface, in the order that picks the
deciding rule, with these fields besides:
  interface, untracked (protocols whose flows the rule admits without tracking, which opens none:
  the table shows `untracked` for their number), counters: null when there is no room, else
    new_flows  flows that it opened
    packets    that it admitted: those of its flows, both directions, and those without a flow
    bytes      of these packets
    last_hit   when it last decided on a packet, as it does on the first one of a flow, or null
    since      when counting began: when the rule came into force on the interface
Packets of a flow belong to the rule that opened it. Packets that no rule admits are counted by
reason: sg-ctl status --counters.

EXAMPLES:
    sg-ctl show rules --group web
    sg-ctl show rules --counters --interface eth0
    sg-ctl show rules --never-hit
    sg-ctl show rules --json | jq '.[] | select(.peer == \"0.0.0.0/0\")'";

/// What the help of `show interfaces` says beyond the options.
const INTERFACES_HELP: &str = "\
JSON: an array of objects with these fields:
  name (or pattern, which is never attached itself), attached, isolated, overrides (keys that a
  command line has taken over), groups, addresses, side, hook (as asked for), audit, log,
  log_limit, related, tcp_pickup, infra, timeouts_ms, flow_share (null: an equal one; `status --json` has the number)

EXAMPLES:
    sg-ctl show interfaces";

/// What the help of `show members` says beyond the options.
const MEMBERS_HELP: &str = "\
JSON: an array of objects with these fields:
  group, address, origin (file: named under `members` in a rule file; interface: an address of the
  guarded side of an interface), interface
  in a VPC: group, address, host, interface, since (seconds since 1970), age_ms, counts

EXAMPLES:
    sg-ctl show members";

/// What the help of `show infra` says beyond the options.
const INFRA_HELP: &str = "\
JSON: an array of objects with these fields:
  interface, traffic, description, on, packets_in, bytes_in, packets_out, bytes_out

EXAMPLES:
    sg-ctl show infra";

/// What the help of `show hosts` says beyond the options.
const HOSTS_HELP: &str = "\
JSON: a list of objects with these fields:
  host, version, rules (the revision that it enforces), behind (whether there is a newer one),
  refused (why it does not enforce that, or null), heard_ms (time since it was heard of)

EXAMPLES:
    sg-ctl show hosts";

/// Show groups, rules, interfaces, members, hosts or the traffic that is never filtered.
///
/// Prints what was applied last, as it is kept in the state directory.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) what: Show,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Show {
    /// Security groups: ids, number of rules, and the interfaces that carry them.
    #[command(after_long_help = GROUPS_HELP)]
    Groups(Format),
    /// Rules of every group, or of one, by direction; or those in force, with counters.
    #[command(after_long_help = RULES_HELP)]
    Rules(RulesArgs),
    /// Interfaces: groups, side, hook, settings.
    #[command(after_long_help = INTERFACES_HELP)]
    Interfaces(Format),
    /// Addresses that carry a group, and where each comes from.
    #[command(after_long_help = MEMBERS_HELP)]
    Members(Format),
    /// Hosts of the VPC: what they enforce, and when they were last heard of.
    #[command(after_long_help = HOSTS_HELP)]
    Hosts(Format),
    /// Traffic that groups never filter: what it is, where it is on, how much of it passed.
    #[command(after_long_help = INFRA_HELP)]
    Infra(Format),
}

#[derive(clap::Args, Debug)]
pub(crate) struct RulesArgs {
    /// Only this group (name or id).
    #[arg(short, long, value_name = "NAME", add = ArgValueCompleter::new(Named::Group))]
    pub(crate) group: Option<String>,

    /// Of every attached interface, with what each rule has admitted since it came into force there.
    #[arg(short, long)]
    pub(crate) counters: bool,

    /// Only rules that have never decided on a packet; with --counters, which it implies.
    #[arg(long)]
    pub(crate) never_hit: bool,

    /// Only rules of this interface; with --counters, which it implies.
    #[arg(short, long, value_name = "NAME", add = ArgValueCompleter::new(Named::Attached))]
    pub(crate) interface: Option<String>,

    #[command(flatten)]
    pub(crate) format: Format,
}

impl RulesArgs {
    /// Whether the rules in force are asked for.
    pub(crate) const fn wants_counters(&self) -> bool {
        self.counters || self.never_hit || self.interface.is_some()
    }
}

/// Shows one part of what was applied.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    match (&args.what, context.vpc()?) {
        (Show::Hosts(format), joined) => return vpc::hosts(format.json, joined),
        (Show::Members(format), Some(joined)) => match vpc::members(format.json, joined) {
            Ok(code) => return Ok(code),
            Err(error) => note(format_args!(
                "{error:#}: these are the members in force here"
            )),
        },
        _ => {}
    }
    let host = context.host()?;
    let state = host.state()?;
    match &args.what {
        Show::Groups(format) => {
            let interfaces = Configured::all(&state);
            let groups = GroupView::all(&state.model, &interfaces);
            print_list(&groups, format.json, "no groups", GroupView::table)?;
        }
        Show::Rules(args) if args.wants_counters() => counted(&host, &state, args)?,
        Show::Rules(args) => {
            let rules: Vec<_> = groups(&state.model, args.group.as_deref())?
                .into_iter()
                .flat_map(|group| RuleView::of_group(group, &state.numbers))
                .collect();
            print_list(&rules, args.format.json, "no rules", |rules| {
                RuleView::table(rules, context.verbose)
            })?;
        }
        Show::Interfaces(format) => {
            let mut interfaces = Configured::all(&state);
            for (name, guard) in host.guards()? {
                let configured = interfaces.iter_mut().find(|each| each.name == name);
                if let Some(configured) = configured {
                    configured.attached = guard.holds();
                }
                if let Some(text) = guard.note(&name) {
                    note(text);
                }
            }
            let views: Vec<_> = interfaces.iter().map(InterfaceView::from).collect();
            print_list(&views, format.json, "no interfaces", InterfaceView::table)?;
        }
        Show::Members(format) => {
            let interfaces = Configured::all(&state);
            let addresses = addresses(&host, &state)?;
            let members = MemberView::all(&state.model, &interfaces, &addresses);
            print_list(&members, format.json, "no members", MemberView::table)?;
        }
        Show::Hosts(_) => {}
        Show::Infra(format) => {
            let mut kinds = Vec::new();
            for (name, record) in &state.attachments {
                let switches = host.dataplane().settings(record.zone)?.infra;
                let counters = host.dataplane().counters(record.zone)?;
                kinds.extend(InfraView::all(name, switches, &counters));
            }
            print_list(
                &kinds,
                format.json,
                "no interface is attached",
                InfraView::table,
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the rules in force and what they have admitted.
fn counted(host: &Host, state: &State, args: &RulesArgs) -> anyhow::Result<()> {
    check_attached(state, args.interface.as_deref())?;
    let (model, zones) = host.zone_policies(state)?;
    let wanted = groups(&model, args.group.as_deref())?;
    let counts = if zones.is_empty() {
        BTreeMap::new()
    } else {
        host.rule_counts()?
    };
    let clock = WallClock::now()?;
    let mut rules = Vec::new();
    for zone in &zones {
        let recorded = state.attachments.iter();
        let mut named = recorded.filter(|(_, record)| record.zone == zone.zone);
        let Some((interface, _)) = named.next() else {
            continue;
        };
        if args
            .interface
            .as_ref()
            .is_some_and(|only| only != interface)
        {
            continue;
        }
        let is_wanted = |group: &SecurityGroup| wanted.iter().any(|each| each.name == group.name);
        rules.extend(CountedRuleView::of_interface(
            (interface.as_str(), zone.zone),
            (&model, &zone.groups),
            is_wanted,
            &state.numbers,
            &counts,
            &clock,
        ));
    }
    if args.never_hit {
        rules.retain(CountedRuleView::is_never_hit);
    }
    let nothing = match (zones.is_empty(), args.never_hit) {
        (true, _) => "no interface is attached",
        (false, true) => "every rule has been hit",
        (false, false) => "no rules",
    };
    print_list(&rules, args.format.json, nothing, CountedRuleView::table)
}

/// All groups, or the one that is asked for.
fn groups<'m>(model: &'m Model, wanted: Option<&str>) -> anyhow::Result<Vec<&'m SecurityGroup>> {
    let Some(wanted) = wanted else {
        return Ok(model.groups.values().collect());
    };
    if let Some(group) = model.group(wanted) {
        return Ok(vec![group]);
    }
    let names: Vec<_> = model.groups.keys().map(String::as_str).collect();
    Err(refusal(
        format!("there is no group `{wanted}`"),
        format!("the groups are {}", names.join(", ")),
    ))
}

/// The addresses that make interfaces members of their groups: those of the host's own side.
fn addresses(host: &Host, state: &State) -> Result<BTreeMap<String, Vec<IpAddr>>, HostError> {
    let mut addresses = BTreeMap::new();
    for attachment in host.dataplane().attachments()? {
        let record = state
            .attachments
            .iter()
            .find(|(_, record)| record.zone == attachment.zone);
        if let (Some((name, record)), Some(interface)) = (record, attachment.interface)
            && record.side == Side::Nic
        {
            addresses.insert(name.clone(), interface.addresses()?);
        }
    }
    Ok(addresses)
}
