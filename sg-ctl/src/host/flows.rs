//! The flows that are alive.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sg_common::flow::{FlowEntry, FlowKey};

use super::{Host, HostError, Traffic, record_of};
use crate::host::dataplane::DataplaneError;
use sg_policy::model::Direction;

/// A flow whose packets pass without asking a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveFlow {
    /// Name of the interface; empty when the state does not know the zone.
    pub interface: Arc<str>,
    /// Its identity.
    pub key: FlowKey,
    /// What is remembered about it.
    pub entry: FlowEntry,
    /// Time since its first packet.
    pub age: Duration,
    /// Time since its latest packet.
    pub idle: Duration,
    /// Time until it is forgotten if no packet comes.
    pub expires_in: Duration,
}

impl LiveFlow {
    /// What has passed, inbound and outbound.
    pub const fn traffic(&self) -> [Traffic; 2] {
        let FlowEntry { packets, bytes, .. } = self.entry;
        // Counted by who speaks: the opener of the flow, and who answers.
        let [opener, answerer] = [
            Traffic {
                packets: packets[0],
                bytes: bytes[0],
            },
            Traffic {
                packets: packets[1],
                bytes: bytes[1],
            },
        ];
        match self.entry.opened() {
            Direction::Inbound => [opener, answerer],
            Direction::Outbound => [answerer, opener],
        }
    }
}

impl Host {
    /// Every flow that is alive; none when nothing is attached. Flows that come or go meanwhile may
    /// be missed.
    ///
    /// # Errors
    /// When state or kernel cannot be read.
    pub fn flows(&self) -> Result<Vec<LiveFlow>, HostError> {
        match self.live_flows() {
            Err(HostError::Dataplane(DataplaneError::NothingLoaded { .. })) => Ok(Vec::new()),
            flows => flows,
        }
    }

    fn live_flows(&self) -> Result<Vec<LiveFlow>, HostError> {
        let state = self.state()?;
        let clock = self.dataplane.clock()?;
        let mut zones = HashMap::new();
        for attachment in self.dataplane.attachments()? {
            let zone = attachment.zone;
            let name: Arc<str> = record_of(&state, zone).map_or("", |(name, _)| name).into();
            zones.insert(zone, (name, self.dataplane.settings(zone)?.timeouts));
        }
        let mut flows = Vec::new();
        for (key, entry) in self.dataplane.flows()? {
            // The programs take a flow for gone by the same rule.
            let Some((interface, timeouts)) = zones.get(&u32::from(key.zone())) else {
                continue;
            };
            let Some(timeout) = timeouts.get(usize::from(entry.state)) else {
                continue;
            };
            let expires = entry.last_seen.saturating_add(*timeout);
            if clock.now > expires {
                continue;
            }
            flows.push(LiveFlow {
                interface: Arc::clone(interface),
                key,
                entry,
                age: clock.since(entry.created),
                idle: clock.since(entry.last_seen),
                expires_in: clock.until(expires),
            });
        }
        Ok(flows)
    }

    /// Whether the flow table has a place for the flow of a key now.
    ///
    /// # Errors
    /// When the kernel cannot be read.
    pub fn has_room(&self, key: &FlowKey) -> Result<bool, HostError> {
        Ok(self.dataplane.has_room(key)?)
    }

    /// Deletes flows; returns how many there still were. Their next packets are judged by the rules.
    ///
    /// # Errors
    /// When nothing is attached.
    pub fn delete_flows(&mut self, keys: &[FlowKey]) -> Result<usize, HostError> {
        let keys: HashSet<&FlowKey> = keys.iter().collect();
        Ok(self.dataplane.delete_flows(|key, _| keys.contains(key))?)
    }
}
