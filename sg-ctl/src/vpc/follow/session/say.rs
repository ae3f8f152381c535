//! What a host says to its VPC: which addresses it has, and what it enforces.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tokio::time::Instant;

use super::{GATHER, REPORT, Session};
use crate::vpc::etcd::EtcdError;
use crate::vpc::follow::{Follower, unix_seconds};
use crate::vpc::joined;
use crate::vpc::keys::{Key, RecordKey};
use crate::vpc::record::{self, Claimed, Enforced, MAX_UNASSIGNED, is_member};

impl Follower {
    /// Makes the lease last; a new one takes all of this host's keys.
    pub(super) async fn keep_lease(&mut self, session: &mut Session) -> Result<(), EtcdError> {
        let Some(lease) = self.lease else {
            return self.publish(session).await;
        };
        match session.etcd.keep(lease).await {
            Err(EtcdError::NoLease) => {
                self.lease = None;
                session.reported = None;
                self.publish(session).await
            }
            result => result,
        }
    }

    /// Writes what this host brings into its groups, where that has changed. What etcd refuses to take
    /// is tried again later.
    pub(super) async fn publish(&mut self, session: &mut Session) -> Result<(), EtcdError> {
        match self.try_publish(session).await {
            Err(error @ (EtcdError::Denied(_) | EtcdError::NoSpace | EtcdError::Other(_))) => {
                let help = error
                    .help()
                    .map(|help| format!("\nhelp: {help}"))
                    .unwrap_or_default();
                self.tell(|health| health.unwritten = Some(format!("{error}{help}")));
                Ok(())
            }
            Err(EtcdError::NoLease) => {
                self.lease = None;
                self.tell(|health| health.unwritten = Some(EtcdError::NoLease.to_string()));
                Ok(())
            }
            Ok(()) => {
                self.tell(|health| health.unwritten = None);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn try_publish(&mut self, session: &mut Session) -> Result<(), EtcdError> {
        session.unassigned = self.unassigned();
        let is_kept = self.lease.is_some() && self.unleased.is_empty();
        if is_kept && self.own(&session.own, 0) == session.own {
            return Ok(());
        }
        let lease = if let Some(lease) = self.lease {
            lease
        } else {
            let lease = session.etcd.grant(self.joined.ttl).await?;
            self.unleased = self.own(&session.own, 0).into_keys().collect();
            session.reported = None;
            *self.lease.insert(lease)
        };
        // By the leader's word: an address that comes here was claimed elsewhere before.
        let tip = session.etcd.tip(&self.keys.rules()).await?;
        let own = self.own(&session.own, tip.revision);
        self.unleased.retain(|key| own.contains_key(key));
        let gone = session.own.keys().filter(|key| !own.contains_key(key));
        let gone: Vec<_> = gone.cloned().collect();
        let is_said = |key: &RecordKey, claimed: &Claimed| {
            session.own.get(key) == Some(claimed) && !self.unleased.contains(key)
        };
        let changed = own
            .into_iter()
            .filter(|(key, claimed)| !is_said(key, claimed));
        let changed: Vec<_> = changed.collect();
        // One group that this host may not write must not keep it from the others.
        let mut refused = None;
        for (key, claimed) in changed {
            let pair = (self.keys.record(&key), record::write(&claimed));
            match session.etcd.put(vec![pair], Some(lease)).await {
                Ok(_) => {
                    self.unleased.remove(&key);
                    session.own.insert(key, claimed);
                }
                Err(error @ (EtcdError::Denied(_) | EtcdError::Other(_))) => {
                    refused = refused.or(Some(error));
                }
                Err(error) => return Err(error),
            }
        }
        for key in gone {
            let pair = (self.keys.record(&key), record::write(&Claimed::new()));
            match session.etcd.put(vec![pair], Some(lease)).await {
                // Whoever takes a group from a host takes its right to say so, too: the rules do not
                // count the record any more.
                Ok(_) | Err(EtcdError::Denied(_)) => drop(session.own.remove(&key)),
                Err(error @ EtcdError::Other(_)) => refused = refused.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// When this host is to say what it enforces.
    pub(super) fn report_at(&self, session: &Session) -> Option<Instant> {
        self.lease?;
        match &session.reported {
            None => Some(Instant::now()),
            Some((last, at)) => {
                let now = self.enforced(session, last.clock);
                // Whoever has changed the rules waits for it.
                let pause = if now.rules == last.rules {
                    REPORT
                } else {
                    GATHER
                };
                (now != *last).then(|| *at + pause)
            }
        }
    }

    /// Interfaces of this host that no groups are assigned to.
    fn unassigned(&self) -> BTreeMap<String, BTreeSet<IpAddr>> {
        let local = self.channels.local.borrow();
        let (Some(model), Some(local)) = (self.model(), &*local) else {
            return BTreeMap::new();
        };
        let (interfaces, addresses) = MAX_UNASSIGNED;
        let assigned = model.assignments().of(&self.joined.host);
        local
            .iter()
            .filter(|(name, _)| assigned.interface(name).is_none())
            .take(interfaces)
            .map(|(name, all)| {
                let own = all.iter().copied().filter(|address| is_member(*address));
                (name.clone(), own.take(addresses).collect())
            })
            .collect()
    }

    fn enforced(&self, session: &Session, clock: u64) -> Enforced {
        let done = self.channels.done.borrow();
        Enforced {
            rules: done.rules,
            revision: done.revision,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            clock,
            unassigned: session.unassigned.clone(),
            refused: self
                .health
                .rules_refused
                .as_ref()
                .map(|text| text.chars().take(200).collect()),
        }
    }

    pub(super) async fn report(&mut self, session: &mut Session) -> Result<(), EtcdError> {
        let enforced = self.enforced(session, unix_seconds());
        let pair = (self.keys.enforced(&self.joined.host), enforced.write());
        let written = session.etcd.put(vec![pair], self.lease).await;
        session.reported = Some((enforced, Instant::now()));
        match written {
            Ok(_) | Err(EtcdError::Denied(_) | EtcdError::NoSpace) => Ok(()),
            Err(EtcdError::NoLease) => {
                self.lease = None;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Looks which hosts are behind.
    pub(super) async fn look_around(&mut self, session: &mut Session) -> Result<(), EtcdError> {
        const MOST: usize = 20;
        let (pairs, _) = session.etcd.all(&self.keys.all_enforced(), None).await?;
        let wanted = self.rules.as_ref().map_or(0, |kept| kept.revision);
        let mut behind = Vec::new();
        for pair in &pairs {
            if let Some(Key::Enforced(host)) = self.keys.parse(&pair.key) {
                let enforced = Enforced::read(&pair.value);
                if enforced.is_none_or(|enforced| enforced.rules < wanted) {
                    behind.push(host);
                }
            }
        }
        behind.truncate(MOST);
        let revision = self.revision;
        self.tell(|health| {
            health.hosts = pairs.len();
            health.behind = behind;
            health.revision = revision;
        });
        Ok(())
    }

    pub(super) fn write_cache(&self, session: &mut Session) {
        if let Some(state) = self.cache.as_deref().filter(|_| session.cache_is_old) {
            let bytes = self.claims.to_cache(self.revision);
            // Without it the next agent knows less, and no harm is done.
            session.cache_is_old = joined::save_cache(state, &bytes).is_err();
        }
    }
}
