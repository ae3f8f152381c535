//! How a command ends that did not do what it was asked: message, remedy, exit status.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue};
use schemars::JsonSchema;
use serde::Serialize;
use sg_ctl::agent::AgentError;
use sg_ctl::host::HostError;
use sg_ctl::host::dataplane::DataplaneError;
use sg_ctl::replay::{CaptureError, ReplayError};
use sg_ctl::vpc::etcd::EtcdError;
use sg_policy::compile::CompileError;
use sg_policy::rulefile::{Diagnostic, Report};

use crate::verb::Cli;
use crate::verb::output::{Tone, counted, note};

/// Exit status: what was asked is refused, or the input is bad. Nothing was changed.
pub(crate) const REFUSED: u8 = 1;
/// Exit status: the system did not do what it was asked to.
const SYSTEM: u8 = 2;

/// Input that cannot be taken, with a remedy.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Refusal {
    message: String,
    help: String,
}

/// A refusal: what is wrong, and what to do about it.
pub(crate) fn refusal(message: impl Into<String>, help: impl Into<String>) -> anyhow::Error {
    let (message, help) = (message.into(), help.into());
    Refusal { message, help }.into()
}

/// Ends a command whose command line was not understood, or that asked for help.
pub(crate) fn usage(mut error: clap::Error, json: bool) -> ExitCode {
    show_whole_usage(&mut error);
    if json && error.use_stderr() {
        let text = error.to_string();
        let (what, how) = text.split_once("\n\n").unwrap_or((&text, ""));
        return print(&Failure {
            error: what.trim_start_matches("error: ").trim().to_owned(),
            help: Some(how.trim().to_owned()).filter(|how| !how.is_empty()),
            findings: &[],
            status: REFUSED,
        });
    }
    // Nobody is left to tell when the stream is closed.
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::from(REFUSED)
    } else {
        ExitCode::SUCCESS
    }
}

/// Shows how the verb is used, in place of the options that were given: among these clap counts those
/// that the environment sets, as if they were needed.
fn show_whole_usage(error: &mut clap::Error) {
    let Some(ContextValue::StyledStr(shown)) = error.get(ContextKind::Usage) else {
        return;
    };
    let shown = shown.to_string();
    let mut command = Cli::command();
    command.build();
    // Behind the word `Usage:` and the program's name.
    for word in shown.split_whitespace().skip(2) {
        let Some(verb) = command.find_subcommand(word).cloned() else {
            break;
        };
        command = verb;
    }
    let usage = ContextValue::StyledStr(command.render_usage());
    error.insert(ContextKind::Usage, usage);
}

/// Ends a command that failed.
pub(crate) fn report(error: &anyhow::Error, verbose: bool) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    note(message(error, verbose));
    ExitCode::from(status(error))
}

/// A failure as JSON.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Failure<'a> {
    error: String,
    help: Option<String>,
    findings: &'a [Diagnostic],
    status: u8,
}

/// Ends a command that failed and whose output is JSON: the error is a document on standard error.
pub(crate) fn report_json(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    print(&failure(error))
}

fn failure(error: &anyhow::Error) -> Failure<'_> {
    let findings = error.downcast_ref::<Report>();
    Failure {
        error: match findings {
            Some(report) => counted(report.errors() as u64, "error"),
            None => causes(error).join(": "),
        },
        help: error.chain().find_map(help),
        findings: findings.map_or(&[], |report| &report.diagnostics),
        status: status(error),
    }
}

fn print(failure: &Failure<'_>) -> ExitCode {
    // Text and numbers are always JSON.
    note(serde_json::to_string(failure).unwrap_or_default());
    ExitCode::from(failure.status)
}

/// Whether the reader of our output went away, which is its right (`sg-ctl flows | head`).
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io_error = error.downcast_ref::<io::Error>();
    io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The message with its causes and the remedy.
fn message(error: &anyhow::Error, verbose: bool) -> String {
    if let Some(report) = error.downcast_ref::<Report>() {
        // Diagnostics bring their own marks.
        return report.to_string();
    }
    let separator = if verbose { "\n  caused by: " } else { ": " };
    let causes = causes(error);
    let mut lines = vec![format!(
        "{} {}",
        Tone::Bad.paint("error:"),
        causes.join(separator)
    )];
    if let Some(help) = error.chain().find_map(help) {
        lines.push(format!("{} {help}", Tone::Heading.paint("help:")));
    }
    lines.join("\n")
}

/// What went wrong, and why.
fn causes(error: &anyhow::Error) -> Vec<String> {
    let mut causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    // Some errors already repeat their cause.
    causes.dedup_by(|cause, error| error.ends_with(cause.as_str()));
    causes
}

fn help(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(refusal) = error.downcast_ref::<Refusal>() {
        return Some(refusal.help.clone());
    }
    if let Some(error) = error.downcast_ref::<HostError>() {
        return error.help();
    }
    if let Some(error) = error.downcast_ref::<AgentError>() {
        return error.help();
    }
    if let Some(error) = error.downcast_ref::<EtcdError>() {
        return error.help().map(str::to_owned);
    }
    // `explain` and `replay` compile without a host.
    if let Some(error) = error.downcast_ref::<CompileError>() {
        return error.help();
    }
    if let Some(error) = error.downcast_ref::<CaptureError>() {
        return Some(error.help().to_owned());
    }
    error.downcast_ref::<DataplaneError>()?.help()
}

/// The exit status: that of the error in the chain that knows best.
fn status(error: &anyhow::Error) -> u8 {
    let is_refusal = error.chain().any(|error| {
        error.is::<Refusal>()
            || error.is::<Report>()
            || error.is::<CaptureError>()
            || matches!(
                error.downcast_ref(),
                Some(EtcdError::Denied(_) | EtcdError::Access(_))
            )
            || matches!(error.downcast_ref(), Some(ReplayError::Compile(_)))
            || error
                .downcast_ref::<HostError>()
                .is_some_and(HostError::is_refusal)
            || error
                .downcast_ref::<AgentError>()
                .is_some_and(AgentError::is_refusal)
            || error
                .downcast_ref::<DataplaneError>()
                .is_some_and(DataplaneError::is_refusal)
    });
    if is_refusal { REFUSED } else { SYSTEM }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    fn plain(error: &anyhow::Error, verbose: bool) -> String {
        anstream::adapter::strip_str(&message(error, verbose)).to_string()
    }

    #[test]
    fn a_refusal_has_a_remedy_and_status_1() {
        let error = refusal("no group `web`", "add it to a rule file");
        assert_eq!(
            plain(&error, false),
            "error: no group `web`\nhelp: add it to a rule file"
        );
        assert_eq!(status(&error), 1);
    }

    #[test]
    fn a_failure_is_a_document_where_output_is_one() {
        let error = refusal("no group `web`", "add it").context("cannot attach to eth0");
        assert_eq!(
            serde_json::to_value(failure(&error)).expect("it is JSON"),
            serde_json::json!({
                "error": "cannot attach to eth0: no group `web`",
                "help": "add it",
                "findings": [],
                "status": 1,
            })
        );
    }

    #[test]
    fn causes_stand_on_one_line_or_each_on_its_own() {
        let error = Err::<(), _>(io::Error::other("disk is full"))
            .context("cannot write the state")
            .unwrap_err();
        assert_eq!(
            plain(&error, false),
            "error: cannot write the state: disk is full"
        );
        assert_eq!(
            plain(&error, true),
            "error: cannot write the state\n  caused by: disk is full"
        );
        assert_eq!(status(&error), 2);
    }

    #[test]
    fn errors_of_the_library_keep_their_remedy_and_status() {
        let error = anyhow::Error::from(DataplaneError::NotPermitted {
            missing: vec!["CAP_BPF"],
        })
        .context("cannot attach to eth0");
        assert!(plain(&error, false).contains("\nhelp: "), "{error:#}");
        assert_eq!(status(&error), 1);
    }

    #[test]
    fn usage_shows_global_options_as_optional() {
        use clap::Parser as _;
        for (words, usage) in [
            (
                &["--state-dir", "/x", "attach"][..],
                "attach [OPTIONS] <IFACE>",
            ),
            (
                &["attach", "eth0", "--hok", "tc"],
                "attach [OPTIONS] <IFACE>",
            ),
            (
                &["--pin-dir", "/x", "flows", "kill", "--no"],
                "flows kill [OPTIONS]",
            ),
        ] {
            let all = ["sg-ctl"].iter().chain(words);
            let mut error = Cli::try_parse_from(all).expect_err("it is wrong");
            show_whole_usage(&mut error);
            let text = error.to_string();
            assert!(text.contains(&format!("Usage: sg-ctl {usage}\n")), "{text}");
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(is_broken_pipe(&error));
        assert!(!is_broken_pipe(&io::Error::other("disk is full").into()));
    }
}
