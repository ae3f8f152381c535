//! `sg-ctl show`.

pub(crate) mod counted;
pub(crate) mod group;
pub(crate) mod infra;
pub(crate) mod interface;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::ExitCode;

use sg_ctl::host::state::State;
use sg_ctl::host::{Host, HostError};
use sg_policy::model::{Model, SecurityGroup, Side};

use crate::failure::refusal;
use crate::verb::output::note;
use crate::verb::output::rule::RuleView;
use crate::verb::output::time::WallClock;
use crate::verb::shared::{Context, check_attached, print_list};
use crate::verb::show::counted::CountedRuleView;
use crate::verb::show::group::{GroupView, MemberView};
use crate::verb::show::infra::InfraView;
use crate::verb::show::interface::Configured;
use crate::verb::{Show, ShowArgs, ShowRulesArgs, vpc};

/// Shows one part of what was applied.
pub(crate) fn run(args: &ShowArgs, context: &Context) -> anyhow::Result<ExitCode> {
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
            print_list(&interfaces, format.json, "no interfaces", Configured::table)?;
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
fn counted(host: &Host, state: &State, args: &ShowRulesArgs) -> anyhow::Result<()> {
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
