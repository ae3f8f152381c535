//! The settings of the interface that tests guard.

use sg_common::settings::{InterfaceSettings, PICKUP_WINDOW_SECONDS};
use sg_ctl::host;
use sg_policy::model::InterfaceSpec;

use super::IFINDEX;

/// The settings of an interface that is attached at `now`, in jiffies, and logs everything without a limit.
pub(crate) fn settings(spec: &InterfaceSpec, now: u64, hz: u64) -> InterfaceSettings {
    let pickup_until = now + PICKUP_WINDOW_SECONDS * hz;
    InterfaceSettings {
        log_reasons: u64::MAX,
        log_interval: 0,
        ..host::settings(spec, IFINDEX, hz, pickup_until)
    }
}
