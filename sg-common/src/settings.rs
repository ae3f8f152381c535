//! What the programs know about the interface they guard.

use crate::flow::{FlowEntry, FlowState};

/// Flows that the table is made for unless told otherwise (AWS: "tracked connections").
pub const DEFAULT_FLOWS: u32 = 262_144;
/// The smallest table that can be asked for.
pub const MIN_FLOWS: u32 = 1024;
/// The largest table that can be asked for: 16 Mi flows, 4 GiB.
pub const MAX_FLOWS: u32 = 1 << 24;

/// Number of zones: interfaces that one host can guard at a time.
pub const MAX_ZONES: u32 = 8192;

/// Constants of the loaded programs, in their `.rodata`: the verifier folds them away.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgramConfig {
    /// 1 when time is read from the `TEST_CLOCK` map in place of jiffies.
    pub test_clock: u32,
    /// Jiffies per second.
    pub hz: u32,
}

/// Where in `INTERFACES` the settings are that a zone returns to when a change on trial is not
/// confirmed by its deadline.
#[inline(always)]
pub const fn before(zone: u32) -> u32 {
    zone + MAX_ZONES
}

/// `mode`: verdicts are carried out.
pub const MODE_ENFORCE: u8 = 0;
/// `mode`: packets are judged, counted and logged, and all pass.
pub const MODE_AUDIT: u8 = 1;

/// `related`: ICMP errors are judged as new traffic.
pub const RELATED_OFF: u8 = 0;
/// `related`: only path-MTU messages about live flows pass (ICMP 3/4, ICMPv6 2).
pub const RELATED_PMTUD: u8 = 1;
/// `related`: errors about live flows pass (ICMP 3, 11, 12; ICMPv6 1–4).
pub const RELATED_ERRORS: u8 = 2;
/// `related`: every message that quotes a live flow passes (adds ICMP 4 and 5).
pub const RELATED_ALL: u8 = 3;

/// `tcp_pickup`: segments without an entry open a flow for a while after attach.
pub const PICKUP_ATTACH: u8 = 0;
/// `tcp_pickup`: they always do.
pub const PICKUP_ALWAYS: u8 = 1;
/// `tcp_pickup`: they never do.
pub const PICKUP_NEVER: u8 = 2;

/// Seconds after attach in which [`PICKUP_ATTACH`] opens flows.
pub const PICKUP_WINDOW_SECONDS: u64 = 120;

/// `infra` bit: ARP.
pub const INFRA_ARP: u32 = 1 << 0;
/// `infra` bit: other protocols below IP.
pub const INFRA_NON_IP: u32 = 1 << 1;
/// `infra` bit: IPv6 neighbour discovery.
pub const INFRA_ND: u32 = 1 << 2;
/// `infra` bit: IPv6 multicast listener discovery.
pub const INFRA_MLD: u32 = 1 << 3;
/// `infra` bit: DHCP client.
pub const INFRA_DHCP4: u32 = 1 << 4;
/// `infra` bit: DHCPv6 client.
pub const INFRA_DHCP6: u32 = 1 << 5;
/// `infra` bit: link-local services of EC2.
pub const INFRA_EC2: u32 = 1 << 6;
/// `infra` bit: IPv4 multicast membership.
pub const INFRA_IGMP: u32 = 1 << 7;
/// `infra`: the set of a host that is not on EC2.
pub const INFRA_DEFAULT: u32 =
    INFRA_ARP | INFRA_NON_IP | INFRA_ND | INFRA_MLD | INFRA_IGMP | INFRA_DHCP4 | INFRA_DHCP6;

/// `log_reasons` bit beyond all reasons: the first segment (SYN) of untracked TCP flows.
pub const LOG_UNTRACKED_SYN: u64 = 1 << 63;

/// Settings of one interface: the value of `INTERFACES`, written by user space, read per packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceSettings {
    /// Idle timeout of each [`FlowState`], in jiffies, indexed by the state's code.
    pub timeouts: [u64; FlowState::SLOTS],
    /// One bit per [`Reason`](crate::reason::Reason) whose packets are logged, and
    /// [`LOG_UNTRACKED_SYN`].
    pub log_reasons: u64,
    /// What the token for one event takes to come, see [`limit`](crate::limit); 0 = no limit.
    pub log_interval: u64,
    /// Jiffies until which [`PICKUP_ATTACH`] opens flows.
    pub pickup_until: u64,
    /// Jiffies after which the settings [`before`] these are in force; 0 = never.
    pub rollback_at: u64,
    /// Slots of the flow table that the interface is sure of; 0 = it has no share.
    pub flow_share: u64,
    /// Slots beyond which a remote end's flows are not kept; 0 = no limit.
    pub flows_per_remote: u64,
    /// `INFRA_…` bits of the traffic that is never filtered.
    pub infra: u32,
    /// Interface index, for events.
    pub ifindex: u32,
    /// `MODE_…`.
    pub mode: u8,
    /// `RELATED_…`.
    pub related: u8,
    /// `PICKUP_…`.
    pub tcp_pickup: u8,
    /// The image by which packets are judged: [`CURRENT`](crate::image::CURRENT) or
    /// [`PREVIOUS`](crate::image::PREVIOUS).
    pub image: u8,
    /// Explicit padding, zero.
    pub pad: [u8; 4],
}

impl InterfaceSettings {
    /// The settings of a zone that is not in use: programs drop everything.
    pub const UNUSED: Self = Self {
        timeouts: [0; FlowState::SLOTS],
        log_reasons: 0,
        log_interval: 0,
        pickup_until: 0,
        rollback_at: 0,
        flow_share: 0,
        flows_per_remote: 0,
        infra: 0,
        ifindex: 0,
        mode: MODE_ENFORCE,
        related: RELATED_OFF,
        tcp_pickup: PICKUP_NEVER,
        image: 0,
        pad: [0; 4],
    };

    /// Whether the zone is in use: every interface has timeouts.
    pub const fn is_in_use(&self) -> bool {
        self.timeouts[FlowState::TCP_ESTABLISHED.0 as usize] != 0
    }

    /// Whether a flow of some state lives longer by these settings than by `other`.
    pub fn outlasts(&self, other: &Self) -> bool {
        self.timeouts
            .iter()
            .zip(&other.timeouts)
            .any(|(a, b)| a > b)
    }

    /// Whether a flow is alive at `now`, in jiffies. One that another CPU has stamped with a later
    /// tick is.
    pub const fn keeps(&self, flow: &FlowEntry, now: u64) -> bool {
        let state = flow.state as usize & (FlowState::SLOTS - 1);
        now.saturating_sub(flow.last_seen) <= self.timeouts[state]
    }
}
