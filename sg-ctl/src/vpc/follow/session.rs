//! One connection's time: a snapshot, then what changes.

mod say;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{EventType, WatchResponse, WatchStream};
use sg_policy::model::GroupId;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep_until};

use super::health::TrialState;
use super::{Follower, Known, followed, jitter};
use crate::vpc::Document;
use crate::vpc::claims::{Found, Join};
use crate::vpc::etcd::{Etcd, EtcdError, Pair};
use crate::vpc::keys::{Key, RecordKey};
use crate::vpc::record::{self, Claimed, Enforced};
use crate::vpc::trial::Rules;

/// How long changes are gathered before they are handed on.
const GATHER: Duration = Duration::from_millis(25);
/// The longest rest after one was enforced.
const REST_MOST: Duration = Duration::from_secs(1);
/// How much longer nothing is handed on than it took to enforce the last ones: so that, however many
/// changes come, following takes less than a third of one processor. What comes alone does not wait.
const REST: f64 = 2.0;
/// How often this host says what it enforces, at most; that it enforces other rules it says at once.
const REPORT: Duration = Duration::from_secs(1);
/// How often what could not be written is tried again, and the cache is written.
const RETRY: Duration = Duration::from_secs(5);
/// How often it is looked which hosts are behind.
const LOOK_AROUND: Duration = Duration::from_secs(30);

/// What lasts as long as a snapshot does.
struct Session {
    etcd: Etcd,
    followed: BTreeSet<GroupId>,
    /// What this host has written.
    own: BTreeMap<RecordKey, Claimed>,
    /// Interfaces of this host that no groups are assigned to.
    unassigned: BTreeMap<String, BTreeSet<IpAddr>>,
    /// When what has changed is to be handed on.
    hand_on_at: Option<Instant>,
    /// What was written last of what is enforced, and when.
    reported: Option<(Enforced, Instant)>,
    /// Whether the cache is behind.
    cache_is_old: bool,
    /// Whether this host may carry other groups now.
    rules_are_new: bool,
}

impl Session {
    /// Something has changed: it is handed on soon, together with what else changes until then.
    fn changed(&mut self) {
        self.hand_on_at
            .get_or_insert_with(|| Instant::now() + GATHER);
    }
}

/// Why a snapshot is done with, without any error.
enum Again {
    /// The rules name other groups.
    Groups,
}

impl Follower {
    /// Follows by one node, until it fails.
    pub(super) async fn follow_node(&mut self, first: usize) -> Result<Infallible, EtcdError> {
        let mut etcd = Etcd::connect(&self.joined.etcd, &self.keys.rules(), first).await?;
        loop {
            let (mut session, stream) = self.snapshot(etcd).await?;
            let endpoint = session.etcd.endpoint().to_owned();
            self.tell(|health| health.here(&endpoint));
            let Again::Groups = self.serve(&mut session, stream).await?;
            etcd = session.etcd;
        }
    }

    /// Reads everything as it is at one revision, and begins to watch.
    async fn snapshot(&mut self, mut etcd: Etcd) -> Result<(Session, WatchStream), EtcdError> {
        let (rules, tip) = etcd.get(&self.keys.rules()).await?;
        if tip.cluster != self.joined.cluster {
            return Err(EtcdError::Access(format!(
                "this is another etcd than the VPC's ({:x}, not {:x}): the last policy stays in \
                 force; if it is meant, join again",
                tip.cluster, self.joined.cluster
            )));
        }
        if tip.revision < self.revision {
            return Err(EtcdError::Access(format!(
                "this etcd is older than it was (revision {}, not {}), as after a restored backup: \
                 the last policy stays in force; if it is meant, join again",
                tip.revision, self.revision
            )));
        }
        self.take_rules(rules);
        let (marks, _) = etcd.all(&self.keys.trial(), Some(tip.revision)).await?;
        self.take_mark(marks.first().map(|pair| &pair.value[..]));
        let followed = self.followed.clone();
        let mut all = Vec::new();
        for group in &followed {
            let prefix = self.keys.group(group);
            let (pairs, _) = etcd.all(&prefix, Some(tip.revision)).await?;
            all.extend(pairs.into_iter().filter_map(|pair| self.found(pair)));
        }
        let now = self.now();
        self.claims.resync(&followed, all, now);
        self.revision = tip.revision;
        let own = self.own_in(&mut etcd, tip.revision).await?;
        let mut keys = vec![self.keys.rules(), self.keys.trial()];
        keys.extend(followed.iter().map(|group| self.keys.group(group)));
        let stream = etcd.watch(&keys, tip.revision + 1).await?;
        let session = Session {
            etcd,
            followed,
            own,
            unassigned: BTreeMap::new(),
            hand_on_at: Some(Instant::now()),
            reported: None,
            cache_is_old: true,
            rules_are_new: false,
        };
        Ok((session, stream))
    }

    /// What the store has of this host. What an agent before this one wrote is to be written again.
    async fn own_in(
        &mut self,
        etcd: &mut Etcd,
        revision: u64,
    ) -> Result<BTreeMap<RecordKey, Claimed>, EtcdError> {
        let mut own = BTreeMap::new();
        let mut carried: BTreeSet<GroupId> = BTreeSet::new();
        for model in self.models() {
            let interfaces = model.assignments().of(&self.joined.host);
            let names = interfaces.entries().flat_map(|(_, spec)| &spec.groups);
            let groups = names.filter_map(|name| model.group(name));
            carried.extend(groups.map(|group| group.id.clone()));
        }
        for group in carried {
            let prefix = self.keys.group_of_host(&group, &self.joined.host);
            let (pairs, _) = etcd.all(&prefix, Some(revision)).await?;
            for pair in pairs {
                let is_kept = Some(pair.lease) == self.lease;
                if let Some(found) = self.found(pair)
                    && let Ok(claimed) = record::read(&found.value)
                {
                    if !is_kept {
                        self.unleased.insert(found.key.clone());
                    }
                    own.insert(found.key, claimed);
                }
            }
        }
        Ok(own)
    }

    fn found(&self, pair: Pair) -> Option<Found> {
        match self.keys.parse(&pair.key)? {
            Key::Record(key) => Some(Found {
                key,
                value: pair.value,
                created: pair.created,
                modified: pair.modified,
            }),
            _ => None,
        }
    }

    /// Takes rules, or keeps those that there are.
    fn take_rules(&mut self, pair: Option<Pair>) {
        let Some(pair) = pair else {
            let help =
                "put rules there: `sg-ctl apply -f …` on a host with an administrator's access";
            self.tell(|health| {
                health.rules_refused = Some(format!(
                    "the VPC has no rules: the last policy stays in force\nhelp: {help}"
                ));
            });
            return;
        };
        if self
            .rules
            .as_ref()
            .is_some_and(|kept| kept.revision == pair.modified)
        {
            return;
        }
        let refused = match self.reader.read(&pair.value) {
            Ok(rules) => {
                // A trial that goes on has the same id; a new one has its key from the same revision on.
                let id = |rules: &Rules| rules.trial.as_ref().map(|trial| trial.id);
                let is_same = |known: &&Known| id(&known.rules) == id(&rules);
                let known = self.rules.as_ref().filter(is_same);
                let has_lapsed = known.is_some_and(|known| known.has_lapsed);
                self.know(Known {
                    revision: pair.modified,
                    rules: Arc::new(rules),
                    has_lapsed,
                });
                None
            }
            Err(error) => Some(format!("{error}\nhelp: {}", error.help())),
        };
        self.tell(|health| {
            health.rules_wanted = pair.modified;
            health.rules_refused = refused;
        });
    }

    /// Takes what the key of a trial holds now: without its own the rules on trial have lapsed.
    fn take_mark(&mut self, mark: Option<&[u8]>) {
        if let Some(known) = &self.rules {
            let has_lapsed = known.rules.has_lapsed(mark);
            if has_lapsed != known.has_lapsed {
                self.know(Known {
                    has_lapsed,
                    ..known.clone()
                });
            }
        }
    }

    /// Other rules count from now on.
    fn know(&mut self, known: Known) {
        let trial = match (known.trial(), known.has_lapsed) {
            (Some(_), _) => Some(TrialState::Running),
            (None, true) => Some(TrialState::Lapsed),
            (None, false) => None,
        };
        let host = &self.joined.host;
        let models = || known.documents().map(Document::model);
        self.followed = models().flat_map(|model| followed(model, host)).collect();
        // Most changes are of rules alone: who is a member goes on as it is.
        let models = self.models().zip(models());
        let goes_on: Vec<bool> = models.map(|(old, new)| old.assigns_as(new)).collect();
        for (number, join) in self.joins.iter_mut().enumerate() {
            if goes_on.get(number) != Some(&true) {
                *join = Join::default();
            }
        }
        self.rules = Some(known);
        self.tell(|health| health.trial = trial);
    }

    /// Follows what changes.
    async fn serve(
        &mut self,
        session: &mut Session,
        mut stream: WatchStream,
    ) -> Result<Again, EtcdError> {
        let mut keep = interval_at(
            Instant::now(),
            (self.joined.ttl / 3).max(Duration::from_secs(1)),
        );
        let mut retry = interval(RETRY);
        let around = Instant::now() + jitter(LOOK_AROUND);
        let mut around = interval_at(around, LOOK_AROUND);
        for each in [&mut keep, &mut retry, &mut around] {
            each.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        self.publish(session).await?;
        loop {
            let is_idle = self.channels.done.borrow().number >= self.number;
            let hand_on_at = session.hand_on_at.filter(|_| is_idle);
            let hand_on_at = hand_on_at.map(|at| at.max(self.rests_until));
            let expiry = self.claims.next_expiry(self.grace());
            let expiry = expiry.map(|at| self.begin + Duration::from_millis(at));
            let report_at = self.report_at(session);
            tokio::select! {
                message = stream.message() => {
                    let message = message.map_err(EtcdError::from)?;
                    let message = message
                        .ok_or_else(|| EtcdError::Away("the watch has ended".to_owned()))?;
                    if self.take(session, &message)? {
                        return Ok(Again::Groups);
                    }
                    if std::mem::take(&mut session.rules_are_new) {
                        self.publish(session).await?;
                    }
                }
                () = at(hand_on_at) => {
                    session.hand_on_at = None;
                    session.cache_is_old = true;
                    self.hand_on();
                }
                () = at(expiry) => {
                    if self.claims.expire(self.now(), self.grace()) {
                        session.changed();
                    }
                }
                () = at(report_at) => self.report(session).await?,
                changed = self.channels.done.changed() => {
                    changed.map_err(|_closed| ended())?;
                    self.note_done();
                }
                changed = self.channels.local.changed() => {
                    changed.map_err(|_closed| ended())?;
                    self.publish(session).await?;
                }
                _ = keep.tick() => self.keep_lease(session).await?,
                _ = retry.tick() => {
                    if self.health.unwritten.is_some() {
                        self.publish(session).await?;
                    }
                    self.write_cache(session);
                }
                _ = around.tick() => self.look_around(session).await?,
            }
        }
    }

    /// Takes what a watch says; returns whether a new snapshot is needed.
    fn take(&mut self, session: &mut Session, message: &WatchResponse) -> Result<bool, EtcdError> {
        if message.compact_revision() != 0 {
            return Err(EtcdError::Compacted);
        }
        if message.canceled() {
            return Err(EtcdError::Away(message.cancel_reason().to_owned()));
        }
        let revision = message
            .header()
            .map_or(0, |header| header.revision().cast_unsigned());
        self.revision = self.revision.max(revision);
        let now = self.now();
        for event in message.events() {
            let Some(kv) = event.kv() else {
                continue;
            };
            let is_put = event.event_type() == EventType::Put;
            match self.keys.parse(kv.key()) {
                Some(Key::Rules) => {
                    let pair = is_put.then(|| Pair {
                        key: kv.key().to_vec(),
                        value: kv.value().to_vec(),
                        created: kv.create_revision().cast_unsigned(),
                        modified: kv.mod_revision().cast_unsigned(),
                        lease: kv.lease(),
                    });
                    self.take_rules(pair);
                    session.rules_are_new = true;
                }
                Some(Key::Record(key)) if is_put => self.claims.put(Found {
                    key,
                    value: kv.value().to_vec(),
                    created: kv.create_revision().cast_unsigned(),
                    modified: kv.mod_revision().cast_unsigned(),
                }),
                Some(Key::Record(key)) => self.claims.delete(&key, now),
                // A key that is put is that of rules which come with it. One that is gone before the
                // rules that are known was another trial's.
                Some(Key::Trial) => {
                    let modified = kv.mod_revision().cast_unsigned();
                    let is_of_these =
                        |known: &Known| known.trial().is_some() && known.revision < modified;
                    if is_put || !self.rules.as_ref().is_some_and(is_of_these) {
                        continue;
                    }
                    self.take_mark(None);
                    session.rules_are_new = true;
                }
                Some(Key::Previous | Key::Enforced(_)) | None => continue,
            }
            session.changed();
        }
        Ok(self.followed != session.followed)
    }

    fn note_done(&mut self) {
        let done = self.channels.done.borrow().clone();
        self.rests_until = Instant::now() + done.took.mul_f64(REST).min(REST_MOST);
        self.tell(|health| {
            health.rules_enforced = done.rules;
            if done.refused.is_some() || done.rules == health.rules_wanted {
                health.rules_refused = done.refused;
            }
        });
    }
}

/// Whoever enforces has ended.
fn ended() -> EtcdError {
    EtcdError::Other("nobody enforces".to_owned())
}

/// A moment, or never.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
