//! `sg-ctl serve`.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::Context as _;
use clap::ValueHint;
use sg_ctl::api::serve::{Options, ServeError, Served, Tls};
use sg_ctl::api::server::finish_calls;
use sg_ctl::api::world::Place;
use sg_ctl::vpc::OwnStore;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::failure::refusal;
use crate::verb::output::{self, note};
use crate::verb::shared::{Context, joined, value};

/// What the help of `serve` says beyond the options.
const HELP: &str = "\
CLIENTS:
  The first start makes a key. On a terminal it is printed, as commands for the AWS CLI. Elsewhere,
  such as under systemd, a log would keep it, so root gets the commands from `sg-ctl console --key`:
    aws configure set aws_access_key_id AKID… --profile sg
    aws configure set aws_secret_access_key … --profile sg
    aws configure set endpoint_url http://127.0.0.1:8790 --profile sg
    aws --profile sg --region us-east-1 ec2 describe-security-groups
  Terraform, boto3, Ansible and the SDK for JavaScript take the same three: see docs/api.md.

KEYS:
  keys.json of the state directory, for root alone: a list of objects with the fields id, secret, role
  (admin, read), name, and if wanted expires (seconds since 1970) and may_lock_out.

SIGNALS:
  SIGHUP            read the keys again
  SIGTERM, SIGINT   end; enforcement goes on

EXAMPLES:
  For clients on this host:
    sg-ctl serve

  For other hosts, with a certificate made once:
    sg-ctl serve --listen 0.0.0.0:8790 --tls --name sg.example.net";

/// How the API shows itself, and to whom.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "API options")]
pub(crate) struct ApiArgs {
    /// File of the keys; `keys.json` of the state directory unless given.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) keys: Option<PathBuf>,

    /// A name by which clients know this host, beside its own, `localhost` and addresses; may be
    /// repeated. Requests to other names are refused.
    #[arg(long = "name", value_name = "NAME")]
    pub(crate) names: Vec<String>,

    /// Encrypt, with a certificate of our own that is made once in the state directory.
    #[arg(long, conflicts_with = "tls_cert")]
    pub(crate) tls: bool,

    /// Encrypt, with this certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key", value_hint = ValueHint::FilePath)]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The key of --tls-cert (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert", value_hint = ValueHint::FilePath)]
    pub(crate) tls_key: Option<PathBuf>,

    /// The account that is shown: twelve digits.
    #[arg(long, value_name = "DIGITS", default_value = "123456789012")]
    #[arg(value_parser = value::account)]
    pub(crate) account: String,

    /// The region that is shown; clients may sign for any.
    #[arg(long, value_name = "NAME", default_value = "us-east-1")]
    pub(crate) region: String,

    /// The VPC has IPv6: a new group begins with an outbound rule for it, too.
    #[arg(long)]
    pub(crate) ipv6: bool,

    /// What this host is called in ids of interfaces; its host name unless given. In a VPC of many hosts
    /// it has a name.
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
}

impl ApiArgs {
    /// Whether any is given that has no value of its own.
    pub(super) fn is_given(&self) -> bool {
        let files = [&self.keys, &self.tls_cert, &self.tls_key];
        files.iter().any(|file| file.is_some())
            || !self.names.is_empty()
            || self.tls
            || self.ipv6
            || self.host.is_some()
    }
}

/// Serve an EC2 endpoint for security groups, which AWS's clients use unchanged.
///
/// AWS CLI, boto3, Terraform, Ansible and the SDKs create groups, authorise and revoke rules, keep prefix
/// lists and tags, and say which groups an interface carries. A change is in force when its call is
/// answered; on a host of a VPC it is for all of its hosts, and those that do not enforce it within two
/// seconds are named in the header `x-sg-pending`. What rule files define is shown, and changed only
/// there. Every call must be signed.
/// `sg-ctl agent --api` does the same beside its other work.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Where to listen. Other hosts are served encrypted only.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8790")]
    pub(crate) listen: SocketAddr,

    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// Serves until it is told to end.
pub(crate) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let options = options(args.api, args.listen, context)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(serve(options))?;
    Ok(ExitCode::SUCCESS)
}

/// What the command line asks for.
pub(super) fn options(
    args: ApiArgs,
    listen: SocketAddr,
    context: &Context,
) -> anyhow::Result<Options> {
    let tls = match (args.tls_cert, args.tls_key) {
        (Some(certificate), Some(key)) => Tls::Files(certificate, key),
        _ if args.tls => Tls::Own,
        _ => Tls::Off,
    };
    let paths = context.paths.clone();
    let joined = joined(&paths)?;
    if let (Some(joined), Some(_)) = (&joined, &args.host) {
        return Err(refusal(
            format!("this host is {} of the VPC {}", joined.host, joined.vpc),
            "leave out --host",
        ));
    }
    let place = Place {
        account: args.account,
        region: args.region,
        host: match &joined {
            Some(joined) => joined.host.clone(),
            None => args.host.unwrap_or_else(host_name),
        },
        vpc: joined
            .as_ref()
            .map_or("default", |joined| &joined.vpc)
            .to_owned(),
        is_shared: joined.is_some(),
        ipv6: args.ipv6,
    };
    let store = OwnStore::new(paths.clone(), joined);
    Ok(Options {
        store: store.context("the VPC's name cannot be one")?,
        paths,
        listen,
        place,
        keys: args.keys,
        names: args.names,
        tls,
    })
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

/// Opens the API, with the remedy if it cannot be had.
pub(super) async fn open(options: Options) -> anyhow::Result<Served> {
    let tell = Arc::new(|text: &str| note(text));
    let opened = Served::open(options, tell).await;
    opened.map_err(|error: ServeError| match error.help() {
        Some(help) => refusal(error.to_string(), help),
        None => error.into(),
    })
}

async fn serve(options: Options) -> anyhow::Result<()> {
    let region = options.place.region.clone();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let served = open(options).await?;
    output::text(welcome(&served, &region, io::stdout().is_terminal()))?;
    let told = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    answer_until(told, served).await
}

/// Answers until something happens, and carries out then what it has begun.
async fn answer_until(told: impl Future<Output = ()>, served: Served) -> anyhow::Result<()> {
    let told_and_done = async {
        told.await;
        // Connections end with what answers them.
        finish_calls().await;
    };
    tokio::select! {
        result = answer(served) => result,
        () = told_and_done => Ok(()),
    }
}

/// Answers until it is dropped; the keys are read again when the process is told to.
async fn answer(served: Served) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let api = Arc::clone(&served.api);
    let serving = served.run();
    tokio::pin!(serving);
    loop {
        tokio::select! {
            () = &mut serving => return Ok(()),
            _ = hangup.recv() => match api.reload_keys() {
                Ok(()) => note("the keys were read again"),
                Err(error) => note(format!("warning: the old keys stay: {error}")),
            },
        }
    }
}

/// An API that is served on a thread of its own, until it is dropped.
pub(super) struct Beside {
    _stop: oneshot::Sender<()>,
}

/// Serves the API beside other work, which it neither waits for nor holds up.
pub(super) fn beside(
    args: ApiArgs,
    listen: SocketAddr,
    context: &Context,
) -> anyhow::Result<Beside> {
    let options = options(args, listen, context)?;
    let region = options.place.region.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the API's event loop")?;
    let served = runtime.block_on(open(options))?;
    note(welcome(&served, &region, io::stderr().is_terminal()).trim_end());
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = move || {
        let told = async {
            // Also when whoever would have told is gone.
            let _ = stopped.await;
        };
        if let Err(error) = runtime.block_on(answer_until(told, served)) {
            note(format!("warning: the API ends: {error:#}"));
        }
    };
    thread::Builder::new()
        .name("sg-api".to_owned())
        .spawn(serve)
        .context("cannot start the API's thread")?;
    Ok(Beside { _stop: stop })
}

/// What the first minute needs. Secrets are for a terminal alone: a journal keeps what it is given, for
/// others to read.
fn welcome(served: &Served, region: &str, is_terminal: bool) -> String {
    let Served { url, keys, .. } = served;
    let state = &served.api.paths().state;
    let vpc = served.api.place().vpc_id();
    let endpoint = format!("EC2 endpoint  {url}  ({vpc})\n");
    let link = if is_terminal {
        super::console::link(url, state).ok()
    } else {
        None
    };
    let console = match link {
        Some(link) => format!("{link}  (once, for 30 s)"),
        None => format!("{url}/groups  (`sg-ctl console` prints a link that signs in)"),
    };
    let endpoint = format!("{endpoint}console       {console}\n");
    let file = keys.display();
    match &served.first_key {
        None => format!("{endpoint}keys          {file}\n"),
        Some(_) if !is_terminal => {
            format!("{endpoint}keys          {file}, with a new one: `sg-ctl console --key`\n")
        }
        Some(key) => format!(
            "{endpoint}\nA key was made, in {file}; `sg-ctl console --key` shows it again:\n{}\n\nTry it:\n  \
             aws --profile sg --region {region} ec2 describe-security-groups\n",
            super::console::configure(key, url)
        ),
    }
}
