//! `sg-ctl serve`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use sg_ctl::api::serve::{Options, ServeError, Served, Tls};
use sg_ctl::api::world::Place;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::refusal;
use crate::verb::output::{self, note};
use crate::verb::shared::{Context, joined};
use crate::verb::{ApiArgs, ServeArgs};

/// Serves until it is told to end.
pub(crate) fn run(args: ServeArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let options = options(args.api, args.listen, context);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(serve(options))?;
    Ok(ExitCode::SUCCESS)
}

/// What the command line asks for.
pub(super) fn options(args: ApiArgs, listen: std::net::SocketAddr, context: &Context) -> Options {
    let tls = match (args.tls_cert, args.tls_key) {
        (Some(certificate), Some(key)) => Tls::Files(certificate, key),
        _ if args.tls => Tls::Own,
        _ => Tls::Off,
    };
    Options {
        paths: context.paths.clone(),
        listen,
        place: Place {
            account: args.account,
            region: args.region,
            host: args.host.unwrap_or_else(host_name),
            vpc: "default".to_owned(),
            ipv6: args.ipv6,
        },
        keys: args.keys,
        names: args.names,
        tls,
    }
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
    if let Some(joined) = joined(&options.paths)? {
        return Err(refusal(
            format!(
                "the API changes the rules of one host, and this one belongs to the VPC {}",
                joined.vpc
            ),
            "change the VPC's rules by `sg-ctl apply -f …`, or serve the API on a host of its own",
        ));
    }
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
    let mut hangup = signal(SignalKind::hangup())?;
    let served = open(options).await?;
    output::text(welcome(&served, &region))?;
    let api = Arc::clone(&served.api);
    let serving = served.run(Router::new());
    tokio::pin!(serving);
    loop {
        tokio::select! {
            () = &mut serving => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => match api.reload_keys() {
                Ok(()) => note("the keys were read again"),
                Err(error) => note(format!("warning: the old keys stay: {error}")),
            },
        }
    }
}

/// What the first minute needs.
pub(super) fn welcome(served: &Served, region: &str) -> String {
    let Served { url, keys, .. } = served;
    let keys = keys.display();
    let vpc = served.api.place().vpc_id();
    let endpoint = format!("EC2 endpoint  {url}  ({vpc})\n");
    let console = super::console::link(url, &served.api.paths().state);
    let console = console.map_or_else(
        |_| format!("{url}/groups"),
        |link| format!("{link}  (once, for 30 s)"),
    );
    let endpoint = format!("{endpoint}console       {console}\n");
    let Some(key) = &served.first_key else {
        return format!("{endpoint}keys          {keys}\n");
    };
    let set = |what: &str, value: &str| format!("  aws configure set {what} {value} --profile sg");
    let lines = [
        set("aws_access_key_id", &key.id),
        set("aws_secret_access_key", &key.secret),
        set("endpoint_url", url),
    ];
    format!(
        "{endpoint}\nA key was made, in {keys}. It is shown this once:\n{}\n\nTry it:\n  aws --profile \
         sg --region {region} ec2 describe-security-groups\n",
        lines.join("\n")
    )
}
