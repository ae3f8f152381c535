//! The settings of an interface in kernel memory.

use core::ptr::read_volatile;

use sg_common::datapath::Settings;
use sg_common::flow::FlowState;
use sg_common::settings::{InterfaceSettings, before};

use crate::datapath::now;
use crate::maps;

/// Settings in the `INTERFACES` map.
pub(crate) struct SharedSettings(pub(crate) *const InterfaceSettings);

impl SharedSettings {
    /// The settings in force for a zone: those before a change on trial, once its deadline has
    /// passed. `None` for a slot that user space has not filled yet: it has no timeouts.
    #[inline(always)]
    pub(crate) fn in_force(zone: u32) -> Option<Self> {
        let mut settings = Self(maps::INTERFACES.get_ptr(zone)?);
        let rollback_at = field!(settings.0, rollback_at);
        if rollback_at != 0 && now() > rollback_at {
            settings = Self(maps::INTERFACES.get_ptr(before(zone))?);
        }
        (settings.timeout(FlowState::TCP_ESTABLISHED) != 0).then_some(settings)
    }

    /// The image by which packets are judged.
    #[inline(always)]
    pub(crate) fn image(&self) -> u32 {
        u32::from(field!(self.0, image))
    }
}

impl Settings for SharedSettings {
    #[inline(always)]
    fn timeout(&self, state: FlowState) -> u64 {
        let slot = state.0 as usize & (FlowState::SLOTS - 1);
        field!(self.0, timeouts[slot])
    }

    #[inline(always)]
    fn log_reasons(&self) -> u64 {
        field!(self.0, log_reasons)
    }

    #[inline(always)]
    fn log_interval(&self) -> u64 {
        field!(self.0, log_interval)
    }

    #[inline(always)]
    fn pickup_until(&self) -> u64 {
        field!(self.0, pickup_until)
    }

    #[inline(always)]
    fn infra(&self) -> u32 {
        field!(self.0, infra)
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        field!(self.0, ifindex)
    }

    #[inline(always)]
    fn mode(&self) -> u8 {
        field!(self.0, mode)
    }

    #[inline(always)]
    fn related(&self) -> u8 {
        field!(self.0, related)
    }

    #[inline(always)]
    fn tcp_pickup(&self) -> u8 {
        field!(self.0, tcp_pickup)
    }
}
