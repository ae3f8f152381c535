//! This host as one of a VPC: a thread that follows it, and puts in force what it says.
//!
//! The agent does not stand still for it: whatever is compiled is compiled there, and operations of the
//! host exclude each other by the lock of the state.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use super::error::system;
use super::interfaces::is_busy;
use super::{Agent, Notice};
use crate::host::paths::Paths;
use crate::host::state::StateDir;
use crate::host::{Enforcement, Host, HostError};
use crate::vpc::claims::Reason;
use crate::vpc::etcd::EtcdError;
use crate::vpc::follow::{Done, Follower, Health, Local, TrialState, Wanted, channels};
use crate::vpc::joined::{self, Joined};

/// How often addresses are looked at when nothing says that they have changed.
const LOOK: Duration = Duration::from_secs(10);
/// How often it is looked whether another command has changed what is guarded.
const GLANCE: Duration = Duration::from_millis(500);
/// How long to wait for another operation of this host.
const BUSY: Duration = Duration::from_millis(100);
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long after its beginning a thread that has ended is begun again.
const AGAIN: Duration = Duration::from_secs(30);
/// Events that may wait to be heard.
const EVENTS: usize = 64;

/// What happened in the VPC.
#[derive(Debug)]
pub(super) enum VpcEvent {
    /// Its rules, or members of its groups, are in force.
    Enforced(Enforcement),
    /// They are not: this host cannot have them.
    Refused(HostError),
    /// Something else is known of it.
    Health(Box<Health>),
}

/// The VPC that this host belongs to, if it does.
#[derive(Debug)]
pub(super) struct Vpc {
    paths: Paths,
    events: mpsc::Sender<VpcEvent>,
    member: Option<Member>,
    /// Whether this host belongs to one for all that can be told: then it is not for rule files to say
    /// what is in force.
    pub(super) may_be_joined: bool,
    /// What was last known of it.
    pub(super) health: Option<Health>,
}

/// What ends with the membership.
#[derive(Debug)]
struct Member {
    joined: Joined,
    poke: Arc<Notify>,
    /// Whether to say farewell; dropped, it is not.
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    begun: Instant,
}

impl Vpc {
    /// None yet; what happens in one comes by the receiver.
    pub(super) fn new(paths: Paths) -> (Self, mpsc::Receiver<VpcEvent>) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let vpc = Self {
            paths,
            events,
            member: None,
            may_be_joined: false,
            health: None,
        };
        (vpc, receiver)
    }

    /// Whether this host belongs to one.
    pub(super) fn is_joined(&self) -> bool {
        self.member.is_some()
    }

    /// Looks whether this host has joined one, or left it, and is followed.
    ///
    /// # Errors
    /// When that cannot be read, or no thread can be had; when it is not followed any more.
    pub(super) fn look(&mut self) -> std::io::Result<()> {
        let joined = Joined::load(&self.paths.state);
        self.may_be_joined = !matches!(joined, Ok(None));
        let joined = joined?;
        let has_ended = |member: &Member| member.thread.is_finished();
        if self.member.as_ref().is_some_and(has_ended) {
            self.has_ended();
            let is_due = |member: &mut Member| member.begun.elapsed() >= AGAIN;
            if self.member.take_if(is_due).is_none() {
                return Err(std::io::Error::other(
                    "it has ended, and will be begun again",
                ));
            }
        }
        if self.member.as_ref().map(|member| &member.joined) == joined.as_ref() {
            return Ok(());
        }
        if let Some(left) = self.member.take() {
            self.health = None;
            let is_farewell = joined
                .as_ref()
                .is_none_or(|joined| joined.host != left.joined.host);
            if is_farewell {
                // It ends by itself when the thread has ended.
                let _ = left.stop.send(());
            }
        }
        if let Some(joined) = joined {
            let poke = Arc::new(Notify::new());
            let (stop, stopped) = oneshot::channel();
            let (paths, events) = (self.paths.clone(), self.events.clone());
            let (its_poke, its_joined) = (Arc::clone(&poke), joined.clone());
            let thread = thread::Builder::new().name("sg-vpc".to_owned());
            let thread = thread.spawn(move || {
                follow(its_joined, &paths, &its_poke, &events, stopped);
            })?;
            self.member = Some(Member {
                joined,
                poke,
                stop,
                thread,
                begun: Instant::now(),
            });
        }
        Ok(())
    }

    /// Nobody follows it now, whatever the last one said.
    fn has_ended(&mut self) {
        if let Some(health) = self.health.as_mut().filter(|health| health.connected) {
            health.away(&EtcdError::Other(
                "the thread that follows has ended".to_owned(),
            ));
            // Who asks sees what was known before; there is nobody else to tell.
            let _ = joined::save_health(&self.paths.state, &*health);
        }
    }

    /// Addresses of this host may have changed.
    pub(super) fn poke(&self) {
        if let Some(member) = &self.member {
            member.poke.notify_one();
        }
    }
}

impl Agent<'_> {
    /// Looks whether this host has joined a VPC, or left it.
    pub(super) fn look_at_vpc(&mut self) {
        let was_joined = self.vpc.is_joined();
        match self.vpc.look() {
            Ok(()) => self.succeeded("follow the VPC"),
            Err(error) => self.failed("follow the VPC", &system("look at it")(error)),
        }
        if was_joined && !self.vpc.may_be_joined {
            // They say what is in force again.
            self.files.forget();
        }
        if self.vpc.is_joined() && !was_joined && !self.files.is_empty() {
            (self.tell)(&Notice::Note(
                "this host belongs to a VPC: its rules are in force, the rule files are not read",
            ));
        }
    }

    /// Takes note of what happened in the VPC.
    pub(super) fn take_event(&mut self, event: VpcEvent) {
        match event {
            VpcEvent::Enforced(enforced) if enforced.rules_changed => {
                self.tallies.applies += 1;
                (self.tell)(&Notice::Applied {
                    generation: enforced.generation,
                    groups: enforced.groups,
                    rules: enforced.rules,
                });
                // What could not be attached may be able to carry its groups now.
                if let Ok(host) = self.host()
                    && let Err(error) = self.interfaces.retry(&host)
                {
                    self.failed("look at the interfaces", &error);
                }
                self.follow();
            }
            VpcEvent::Enforced(_) => {}
            VpcEvent::Refused(error) => {
                self.tallies.apply_errors += 1;
                self.failed("put the VPC's rules in force", &error.into());
            }
            VpcEvent::Health(health) => {
                for line in changes(self.vpc.health.as_ref(), &health) {
                    (self.tell)(&Notice::Note(&line));
                }
                self.vpc.health = Some(*health);
            }
        }
    }
}

/// Follows a VPC until this host leaves it.
fn follow(
    joined: Joined,
    paths: &Paths,
    poke: &Notify,
    events: &mpsc::Sender<VpcEvent>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let (channels, ends) = channels();
    let follower = Follower::new(joined, Some(paths.state.clone()), channels);
    // Without either nothing is followed; a name that cannot be one was refused when it was joined.
    let (Ok(runtime), Some(mut follower)) = (runtime, follower) else {
        return;
    };
    runtime.block_on(async {
        let leaves = tokio::select! {
            () = follower.run() => false,
            () = enforce(paths, ends.wanted, &ends.done, events) => false,
            () = look_at_addresses(paths, &ends.local, poke) => false,
            () = tell_health(paths, ends.health, events) => false,
            stopped = stopped => stopped.is_ok(),
        };
        if leaves {
            // Otherwise what this host has said lasts as long as its lease.
            let _ = timeout(FAREWELL, Box::pin(follower.leave())).await;
        }
    });
}

/// Puts in force what is wanted, one after the other.
async fn enforce(
    paths: &Paths,
    mut wanted: watch::Receiver<Option<Arc<Wanted>>>,
    done: &watch::Sender<Done>,
    events: &mpsc::Sender<VpcEvent>,
) {
    while wanted.changed().await.is_ok() {
        let Some(next) = wanted.borrow_and_update().clone() else {
            continue;
        };
        let result = loop {
            let (paths, next) = (paths.clone(), Arc::clone(&next));
            let work = move || {
                let (document, standing) = (next.document.clone(), next.standing.clone());
                Host::open(&paths)?.enforce(document, standing)
            };
            match spawn_blocking(work).await {
                Ok(Err(error)) if is_busy(&error) => sleep(BUSY).await,
                Ok(result) => break result,
                // The runtime ends.
                Err(_) => return,
            }
        };
        let refused = result.as_ref().err().map(|error| match error.help() {
            Some(help) => format!("{error}\nhelp: {help}"),
            None => error.to_string(),
        });
        done.send_modify(|done| {
            done.number = next.number;
            if refused.is_none() {
                (done.rules, done.revision) = (next.rules, next.revision);
            }
            done.refused = refused;
            done.took = next.begun.elapsed();
        });
        let event = match result {
            Ok(enforced) => VpcEvent::Enforced(enforced),
            Err(error) => VpcEvent::Refused(error),
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

/// Says which addresses this host has.
async fn look_at_addresses(paths: &Paths, local: &watch::Sender<Option<Local>>, poke: &Notify) {
    let directory = StateDir::new(&paths.state);
    loop {
        let paths = paths.clone();
        let found = spawn_blocking(move || Host::open(&paths)?.guarded_addresses()).await;
        // What cannot be looked at now stays as it was: nothing is withdrawn for that.
        if let Ok(Ok(addresses)) = found {
            local.send_if_modified(|known| {
                let is_new = known.as_ref() != Some(&addresses);
                *known = Some(addresses);
                is_new
            });
        }
        let mark = directory.mark();
        let then = Instant::now() + LOOK;
        while timeout(GLANCE, poke.notified()).await.is_err() {
            if directory.mark() != mark || Instant::now() >= then {
                break;
            }
        }
    }
}

/// Writes down how the VPC is, for `sg-ctl status`.
async fn tell_health(
    paths: &Paths,
    mut health: watch::Receiver<Health>,
    events: &mpsc::Sender<VpcEvent>,
) {
    while health.changed().await.is_ok() {
        let now = health.borrow_and_update().clone();
        // Who asks sees what was known before; there is nobody else to tell.
        let _ = joined::save_health(&paths.state, &now);
        if events.send(VpcEvent::Health(Box::new(now))).await.is_err() {
            return;
        }
    }
}

/// What changed for the worse or the better, in words, one line each.
fn changes(before: Option<&Health>, now: &Health) -> Vec<String> {
    let mut lines = Vec::new();
    let unknown = Health::default();
    let before = before.unwrap_or(&unknown);
    let Health { vpc, .. } = now;
    if now.connected && !before.connected {
        lines.push(format!("the VPC {vpc} is followed, by {}", now.endpoint));
    }
    if let Some(error) = &now.error
        && (before.connected || before.error.is_none())
    {
        lines.push(format!(
            "the VPC {vpc} cannot be followed, the last policy stays: {error}"
        ));
        lines.extend(now.help.iter().map(|help| format!("help: {help}")));
    }
    match now.trial.filter(|_| now.trial != before.trial) {
        Some(TrialState::Running) => lines.push(format!(
            "the VPC's rules wait to be confirmed, at revision {}",
            now.rules_wanted
        )),
        Some(TrialState::Lapsed) => lines.push(format!(
            "the VPC's rules of revision {} were not confirmed in time: those before are in force",
            now.rules_wanted
        )),
        None => {}
    }
    let mut tell = |what: &str, before: Option<&String>, now: Option<&String>| match now {
        Some(text) if before != now => lines.push(format!("{what}: {text}")),
        _ => {}
    };
    let (old, new) = (before.rules_refused.as_ref(), now.rules_refused.as_ref());
    tell("the VPC's rules are not in force here", old, new);
    let (old, new) = (before.unwritten.as_ref(), now.unwritten.as_ref());
    tell("this host's addresses are not written", old, new);
    let bad = |health: &Health| health.damaged.first().cloned();
    tell(
        "a record is not understood",
        bad(before).as_ref(),
        bad(now).as_ref(),
    );
    if now.conflict_count > before.conflict_count
        && let Some(conflict) = now.conflicts.first()
    {
        lines.push(format!(
            "{} is claimed twice: it belongs to {}, and the claim of {} is void meanwhile",
            conflict.address, conflict.holder, conflict.void
        ));
    }
    if now.refused_count > before.refused_count
        && let Some(refused) = now.refused.first()
    {
        let why = match refused.reason {
            Reason::NotAssigned | Reason::Outside(_) => "the rules do not say so",
            Reason::TooMany => "with more addresses than count",
        };
        lines.push(format!(
            "{} claims membership of {}: {why}",
            refused.place, refused.group
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_said_once() {
        let away = Health {
            vpc: "prod".to_owned(),
            error: Some("etcd cannot be reached".to_owned()),
            help: Some("look whether it runs".to_owned()),
            ..Health::default()
        };
        assert_eq!(changes(None, &away).len(), 2);
        let still = Health {
            error: Some("etcd cannot be reached: another node".to_owned()),
            ..away.clone()
        };
        assert_eq!(changes(Some(&away), &still), Vec::<String>::new());
        let back = Health {
            connected: true,
            endpoint: "https://a:2379".to_owned(),
            error: None,
            ..away.clone()
        };
        assert_eq!(
            changes(Some(&still), &back),
            ["the VPC prod is followed, by https://a:2379"]
        );
    }
}
