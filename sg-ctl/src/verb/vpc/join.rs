//! `sg-ctl vpc join` and `leave`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::ValueHint;
use sg_ctl::vpc::etcd::Etcd;
use sg_ctl::vpc::follow::withdraw;
use sg_ctl::vpc::joined::{EtcdAccess, Joined};
use sg_ctl::vpc::keys::Keys;
use sg_policy::model::HostPattern;

use crate::failure::refusal;
use crate::verb::output::{self, note};
use crate::verb::shared::{Context, value};
use crate::verb::vpc::{block_on, no_vpc};

/// What the help of `vpc join` says beyond the options.
const HELP: &str = "\
EXAMPLES:
  With certificates, as this host's name says:
    sg-ctl vpc join --etcd https://a:2379,https://b:2379,https://c:2379 \\
        --ca ca.pem --cert app-3.pem --key app-3.key --vpc prod

  An administrator's machine, which guards nothing itself:
    sg-ctl vpc join --etcd https://a:2379 --ca ca.pem --cert admin.pem --key admin.key --vpc prod
    sg-ctl apply -f groups.yaml --wait 5s";

/// Make this host one of a VPC.
///
/// Looks whether etcd can be reached and which one it is, and writes down how. From then on the rules
/// of the VPC count, and the agent follows them, within a second where it runs. Joining again changes
/// how etcd is reached, and accepts another etcd, or one that was restored from a backup.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Nodes of etcd, as `https://HOST:PORT`; several as `a,b` or repeated.
    #[arg(long, value_name = "URL", value_delimiter = ',', required = true)]
    pub(crate) etcd: Vec<String>,

    /// File of the authorities that sign the certificates of etcd's nodes.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca: Option<PathBuf>,

    /// File of this host's certificate, whose common name is its user in etcd.
    #[arg(long, value_name = "FILE", requires = "key", value_hint = ValueHint::FilePath)]
    pub(crate) cert: Option<PathBuf>,

    /// File of the certificate's key.
    #[arg(long, value_name = "FILE", requires = "cert", value_hint = ValueHint::FilePath)]
    pub(crate) key: Option<PathBuf>,

    /// User in etcd, where passwords are used in place of certificates.
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub(crate) user: Option<String>,

    /// File of the user's password.
    #[arg(long, value_name = "FILE", requires = "user", value_hint = ValueHint::FilePath)]
    pub(crate) password_file: Option<PathBuf>,

    /// The VPC.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) vpc: String,

    /// This host's name in it; that of the system unless given.
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,

    /// How long this host's addresses stay members when it is not heard of.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = value::time)]
    pub(crate) host_ttl: Duration,

    /// How long other hosts' addresses count that are gone from etcd without a farewell.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = value::time)]
    pub(crate) grace: Duration,
}

/// Where the packaged services see nothing, or other files.
const UNSEEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// The shortest time for which a host may be a member without being heard of.
const LEAST_TTL: Duration = Duration::from_secs(2);

pub(crate) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
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
    let absolute =
        |path: Option<PathBuf>| path.map(|path| std::path::absolute(&path).unwrap_or(path));
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
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let joined = Joined {
        vpc: args.vpc,
        host,
        etcd: access,
        cluster: tip.cluster,
        ttl: args.host_ttl,
        grace: args.grace,
        at: now.as_millis() as u64,
    };
    // What was known of it counts no more: it may be another etcd, or an older one. That this host is
    // a member stays: an agent that saw it gone would say farewell.
    Joined::forget_known(&context.paths.state).context("cannot write the state")?;
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
    for path in unseen(&joined.etcd) {
        note(format_args!(
            "warning: sg-agent.service and sg-api.service do not see {}: move it to where they do, such \
             as /etc/sg, and join again",
            path.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// The files that the services cannot see, which have `ProtectHome` and `PrivateTmp`.
fn unseen(access: &EtcdAccess) -> impl Iterator<Item = &Path> {
    let files = [&access.ca, &access.cert, &access.key, &access.password_file];
    let is_unseen = |path: &&Path| UNSEEN.iter().any(|place| path.starts_with(place));
    files
        .into_iter()
        .flatten()
        .map(PathBuf::as_path)
        .filter(is_unseen)
}

pub(crate) fn leave(context: &Context) -> anyhow::Result<ExitCode> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_services_cannot_see_are_found() {
        let access = EtcdAccess {
            ca: Some("/etc/sg/pki/ca.pem".into()),
            cert: Some("/home/app.pem".into()),
            key: Some("/homes/app.key".into()),
            password_file: Some("/tmp/pki/password".into()),
            ..EtcdAccess::default()
        };
        let unseen: Vec<_> = unseen(&access).collect();
        assert_eq!(
            unseen,
            [Path::new("/home/app.pem"), Path::new("/tmp/pki/password")]
        );
    }
}
