//! What wakes the agent: signals, files, moments; and what it tells systemd.

use std::path::PathBuf;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::AgentError;
use super::error::system;
use super::files::FileWatch;

/// The signals that the agent knows.
pub(super) struct Signals {
    pub(super) interrupt: Signal,
    pub(super) terminate: Signal,
    pub(super) hangup: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, AgentError> {
        let listen = |kind| signal(kind).map_err(system("listen for signals"));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }
}

/// Watches files on a task of its own, which ends when the receiver is dropped.
pub(super) fn watch_files(files: &[PathBuf]) -> Result<Option<mpsc::Receiver<()>>, AgentError> {
    if files.is_empty() {
        return Ok(None);
    }
    let watch = FileWatch::open(files)?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = sender.closed() => return,
                () = watch.changed() => {}
            }
            // One that waits to be heard stands for this one, too.
            let _ = sender.try_send(());
        }
    });
    Ok(Some(receiver))
}

/// Tells systemd, if it started us.
pub(super) fn systemd(state: &[NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(state);
}

/// The next message, or none for ever.
pub(super) async fn next<T>(receiver: &mut Option<mpsc::Receiver<T>>) -> T {
    if let Some(receiver) = receiver
        && let Some(message) = receiver.recv().await
    {
        return message;
    }
    std::future::pending().await
}

/// A moment, or never.
pub(super) async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
