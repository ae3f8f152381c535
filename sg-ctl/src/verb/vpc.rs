//! `sg-ctl vpc`, and what other verbs do on a host of a VPC.

pub(crate) mod change;
pub(crate) mod join;
pub(crate) mod view;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Subcommand, ValueHint};
use sg_ctl::host::live::is_served;
use sg_ctl::vpc::follow::Health;
use sg_ctl::vpc::joined::{self, Joined};
use sg_ctl::vpc::keys::Keys;
use sg_ctl::vpc::{EtcdStore, Store as _, StoreError, roles as etcd_roles};
use sg_policy::model::{HostPattern, is_pattern};

pub(crate) use change::{adopt, apply, confirm, rollback};

use crate::failure::refusal;
use crate::verb::output::{self, note};
use crate::verb::shared::arguments::Format;
use crate::verb::shared::{Context, print_list, rule_files};
use crate::verb::vpc::view::{HealthView, HostView, VpcMemberView};

/// What the help of `vpc` says beyond the options.
const HELP: &str = "\
FILES:
  /var/lib/sg/vpc.json          the VPC, and how its etcd is reached
  /var/lib/sg/vpc.status.json   what the agent last saw of it
  /var/lib/sg/vpc.records.json  the records that it knows

EXAMPLES:
    sg-ctl vpc join --etcd https://a:2379,https://b:2379,https://c:2379 \\
        --ca ca.pem --cert app-3.pem --key app-3.key --vpc prod
    sg-ctl vpc status
    sg-ctl show hosts
    sg-ctl vpc leave";

/// What the help of `vpc status` says beyond the options.
const STATUS_HELP: &str = "\
JSON: an object with these fields:
  vpc, host (this one's name in it), connected (whether etcd is followed now), since (when that began,
  in seconds since 1970, 0 when that is not known), endpoint, error and help (why etcd is away, and what to do, or null),
  revision (of the store), rules_wanted and rules_enforced (revisions), rules_refused and unwritten
  (why, or null), trial (`running` while the newest rules wait to be confirmed, `lapsed` when they
  were not in time, or null), conflicts and conflict_count (addresses that two interfaces claim:
  address, holder, void), refused and refused_count (claims that do not count: group, place, reason), damaged (records
  that were not understood), lost (records without a farewell), hosts, behind (names)

EXAMPLES:
    sg-ctl vpc status --json | jq '.rules_wanted == .rules_enforced'";

/// What the help of `vpc roles` says beyond the options.
const ROLES_HELP: &str = "\
EXAMPLES:
    sg-ctl vpc roles --vpc prod -f groups.yaml --host app-1,app-2,db
    sg-ctl vpc roles | sh";

/// Let this host share its groups with others, on etcd.
///
/// The hosts of a VPC have one set of rules, and know each other's addresses by the groups that these
/// give to interfaces. etcd keeps both; the agent follows it. A host that does not reach etcd enforces
/// what it knew last.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: SubVerb,
}

#[derive(Subcommand, Debug)]
pub(crate) enum SubVerb {
    Join(Box<join::Args>),
    /// Leave the VPC: this host's addresses are members no more; its last policy stays in force.
    Leave,
    /// Show how the VPC is, as this host sees it.
    #[command(after_long_help = STATUS_HELP)]
    Status(Format),
    Roles(RolesArgs),
}

/// Print the users, roles and permissions that etcd needs.
///
/// Prints commands of etcdctl, and runs none. A host may read its VPC, and write what it says of
/// itself: into the groups that the rules assign to it, and no others. The names of users are those of
/// hosts, which their certificates have as common names. Run it again when groups are assigned anew:
/// what exists is refused by etcd, and what is new is added.
#[derive(clap::Args, Debug)]
#[command(after_long_help = ROLES_HELP)]
pub(crate) struct RolesArgs {
    /// The VPC; that of this host unless given.
    #[arg(long, value_name = "NAME")]
    pub(crate) vpc: Option<String>,

    /// Rule file with the assignments; those in etcd unless given.
    #[arg(short, long = "file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// Hosts; several as `a,b` or repeated. Those that the rules name unless given.
    #[arg(long = "host", value_name = "NAME", value_delimiter = ',')]
    pub(crate) hosts: Vec<String>,
}

/// Joins, leaves, shows.
pub(crate) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.verb {
        SubVerb::Join(args) => join::run(*args, context),
        SubVerb::Leave => join::leave(context),
        SubVerb::Status(format) => {
            let health = health(context)?.ok_or_else(no_vpc)?;
            if format.json {
                output::json(&health)?;
            } else {
                output::text(HealthView(&health))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        SubVerb::Roles(args) => roles(&args, context),
    }
}

fn no_vpc() -> anyhow::Error {
    refusal(
        "this host belongs to no VPC",
        "`sg-ctl vpc join` makes it belong to one",
    )
}

fn block_on<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    Ok(runtime.block_on(work))
}

/// How the VPC of this host is; `None` for a host of none.
pub(super) fn health(context: &Context) -> anyhow::Result<Option<Health>> {
    Ok(context.vpc()?.map(|joined| {
        let unknown = || Health {
            vpc: joined.vpc.clone(),
            host: joined.host.clone(),
            ..Health::default()
        };
        let mut health: Health = joined::health(&context.paths.state).unwrap_or_else(unknown);
        // What an agent wrote that has ended is no more than what it knew then.
        if health.since > 0 && !is_served(&context.paths.events()) {
            (health.connected, health.since) = (false, 0);
            health.error = Some("no agent runs here".to_owned());
            health.help = Some("`sg-ctl agent` follows it".to_owned());
        }
        health
    }))
}

fn store(joined: Joined) -> anyhow::Result<EtcdStore> {
    let name = joined.vpc.clone();
    EtcdStore::new(joined).with_context(|| format!("`{name}` cannot be a VPC"))
}

/// A store's error with its remedy apart.
fn failed(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Away(text) => match text.split_once("\nhelp: ") {
            Some((error, help)) => refusal(error, help),
            None => anyhow::Error::msg(text),
        },
        StoreError::Document(error) => match error.help() {
            Some(help) => refusal(error.to_string(), help),
            None => error.into(),
        },
        error => error.into(),
    }
}

/// Prints the hosts of the VPC.
pub(super) fn hosts(json: bool, joined: Option<Joined>) -> anyhow::Result<ExitCode> {
    let store = store(joined.ok_or_else(no_vpc)?)?;
    let (rows, newest) = block_on(async {
        let newest = store.load().await?.revision;
        Ok((store.hosts().await?, newest))
    })?
    .map_err(failed)?;
    let views: Vec<_> = rows
        .into_iter()
        .map(|row| HostView::new(row, newest))
        .collect();
    print_list(&views, json, "no host was heard of", HostView::table)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the members of the VPC's groups.
pub(super) fn members(json: bool, joined: Joined) -> anyhow::Result<ExitCode> {
    let store = store(joined)?;
    let (rows, conflicts) = block_on(store.members())?.map_err(failed)?;
    let views: Vec<_> = rows.into_iter().map(VpcMemberView::from).collect();
    print_list(&views, json, "no members", VpcMemberView::table)?;
    for conflict in conflicts {
        note(format_args!(
            "{} is claimed twice: it belongs to {}, and the claim of {} is void meanwhile",
            conflict.address, conflict.holder, conflict.void
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn roles(args: &RolesArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let joined = context.vpc()?;
    let name = match (&args.vpc, &joined) {
        (Some(name), _) => name.clone(),
        (None, Some(joined)) => joined.vpc.clone(),
        (None, None) => return Err(refusal("which VPC?", "give --vpc NAME")),
    };
    let keys = Keys::new(&name);
    let keys = keys.ok_or_else(|| refusal(format!("`{name}` cannot be a VPC"), "see --help"))?;
    let model = match joined {
        _ if !args.files.is_empty() => rule_files::model(&args.files)?,
        Some(joined) => {
            let store = store(joined)?;
            let kept = block_on(store.load())?.map_err(failed)?;
            kept.document.model().clone()
        }
        None => {
            return Err(refusal(
                "which rules?",
                "give -f FILE, or join the VPC first",
            ));
        }
    };
    let mut hosts = args.hosts.clone();
    if hosts.is_empty() {
        let named = model.hosts.keys().map(HostPattern::host);
        hosts = named
            .filter(|host| !is_pattern(host))
            .map(str::to_owned)
            .collect();
        hosts.sort();
        hosts.dedup();
    }
    if let Some(bad) = hosts.iter().find(|host| !HostPattern::is_host(host)) {
        return Err(refusal(
            format!("`{bad}` cannot be a host"),
            "give names, not patterns",
        ));
    }
    output::text(etcd_roles::commands(&keys, &name, &model, &hosts))?;
    Ok(ExitCode::SUCCESS)
}
