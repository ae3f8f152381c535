//! The types that user space copies to and from maps as bytes: `aya::Pod`, and its proof.
#![expect(
    unsafe_code,
    reason = "Pod is an unsafe marker; each use is proven here"
)]

use crate::counters::{RuleCounters, RuleKey, ZoneCounters};
use crate::event::{Event, Record};
use crate::flow::{FlowKey, FlowSlot, FragmentEntry, FragmentKey};
use crate::limit::LogBucket;
use crate::settings::{InterfaceSettings, ProgramConfig};
use crate::table::HashSeed;
use crate::work::Work;

/// Implements `Pod` for a type whose fields fill it: the sum of the field sizes is its size, so no
/// padding byte can reach the kernel.
macro_rules! pod {
    ($type:ident { $($field:ident),+ $(,)? }) => {
        const _: () = {
            const fn size<T>(_: fn(&$type) -> &T) -> usize {
                size_of::<T>()
            }
            assert!(size_of::<$type>() == 0 $(+ size(|value: &$type| &value.$field))+);
        };
        // SAFETY: repr(C), integers and integer arrays only, and without padding (asserted above).
        unsafe impl aya::Pod for $type {}
    };
}

pod!(FlowKey {
    local,
    remote,
    ports_and_vlan,
    zone_and_protocol
});
pod!(FlowSlot {
    key,
    meta,
    last_seen,
    created,
    packets,
    bytes,
    rule,
    numbers,
    remote_counter
});
pod!(HashSeed { words });
pod!(FragmentKey {
    src,
    dst,
    id,
    zone,
    vlan,
    protocol,
    direction,
    pad
});
pod!(FragmentEntry { expires, rule, pad });
pod!(ProgramConfig { test_clock, hz });
pod!(InterfaceSettings {
    timeouts,
    log_reasons,
    log_interval,
    pickup_until,
    rollback_at,
    flow_share,
    flows_per_remote,
    infra,
    ifindex,
    mode,
    related,
    tcp_pickup,
    image,
    pad
});
pod!(LogBucket { full_at, pad });
pod!(RuleKey { zone, rule });
pod!(RuleCounters {
    flows,
    last_hit,
    closed,
    direct,
    since,
});
pod!(ZoneCounters {
    reasons,
    audited,
    events_lost,
    events_suppressed
});
pod!(Work { zone, pad, scratch });
pod!(Event {
    time_ns,
    local,
    remote,
    rule,
    length,
    ifindex,
    zone,
    local_port,
    remote_port,
    vlan,
    protocol,
    direction,
    reason,
    flags,
    tcp_flags,
    icmp_type,
    icmp_code,
    pad
});

pod!(Record {
    event,
    captured,
    pad,
    bytes
});

impl Record {
    /// Reads a record as it lies in the ring buffer, `None` when the bytes are of another size.
    #[expect(clippy::cast_ptr_alignment, reason = "it is read unaligned")]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let source = bytes.as_ptr().cast::<Self>();
        // SAFETY: so many bytes are there, and any bytes are a record: it is `Pod`.
        (bytes.len() == size_of::<Self>()).then(|| unsafe { source.read_unaligned() })
    }

    /// The record as it lies in the ring buffer.
    pub const fn as_bytes(&self) -> &[u8; size_of::<Self>()] {
        // SAFETY: it is `Pod`, so every byte of it has a value, and bytes need no alignment.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }
}
