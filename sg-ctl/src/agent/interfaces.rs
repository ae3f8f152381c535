//! Which interfaces the agent attaches, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::{AgentError, Notice};
use crate::host::dataplane::Interface;
use crate::host::state::{Overrides, State, StateError};
use crate::host::{BATCH, Coming, Guard, Host, HostError, Target};
use sg_policy::model::Pattern;

/// What the agent attaches by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attaching {
    /// Names of interfaces, with `*`, `?` and `[…]`.
    pub patterns: Vec<Pattern>,
    /// What wins over the rule files for interfaces that match.
    pub overrides: Overrides,
    /// How long an interface that a pattern meant may be gone before it is forgotten.
    pub forget_after: Duration,
}

impl Attaching {
    fn wants(&self, interface: &Interface) -> bool {
        // A loopback must be asked for by its name.
        let is_meant =
            |pattern: &&Pattern| !interface.loopback || pattern.as_str() == interface.name.as_str();
        let mut patterns = self.patterns.iter().filter(is_meant);
        patterns.any(|pattern| pattern.matches(&interface.name))
    }

    /// Whether an interface is wanted by its name.
    fn names(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.as_str() == name)
    }
}

/// What is known of interfaces since the last look.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    attaching: Attaching,
    /// Index of interfaces that are attached, or were, or could not be. What has been detached by
    /// hand stays so until there is another interface of the name; the state knows it, too.
    settled: BTreeMap<String, u32>,
    /// Index of those that could not be.
    failed: BTreeMap<String, u32>,
    /// Index of those that were told to stay detached.
    told: BTreeMap<String, u32>,
    /// Since when interfaces that a pattern meant are gone.
    gone: BTreeMap<String, Instant>,
    /// What the policy was compiled with.
    members: Option<Vec<(u32, Vec<IpAddr>)>>,
}

impl Interfaces {
    pub(super) fn new(attaching: Attaching) -> Self {
        Self {
            attaching,
            ..Self::default()
        }
    }

    /// Gives interfaces another try that could not be attached.
    pub(super) fn retry(&mut self, host: &Host) -> Result<(), AgentError> {
        let guarded: BTreeSet<String> = host
            .guards()?
            .into_iter()
            .filter(|(_, guard)| guard.holds())
            .map(|(name, _)| name)
            .collect();
        self.settled.retain(|name, _| guarded.contains(name));
        self.failed.clear();
        Ok(())
    }

    /// Attaches what is to be attached, some interfaces at a time, and brings the policy up to date with
    /// addresses. Returns whether there are more: then it is to be called again, when whatever else
    /// waits has had its turn.
    ///
    /// # Errors
    /// When interfaces cannot be looked at, or another process is changing the host: then it is to
    /// be called again.
    pub(super) fn follow(
        &mut self,
        host: &mut Host,
        tell: &mut dyn FnMut(&Notice<'_>),
    ) -> Result<bool, AgentError> {
        host.detach_unreachable()?;
        let present = Interface::all().map_err(HostError::from)?;
        for known in [&mut self.settled, &mut self.failed, &mut self.told] {
            known.retain(|name, index| {
                let is_same = |each: &Interface| each.name == *name && each.index == *index;
                present.iter().any(is_same)
            });
        }
        let guards: BTreeMap<_, _> = host.guards()?.into_iter().collect();
        let state = host.state()?;
        let mut coming = Vec::new();
        for interface in &present {
            let Interface { name, index, .. } = interface;
            match guards.get(name) {
                Some(guard) if guard.holds() => {
                    self.settled.insert(name.clone(), *index);
                    continue;
                }
                // It was attached, and is not guarded now: whatever the reason, it is to be.
                Some(_) if self.failed.get(name) != Some(index) => {}
                None if state.was_detached(*index) => {
                    if self.settled.get(name) != Some(index)
                        && self.wanted(interface, &state).is_some()
                        && self.told.insert(name.clone(), *index) != Some(*index)
                    {
                        tell(&Notice::Note(&format!(
                            "{name} was detached by hand and stays so: `sg-ctl attach {name}` attaches it"
                        )));
                    }
                    continue;
                }
                None if self.settled.get(name) != Some(index) => {}
                _ => continue,
            }
            let Some((overrides, by_pattern)) = self.wanted(interface, &state) else {
                continue;
            };
            if coming.len() == BATCH {
                self.attach(host, coming, tell)?;
                return Ok(true);
            }
            let one = Coming {
                interface: name.clone(),
                overrides,
                by_pattern,
            };
            coming.push((*index, one));
        }
        if !coming.is_empty() {
            self.attach(host, coming, tell)?;
        }
        self.refresh(host, tell)?;
        // Last: whatever keeps one from being forgotten must keep none from being guarded.
        self.forget(host, tell)?;
        Ok(false)
    }

    /// Forgets interfaces that nobody asked for by name and that have been gone for long enough.
    fn forget(
        &mut self,
        host: &mut Host,
        tell: &mut dyn FnMut(&Notice<'_>),
    ) -> Result<(), AgentError> {
        // Looked at anew: what was attached meanwhile took its time, and one may have returned.
        let state = host.state()?;
        let guards: BTreeMap<_, _> = host.guards()?.into_iter().collect();
        let now = Instant::now();
        let is_gone = |name: &String| {
            let record = state.attachments.get(name);
            record.is_some_and(|record| record.by_pattern)
                && guards.get(name) == Some(&Guard::Missing)
        };
        self.gone.retain(|name, _| is_gone(name));
        for name in state.attachments.keys().filter(|name| is_gone(name)) {
            let since = *self.gone.entry(name.clone()).or_insert(now);
            if now.duration_since(since) >= self.attaching.forget_after {
                host.detach(&Target::One(name.clone()))?;
                self.gone.remove(name);
                tell(&Notice::Forgotten { interface: name });
            }
        }
        Ok(())
    }

    /// When the next interface is to be forgotten.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let first = self.gone.values().min()?;
        Some(*first + self.attaching.forget_after)
    }

    /// What the command line says about an interface that is to be attached, and whether only a pattern
    /// means it; `None` for others.
    fn wanted(&self, interface: &Interface, state: &State) -> Option<(Overrides, bool)> {
        let name = &interface.name;
        // One that was attached, was removed and has returned.
        if let Some(record) = state.attachments.get(name) {
            return Some((record.overrides.clone(), record.by_pattern));
        }
        let is_named = self.attaching.names(name) || state.model.interfaces.contains_key(name);
        if self.attaching.wants(interface) {
            return Some((self.attaching.overrides.clone(), !is_named));
        }
        let is_wanted = state.model.wants(name, interface.loopback);
        is_wanted.then(|| (Overrides::default(), !is_named))
    }

    /// Attaches interfaces, given with their indexes.
    fn attach(
        &mut self,
        host: &mut Host,
        coming: Vec<(u32, Coming)>,
        tell: &mut dyn FnMut(&Notice<'_>),
    ) -> Result<(), AgentError> {
        let known: Vec<_> = coming
            .iter()
            .map(|(index, one)| (*index, one.interface.clone()))
            .collect();
        let results = host.attach_all(coming.into_iter().map(|(_, one)| one).collect());
        for ((index, name), result) in known.into_iter().zip(results) {
            match result {
                Err(error) if is_busy(&error) => return Err(error.into()),
                // Since this look began.
                Err(HostError::DetachedByHand { .. }) => {}
                Ok(summary) => tell(&Notice::Attached {
                    interface: &name,
                    groups: &summary.groups,
                }),
                Err(error) => {
                    self.failed.insert(name.clone(), index);
                    tell(&Notice::NotAttached {
                        interface: &name,
                        error: &error.into(),
                    });
                }
            }
            self.settled.insert(name, index);
        }
        // Their addresses may have changed while they were attached: compile once more.
        self.members = None;
        Ok(())
    }

    /// Takes note of addresses that a policy is about to be compiled with. Those that come later
    /// differ then.
    pub(super) fn note_members(&mut self, members: Vec<(u32, Vec<IpAddr>)>) {
        self.members = Some(members);
    }

    /// Compiles the policy anew if attached interfaces have other addresses than it knows.
    fn refresh(
        &mut self,
        host: &mut Host,
        tell: &mut dyn FnMut(&Notice<'_>),
    ) -> Result<(), AgentError> {
        let members = host.local_members()?;
        if self.members.as_ref() != Some(&members) {
            host.refresh()?;
            // When nothing was known nothing need have changed.
            if self.members.replace(members).is_some() {
                tell(&Notice::Refreshed);
            }
        }
        Ok(())
    }
}

/// Whether another sg-ctl is changing the host.
pub(super) fn is_busy(error: &HostError) -> bool {
    matches!(error, HostError::State(StateError::Locked { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::dataplane::Link;

    fn interface(name: &str, loopback: bool) -> Interface {
        Interface {
            index: 1,
            name: name.to_owned(),
            kind: None,
            bus: None,
            controller: None,
            lower: None,
            peer: None,
            peer_namespace: None,
            hardware: Vec::new(),
            lower_elsewhere: None,
            link: Link::Ethernet,
            loopback,
            xdp: None,
        }
    }

    #[test]
    fn patterns_are_those_of_file_names() {
        let wants = |pattern: &str, name: &str, loopback: bool| {
            let attaching = Attaching {
                patterns: vec![Pattern::new(pattern).unwrap()],
                ..Attaching::default()
            };
            attaching.wants(&interface(name, loopback))
        };
        assert!(wants("tap*", "tap0", false));
        assert!(wants("eth[0-3]", "eth2", false));
        assert!(!wants("tap*", "xtap0", false));
        assert!(!wants("*", "lo", true));
        assert!(wants("lo", "lo", true));
    }
}
