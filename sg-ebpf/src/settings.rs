//! The settings of an interface in kernel memory.

use core::ptr::read_volatile;

use sg_common::datapath::Settings;
use sg_common::flow::FlowState;
use sg_common::settings::InterfaceSettings;

/// Settings in the `INTERFACES` map.
pub(crate) struct SharedSettings(pub(crate) *const InterfaceSettings);

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
    fn audit_after(&self) -> u64 {
        field!(self.0, audit_after)
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
