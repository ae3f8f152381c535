//! `sg-ctl vpc`, and what other verbs do on a host of a VPC.

pub(crate) mod change;
pub(crate) mod view;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use sg_ctl::vpc::etcd::Etcd;
use sg_ctl::vpc::follow::{Health, withdraw};
use sg_ctl::vpc::joined::{self, EtcdAccess, Joined};
use sg_ctl::vpc::keys::Keys;
use sg_ctl::vpc::{EtcdStore, Store as _, StoreError, roles as etcd_roles};
use sg_policy::model::{HostPattern, is_pattern};

use crate::failure::refusal;
use crate::verb::output::{self, note};
use crate::verb::shared::{Context, print_list, rule_files};
use crate::verb::vpc::view::{HealthView, HostView, VpcMemberView};
use crate::verb::{VpcArgs, VpcJoinArgs, VpcRolesArgs, VpcVerb};

pub(super) use change::{apply, rollback};

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(5);
/// The shortest time for which a host may be a member without being heard of.
const LEAST_TTL: Duration = Duration::from_secs(2);

/// Joins, leaves, shows.
pub(crate) fn run(args: VpcArgs, context: &Context) -> anyhow::Result<ExitCode> {
    match args.verb {
        VpcVerb::Join(args) => join(*args, context),
        VpcVerb::Leave => leave(context),
        VpcVerb::Status(format) => {
            let health = health(context)?.ok_or_else(no_vpc)?;
            if format.json {
                output::json(&health)?;
            } else {
                output::text(HealthView(&health))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        VpcVerb::Roles(args) => roles(&args, context),
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

fn join(args: VpcJoinArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let host = match args.host {
        Some(host) => host,
        None => std::fs::read_to_string("/proc/sys/kernel/hostname")
            .context("cannot read this host's name")?
            .trim()
            .to_owned(),
    };
    let names = "names have letters, digits, `.`, `-` and `_`, at most 64";
    if !HostPattern::is_host(&host) {
        return Err(refusal(format!("`{host}` cannot be a host"), names));
    }
    let Some(keys) = Keys::new(&args.vpc) else {
        return Err(refusal(format!("`{}` cannot be a VPC", args.vpc), names));
    };
    if args.host_ttl < LEAST_TTL {
        return Err(refusal(
            "--host-ttl is too short",
            "give it at least 2s; 10m is usual",
        ));
    }
    let before = context.vpc()?;
    if let Some(before) = before.filter(|before| (&before.vpc, &before.host) != (&args.vpc, &host))
    {
        return Err(refusal(
            format!("this host is {} of the VPC {}", before.host, before.vpc),
            "leave it first: `sg-ctl vpc leave`",
        ));
    }
    let absolute = |path: Option<std::path::PathBuf>| {
        path.map(|path| std::path::absolute(&path).unwrap_or(path))
    };
    let access = EtcdAccess {
        endpoints: args.etcd,
        ca: absolute(args.ca),
        cert: absolute(args.cert),
        key: absolute(args.key),
        user: args.user,
        password_file: absolute(args.password_file),
    };
    let (rules, tip, endpoint) = block_on(async {
        let mut etcd = Etcd::connect(&access, &keys.rules(), 0).await?;
        let (rules, tip) = etcd.get(&keys.rules()).await?;
        Ok::<_, anyhow::Error>((rules, tip, etcd.endpoint().to_owned()))
    })??;
    let joined = Joined {
        vpc: args.vpc,
        host,
        etcd: access,
        cluster: tip.cluster,
        ttl: args.host_ttl,
        grace: args.grace,
    };
    // What was known of it counts no more: it may be another etcd, or an older one.
    Joined::forget(&context.paths.state).context("cannot write the state")?;
    joined
        .save(&context.paths.state)
        .context("cannot write the state")?;
    let Joined { vpc, host, .. } = &joined;
    output::text(format_args!(
        "this host is {host} of the VPC {vpc}, on {endpoint}\n"
    ))?;
    match rules {
        Some(rules) => output::text(format_args!(
            "its rules are at revision {}\n",
            rules.modified
        ))?,
        None => note(format_args!("{vpc} has no rules yet: `sg-ctl apply -f …`")),
    }
    note("the agent follows it, within a second where it runs: `sg-ctl agent`");
    Ok(ExitCode::SUCCESS)
}

fn leave(context: &Context) -> anyhow::Result<ExitCode> {
    let joined = context.vpc()?.ok_or_else(no_vpc)?;
    Joined::forget(&context.paths.state).context("cannot write the state")?;
    let Joined { vpc, host, .. } = &joined;
    let told = block_on(async {
        let farewell = async {
            // A name that cannot be one was refused when it was joined.
            let Some(keys) = Keys::new(vpc) else {
                return Ok(());
            };
            let mut etcd = Etcd::connect(&joined.etcd, &keys.rules(), 0).await?;
            withdraw(&mut etcd, &keys, host).await
        };
        tokio::time::timeout(FAREWELL, farewell).await
    })?;
    output::text(format_args!(
        "this host has left the VPC {vpc}; its last policy stays in force\n"
    ))?;
    match told {
        Ok(Ok(())) => {}
        Ok(Err(error)) => note(format_args!(
            "its addresses stay members until they are lost: {error}"
        )),
        Err(_) => note("its addresses stay members until they are lost: etcd does not answer"),
    }
    Ok(ExitCode::SUCCESS)
}

/// How the VPC of this host is; `None` for a host of none.
pub(super) fn health(context: &Context) -> anyhow::Result<Option<Health>> {
    Ok(context.vpc()?.map(|joined| {
        let unknown = || Health {
            vpc: joined.vpc.clone(),
            host: joined.host.clone(),
            ..Health::default()
        };
        joined::health(&context.paths.state).unwrap_or_else(unknown)
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
            "{} is claimed twice: {} has it, {} does not meanwhile",
            conflict.address, conflict.holder, conflict.void
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn roles(args: &VpcRolesArgs, context: &Context) -> anyhow::Result<ExitCode> {
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
