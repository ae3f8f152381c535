//! `sg-ctl explain`.

pub(crate) mod logline;
pub(crate) mod view;

use std::io::BufRead as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueHint;
use clap_complete::ArgValueCompleter;
use sg_common::flow::Direction;
use sg_ctl::host::{self, Explained, HostError};
use sg_ctl::vpc::claims::Claims;
use sg_ctl::vpc::follow::unix_seconds;
use sg_ctl::vpc::joined;
use sg_policy::compile::RuleNumbers;
use sg_policy::explain::{Place, Probe, explain};
use sg_policy::model::{InterfaceSpec, Model};

use crate::failure::refusal;
use crate::verb::explain::logline::LogLine;
use crate::verb::explain::view::{ExplanationView, MembershipView};
use crate::verb::output::{self, note};
use crate::verb::shared::arguments::Format;
use crate::verb::shared::candidates::Named;
use crate::verb::shared::{Context, rule_files, value};

/// The ways to give `explain` a packet.
const USAGE: &str = "\
sg-ctl explain [OPTIONS] --inbound <PROTOCOL> <SOURCE> [DESTINATION]
       sg-ctl explain [OPTIONS] --outbound <PROTOCOL> <SOURCE> [DESTINATION]
       sg-ctl explain [OPTIONS] --log <LINE>";

/// What the help of `explain` says beyond the options.
const HELP: &str = "\
JSON: an object with these fields:
  interface, packet, verdict (allow or deny), audited, reason, rule (number, id, group, group_id),
  steps      step and finding of each
  nearest    rules that come near: id, group, protocol, ports, peer, why, file, line
  elsewhere  groups that would admit the packet and that the interface does not carry
  hints      what a denied packet may be a part of, in words
  members    in a VPC, the groups that the remote address is a member of: group, address, host,
             interface, age_ms

EXAMPLES:
  May the internet reach the web server, and if not, why not:
    sg-ctl explain --interface eth0 --inbound tcp 203.0.113.7:40000 443

  Why was this packet dropped:
    sg-ctl explain --log \"$(sg-ctl logs --denied --json | tail -1)\"

  What would a rule file do:
    sg-ctl explain -f web.yaml --group web --outbound udp 10.0.0.2:53
    sg-ctl explain -f web.yaml --group web --inbound icmp 203.0.113.7 --icmp 3/4";

/// Explain why a packet passes or is dropped.
///
/// Goes through the steps of the decision for one packet at one interface: by the rules in force and
/// the live flows, or by rule files alone (-f). A packet that passes is shown with the rule that
/// decides and whether it is tracked; one that is dropped with the rules that come nearest and what
/// keeps each from admitting it. The packet is given as source and destination on the wire, or as a
/// line of the log. Of the protected side's end the address may be left out.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
#[command(override_usage = USAGE)]
#[command(group(clap::ArgGroup::new("packet").required(true)))]
pub(crate) struct Args {
    /// The interface; may be left out if there is only one.
    #[arg(short, long, value_name = "IFACE", add = ArgValueCompleter::new(Named::Attached))]
    pub(crate) interface: Option<String>,

    /// Rule file to ask in place of the rules in force; may be repeated.
    #[arg(short, long = "file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// With -f: group to carry in place of those that the rule files say; may be repeated.
    #[arg(short, long = "group", value_name = "NAME", value_delimiter = ',')]
    #[arg(add = ArgValueCompleter::new(Named::Group))]
    #[arg(requires = "files")]
    pub(crate) groups: Vec<String>,

    /// A packet that reaches the protected side.
    #[arg(long, num_args = 2..=3, group = "packet")]
    #[arg(value_names = ["PROTOCOL", "SOURCE", "DESTINATION"])]
    pub(crate) inbound: Option<Vec<String>>,

    /// A packet that leaves the protected side.
    #[arg(long, num_args = 2..=3, group = "packet")]
    #[arg(value_names = ["PROTOCOL", "SOURCE", "DESTINATION"])]
    pub(crate) outbound: Option<Vec<String>>,

    /// The packet of a line that `sg-ctl logs` printed, text or JSON; `-` reads the line.
    #[arg(long, value_name = "LINE", group = "packet")]
    pub(crate) log: Option<String>,

    /// Type and code of the ICMP message; an echo request unless said otherwise.
    #[arg(long, value_name = "TYPE[/CODE]", value_parser = value::message, conflicts_with = "log")]
    pub(crate) icmp: Option<[u8; 2]>,

    /// Flags of the TCP segment, such as SYN,ACK; SYN unless said otherwise.
    #[arg(long, value_name = "FLAGS", value_parser = value::tcp_flags, conflicts_with = "log")]
    pub(crate) flags: Option<u8>,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Jiffies per second where no kernel is asked; nothing that is explained depends on it.
const OFFLINE_HZ: u64 = 1000;

/// Explains what becomes of a packet.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (interface, probe) = packet(args)?;
    if args.files.is_empty() {
        in_force(args, context, interface, &probe)
    } else {
        offline(args, interface, &probe)
    }
}

/// By the rules in force, and the live flows.
fn in_force(
    args: &Args,
    context: &Context,
    interface: Option<String>,
    probe: &Probe,
) -> anyhow::Result<ExitCode> {
    let host = context.host()?;
    let interface = match interface {
        Some(name) => name,
        None => only(host.state()?.attachments.keys(), "attached")?,
    };
    let members = match context.vpc()? {
        Some(_) => members(&host.state()?.model, probe.remote, &context.paths.state),
        None => Vec::new(),
    };
    host.explain(&interface, probe, |found| {
        found.note.iter().for_each(note);
        let Explained {
            explanation,
            numbers,
            audits,
            ..
        } = found;
        let view = ExplanationView::new(Some(&interface), probe, explanation, numbers, *audits);
        print(args, &view.with_members(members))
    })?
}

/// As what an address is a member of groups of the VPC, by the records that the agent knows.
fn members(model: &Model, address: IpAddr, state: &Path) -> Vec<MembershipView> {
    let (claims, _) = Claims::from_cache(&joined::cache(state));
    let now = unix_seconds();
    let counts = |group: &str| {
        let members = model.members.get(group);
        members.is_some_and(|members| members.contains(&address))
    };
    let claimed = claims
        .all()
        .filter(|(_, _, claim)| claim.addresses.contains_key(&address));
    let members = claimed.filter_map(|(key, interface, claim)| {
        let group = model.group(key.group.as_str())?;
        counts(&group.name).then(|| MembershipView {
            group: group.name.clone(),
            address,
            host: key.host.clone(),
            interface: interface.to_owned(),
            age_ms: now.saturating_sub(claim.since).saturating_mul(1000),
        })
    });
    members.collect()
}

/// By rule files alone.
fn offline(args: &Args, interface: Option<String>, probe: &Probe) -> anyhow::Result<ExitCode> {
    let model = rule_files::model(&args.files)?;
    let interface = match interface {
        Some(name) => Some(name),
        None if args.groups.is_empty() => Some(only(model.interfaces.keys(), "in the rule files")?),
        None => None,
    };
    let spec = spec(&model, interface.as_deref(), &args.groups)?;
    let place = offline_place(&model, &spec);
    let mut numbers = RuleNumbers::default();
    let explanation = explain(&place, probe, &mut numbers, None).map_err(HostError::from)?;
    let view = ExplanationView::new(
        interface.as_deref(),
        probe,
        &explanation,
        &numbers,
        spec.audit,
    );
    print(args, &view)
}

/// An interface of rule files, on a host of which nothing else is known.
pub(super) fn offline_place<'m>(model: &'m Model, spec: &InterfaceSpec) -> Place<'m> {
    let settings = host::settings(spec, 0, OFFLINE_HZ, 0);
    Place::alone(model, spec.groups.clone(), settings, OFFLINE_HZ)
}

/// How an interface is guarded: as the rule files say, or with `groups`.
pub(super) fn spec(
    model: &Model,
    interface: Option<&str>,
    groups: &[String],
) -> anyhow::Result<InterfaceSpec> {
    let mut spec = match interface {
        None => InterfaceSpec::default(),
        Some(name) => match model.interface(name) {
            Some(spec) => spec.clone(),
            None if !groups.is_empty() => InterfaceSpec::default(),
            None => {
                let names: Vec<_> = model.interfaces.keys().map(String::as_str).collect();
                return Err(refusal(
                    format!("the rule files name no interface `{name}`"),
                    match names.as_slice() {
                        [] => "say which groups it carries: --group NAME".to_owned(),
                        names => format!("they name {}; or give --group NAME", names.join(", ")),
                    },
                ));
            }
        },
    };
    if !groups.is_empty() {
        spec.groups = groups.to_vec();
    }
    for group in &mut spec.groups {
        let Some(found) = model.group(group) else {
            let names: Vec<_> = model.groups.keys().map(String::as_str).collect();
            return Err(refusal(
                format!("there is no group `{group}`"),
                format!("the groups are {}", names.join(", ")),
            ));
        };
        found.name.clone_into(group);
    }
    Ok(spec)
}

fn only<'n>(mut names: impl Iterator<Item = &'n String>, place: &str) -> anyhow::Result<String> {
    match (names.next(), names.next()) {
        (Some(name), None) => Ok(name.clone()),
        (None, _) => Err(refusal(
            format!("no interface is {place}"),
            "attach one, or ask rule files: -f FILE --group NAME",
        )),
        (Some(_), Some(_)) => Err(refusal(
            format!("several interfaces are {place}"),
            "say which one: --interface IFACE",
        )),
    }
}

fn print(args: &Args, view: &ExplanationView<'_>) -> anyhow::Result<ExitCode> {
    output::print(view, args.format.json)?;
    Ok(ExitCode::SUCCESS)
}

/// The packet that is asked about, and the interface if it is named.
fn packet(args: &Args) -> anyhow::Result<(Option<String>, Probe)> {
    if let Some(line) = &args.log {
        let line = match line.as_str() {
            "-" => {
                let mut first = String::new();
                std::io::stdin().lock().read_line(&mut first)?;
                first
            }
            line => line.to_owned(),
        };
        let read = LogLine::parse(&line).and_then(|read| Some((read.probe()?, read.interface)));
        let Some((probe, interface)) = read else {
            return Err(refusal(
                "this is no line of the log that tells protocol, source and destination",
                "give a line that `sg-ctl logs` or `sg-ctl logs --json` has printed",
            ));
        };
        return Ok((args.interface.clone().or(Some(interface)), probe));
    }
    let (direction, words) = match (&args.inbound, &args.outbound) {
        (Some(words), _) => (Direction::Inbound, words),
        (None, Some(words)) => (Direction::Outbound, words),
        // One of the three is required.
        (None, None) => (Direction::Inbound, &Vec::new()),
    };
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let mut probe = probe(direction, &words)?;
    if let Some(message) = args.icmp {
        probe.message = message;
    }
    if let Some(flags) = args.flags {
        probe.tcp_flags = flags;
    }
    Ok((args.interface.clone(), probe))
}

/// Reads the words of a packet.
pub(super) fn probe(direction: Direction, words: &[&str]) -> anyhow::Result<Probe> {
    Probe::parse(direction, words).map_err(|error| refusal(error.to_string(), error.help()))
}
