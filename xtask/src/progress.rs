//! One line per step: what is done, what came of it, how long it took.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, IsTerminal, Write},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// Lines of a failed program's output that its error shows.
const TAIL: usize = 30;

/// A step in progress. Dropped without [`Step::done`], it reports a failure.
#[must_use]
pub(crate) struct Step {
    title: String,
    started: Instant,
    /// Turns on terminals only.
    spinner: Option<ProgressBar>,
    ended: bool,
}

impl Step {
    /// Announces that `subject` is being worked on; `doing` says how, and how long if it is long.
    pub(crate) fn start(subject: &str, doing: &str) -> Self {
        let title = format!("{subject}: {doing}");
        let spinner = std::io::stderr().is_terminal().then(|| {
            let spinner = ProgressBar::new_spinner().with_message(title.clone());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
                spinner.set_style(style);
            }
            spinner.enable_steady_tick(Duration::from_millis(100));
            spinner
        });
        if spinner.is_none() {
            eprint!("{title} ... ");
            let _ = std::io::stderr().flush();
        }
        Self {
            title,
            started: Instant::now(),
            spinner,
            ended: false,
        }
    }

    /// Reports a step that had nothing to do.
    pub(crate) fn present(subject: &str, what: &str) {
        eprintln!("{subject}: {what}");
    }

    /// Reports success.
    pub(crate) fn done(mut self, outcome: &str) {
        self.end(outcome);
    }

    /// Runs a program out of sight; its last line stands beside the spinner.
    ///
    /// # Errors
    /// When it cannot be started or fails: with the end of what it wrote.
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        self.run_with_input(command, Stdio::null())
    }

    /// As [`Step::run`], with something to read.
    ///
    /// # Errors
    /// As [`Step::run`].
    pub(crate) fn run_with_input(
        &self,
        command: &mut Command,
        input: impl Into<Stdio>,
    ) -> Result<()> {
        let name = command.get_program().to_string_lossy().into_owned();
        let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
        let spawned = command
            .stdin(input)
            .stdout(writer.try_clone().context("cannot share a pipe")?)
            .stderr(writer)
            .spawn();
        // The command still holds its ends of the pipes, and pipes close with their last copy.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = spawned.with_context(|| format!("cannot run `{name}`"))?;
        let mut tail = VecDeque::new();
        for line in BufReader::new(reader).split(b'\n') {
            let line = line.with_context(|| format!("cannot read from `{name}`"))?;
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if let Some(spinner) = &self.spinner {
                spinner.set_message(format!("{}: {}", self.title, line.trim()));
            }
            if tail.len() == TAIL {
                tail.pop_front();
            }
            tail.push_back(line);
        }
        let status = child
            .wait()
            .with_context(|| format!("cannot wait for `{name}`"))?;
        if !status.success() {
            let output: Vec<_> = tail.into();
            bail!("`{name}` failed ({status}):\n{}", output.join("\n"));
        }
        Ok(())
    }

    fn end(&mut self, outcome: &str) {
        self.ended = true;
        let seconds = self.started.elapsed().as_secs_f32();
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
            eprint!("{} ... ", self.title);
        }
        eprintln!("{outcome} ({seconds:.1} s)");
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.ended {
            self.end("failed");
        }
    }
}
