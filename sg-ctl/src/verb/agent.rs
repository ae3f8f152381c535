//! `sg-ctl agent`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use sg_ctl::agent::{
    self, AgentError, Attaching, FlowLog, FlowLogTarget, Notice, Options, Rotation,
};
use sg_ctl::host::state::Overrides;

use crate::failure::refusal;
use crate::verb::AgentArgs;
use crate::verb::output::note;
use crate::verb::shared::Context;

/// Runs until it is told to end.
pub(crate) fn run(args: AgentArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let options = options(args, context)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let mut tell = |notice: &Notice<'_>| note(notice);
    match runtime.block_on(agent::run(options, &mut tell)) {
        // Diagnostics bring their own marks.
        Err(AgentError::Rules(report)) => Err((*report).into()),
        result => Ok(result.map(|()| ExitCode::SUCCESS)?),
    }
}

/// Checks what the command line asks for.
fn options(args: AgentArgs, context: &Context) -> anyhow::Result<Options> {
    if args.files.iter().any(|file| file == Path::new("-")) {
        return Err(refusal(
            "standard input cannot be watched",
            "name rule files; `sg-ctl apply -f -` takes rules from a pipe",
        ));
    }
    if let Some(address) = args.metrics
        && !args.metrics_public
        && !address.ip().is_loopback()
    {
        return Err(refusal(
            format!("{address} can be reached from other hosts, and metrics tell much"),
            "listen on 127.0.0.1 or [::1], or give --metrics-public",
        ));
    }
    let flow_log = args.flow_log.map(|path| FlowLog {
        target: if path == Path::new("-") {
            FlowLogTarget::Stdout
        } else {
            FlowLogTarget::File(Rotation {
                path,
                bytes: args.flow_log_size.saturating_mul(1 << 20),
                keep: args.flow_log_keep,
            })
        },
        format: args.flow_fields.unwrap_or_default(),
        window: Duration::from_secs(args.flow_window),
    });
    Ok(Options {
        paths: context.paths.clone(),
        files: args.files,
        attaching: Attaching {
            patterns: args.attach,
            overrides: Overrides {
                groups: (!args.groups.is_empty()).then_some(args.groups),
                addresses: None,
                side: args.side.map(Into::into),
                hook: args.hook.map(Into::into),
                audit: args.audit.then_some(true),
                log: args.log.map(Into::into),
                flow_share: None,
            },
            forget_after: args.forget_after,
        },
        flow_log,
        metrics: args.metrics,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::verb::{Cli, Verb};

    fn parse(arguments: &str) -> Result<Options, String> {
        let words = ["sg-ctl", "agent"]
            .into_iter()
            .chain(arguments.split_whitespace());
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        let context = Context::new(cli.global);
        let Verb::Agent(args) = cli.verb else {
            panic!("not the verb `agent`");
        };
        options(args, &context).map_err(|error| error.to_string())
    }

    #[test]
    fn metrics_are_for_this_host_unless_said_otherwise() {
        for arguments in [
            "--metrics 127.0.0.1:9100",
            "--metrics [::1]:9100",
            "--metrics 0.0.0.0:9100 --metrics-public",
        ] {
            assert!(parse(arguments).is_ok(), "{arguments}");
        }
        for address in ["0.0.0.0:9100", "[::]:9100", "192.0.2.1:9100"] {
            let error = parse(&format!("--metrics {address}")).expect_err("it is not loopback");
            assert!(error.contains("other hosts"), "{error}");
        }
    }

    #[test]
    fn options_that_would_mean_nothing_are_refused() {
        for arguments in [
            "-f -",
            "--side workload",
            "--flow-window 30",
            "--flow-log - --flow-window 601",
            "--flow-log - --flow-fields nothing",
            "--attach [",
            "--metrics-public",
        ] {
            assert!(parse(arguments).is_err(), "{arguments}");
        }
    }
}
