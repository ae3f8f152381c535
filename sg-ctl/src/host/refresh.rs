//! Follows the addresses of this host.

use std::net::IpAddr;

use super::desired::{compile_policy, zone_policies};
use super::trial::Policy;
use super::{Host, HostError};
use crate::host::state::State;

impl Host {
    /// The addresses that attached interfaces bring into their groups, by zone: those that they
    /// have now, which need not be those that the policy in force was compiled with.
    ///
    /// # Errors
    /// When state or interfaces cannot be looked at.
    pub fn local_members(&self) -> Result<Vec<(u32, Vec<IpAddr>)>, HostError> {
        let state = self.state()?;
        let (_, zones) = zone_policies(&state, &self.dataplane.attachments()?)?;
        Ok(zones
            .into_iter()
            .map(|zone| (zone.zone, zone.addresses))
            .collect())
    }

    /// Compiles the rules in force anew, with the addresses that this host has now, and puts the
    /// result in force. Without interfaces there is nothing to do.
    ///
    /// # Errors
    /// When the rules do not fit; nothing has changed then.
    pub fn refresh(&mut self) -> Result<(), HostError> {
        let (lock, state) = self.begin()?;
        let attachments = self.dataplane.attachments()?;
        if attachments.is_empty() {
            return Ok(());
        }
        Self::check_all_recorded(&state, &attachments)?;
        let mut next = State {
            generation: state.generation + 1,
            ..state
        };
        let image = compile_policy(&mut next, &attachments, None)?;
        let policy = Policy::new(&next, &attachments, None, image)?;
        self.transact(&lock, &next, false, |dataplane| {
            policy.put_in_force(dataplane, &next, &attachments, None)
        })
    }
}
