//! Everything that can be seen of this host at one moment, and how fast it grows between two.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;
use sg_common::flow::FlowKey;

use super::{Host, HostError, InterfaceStatus, LiveFlow, ReasonCount, Status, Traffic};
use crate::host::dataplane::{Attachment, DataplaneError};
use crate::host::state::State;

/// This host at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When.
    pub at: Instant,
    /// What is wanted.
    pub state: State,
    /// What is in force, with its counters.
    pub status: Status,
    /// The flows that are alive.
    pub flows: Vec<LiveFlow>,
    /// Slots of the flow table, two for each flow that must fit; 0 when nothing is attached.
    pub flow_slots: usize,
}

/// How fast something grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Rate {
    /// Packets per second.
    pub packets_per_second: f64,
    /// Bits per second.
    pub bits_per_second: f64,
}

/// How fast the counters of an interface grow. Pairs are inbound and outbound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InterfaceRates {
    /// What passes.
    pub passed: [Rate; 2],
    /// What is dropped.
    pub dropped: [Rate; 2],
    /// What passes only for audit mode.
    pub audited: [Rate; 2],
    /// Each reason of the later status, in its order.
    pub reasons: Vec<Rate>,
}

/// How fast things grow between two snapshots, in the order of the later one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates {
    /// Seconds between them.
    pub seconds: f64,
    /// Its interfaces.
    pub interfaces: Vec<InterfaceRates>,
    /// Its flows, inbound and outbound.
    pub flows: Vec<[Rate; 2]>,
}

impl Rates {
    /// Compares two snapshots. What the first one does not have began after it, at zero.
    pub fn between(before: &Snapshot, now: &Snapshot) -> Self {
        let seconds = now.at.saturating_duration_since(before.at).as_secs_f64();
        let flows: HashMap<&FlowKey, &LiveFlow> =
            before.flows.iter().map(|flow| (&flow.key, flow)).collect();
        let interfaces: BTreeMap<u32, &InterfaceStatus> = before
            .status
            .interfaces
            .iter()
            .map(|interface| (interface.zone, interface))
            .collect();
        let of_flow = |flow: &LiveFlow| {
            // Another flow may have the same ends.
            let same = flows
                .get(&flow.key)
                .filter(|before| before.entry.created == flow.entry.created);
            let before = same.map_or_else(Default::default, |before| before.traffic());
            rates(before, flow.traffic(), seconds)
        };
        let of_interface = |interface: &InterfaceStatus| {
            let same = interfaces
                .get(&interface.zone)
                .filter(|before| before.name == interface.name);
            InterfaceRates::between(same.copied(), interface, seconds)
        };
        Self {
            seconds,
            interfaces: now.status.interfaces.iter().map(of_interface).collect(),
            flows: now.flows.iter().map(of_flow).collect(),
        }
    }
}

impl InterfaceRates {
    fn between(before: Option<&InterfaceStatus>, now: &InterfaceStatus, seconds: f64) -> Self {
        let of = |part: fn(&InterfaceStatus) -> [Traffic; 2]| {
            rates(before.map(part).unwrap_or_default(), part(now), seconds)
        };
        let of_reason = |count: &ReasonCount| {
            let mut known = before.iter().flat_map(|before| &before.reasons);
            let same = known.find(|before| {
                (before.direction, before.reason) == (count.direction, count.reason)
            });
            let before = same.map_or_else(Traffic::default, |before| before.traffic);
            Rate::between(before, count.traffic, seconds)
        };
        Self {
            passed: of(|status| status.passed),
            dropped: of(InterfaceStatus::really_dropped),
            audited: of(|status| status.audited),
            reasons: now.reasons.iter().map(of_reason).collect(),
        }
    }
}

fn rates(before: [Traffic; 2], now: [Traffic; 2], seconds: f64) -> [Rate; 2] {
    [0, 1].map(|side| Rate::between(before[side], now[side], seconds))
}

impl Rate {
    /// Both added up.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            packets_per_second: self.packets_per_second + other.packets_per_second,
            bits_per_second: self.bits_per_second + other.bits_per_second,
        }
    }

    fn between(before: Traffic, now: Traffic, seconds: f64) -> Self {
        // Counters begin anew when an interface is attached.
        let began_anew = now.packets < before.packets || now.bytes < before.bytes;
        let before = if began_anew {
            Traffic::default()
        } else {
            before
        };
        Self {
            packets_per_second: per_second(now.packets - before.packets, seconds),
            bits_per_second: per_second((now.bytes - before.bytes) * 8, seconds),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "2^53 bits in one interval are beyond any interface"
)]
fn per_second(grown: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        grown as f64 / seconds
    } else {
        0.0
    }
}

impl Host {
    /// Looks at everything.
    ///
    /// # Errors
    /// When state or kernel cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot, HostError> {
        let (status, flows) = self.status_and_flows()?;
        Ok(Snapshot {
            at: Instant::now(),
            state: self.state()?,
            status,
            flows,
            flow_slots: loaded(self.dataplane.flow_slots())?.unwrap_or(0),
        })
    }

    /// A program of each attached zone: when they change there are others to read from.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn programs(&self) -> Result<BTreeMap<u32, u32>, HostError> {
        let program = |attachment: Attachment| {
            let hook = attachment.egress.or(attachment.ingress)?;
            Some((attachment.zone, hook.program))
        };
        let attachments = self.dataplane.attachments()?;
        Ok(attachments.into_iter().filter_map(program).collect())
    }
}

/// Nothing in place of an error when nothing is attached.
pub(crate) fn loaded<T>(result: Result<T, DataplaneError>) -> Result<Option<T>, HostError> {
    match result {
        Err(DataplaneError::NothingLoaded { .. }) => Ok(None),
        result => Ok(Some(result?)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use sg_common::ends::{Ends, VlanIds};
    use sg_common::flow::{FLOW_OPENED_OUTBOUND, FlowEntry, FlowState};

    use super::*;
    use crate::host::Guard;
    use crate::host::dataplane::FlowTableInfo;
    use crate::host::status::describe;

    fn traffic(packets: u64, bytes: u64) -> Traffic {
        Traffic { packets, bytes }
    }

    fn rate(packets: f64, bits: f64) -> Rate {
        Rate {
            packets_per_second: packets,
            bits_per_second: bits,
        }
    }

    fn flow(packets: [u64; 2], flags: u8) -> LiveFlow {
        let addr = |text: &str| text.parse::<IpAddr>().expect("address").into();
        let ends = Ends::new((addr("10.0.1.5"), 443), (addr("203.0.113.7"), 40000));
        LiveFlow {
            interface: "eth0".into(),
            key: FlowKey::new(0, VlanIds::NONE, 6, ends),
            entry: FlowEntry {
                created: 1000,
                last_seen: 2000,
                packets,
                bytes: packets.map(|packets| packets * 100),
                rule: 1,
                state: FlowState::TCP_ESTABLISHED.0,
                flags,
                pad: [0; 2],
                numbers: sg_common::tcp::Numbers::NONE,
            },
            age: Duration::from_mins(1),
            idle: Duration::ZERO,
            expires_in: Duration::from_mins(5),
        }
    }

    fn snapshot(at: Instant, passed: u64, dropped: u64, flows: Vec<LiveFlow>) -> Snapshot {
        let attachment = Attachment {
            zone: 0,
            ..Attachment::default()
        };
        let unused = describe(&State::default(), &attachment, "eth0", Guard::Whole);
        let interface = InterfaceStatus {
            passed: [traffic(passed, passed * 100), Traffic::default()],
            dropped: [Traffic::default(), traffic(dropped, dropped * 60)],
            audited: [Traffic::default(), traffic(dropped / 2, dropped / 2 * 60)],
            reasons: vec![ReasonCount {
                direction: "outbound",
                reason: "no-rule",
                passes: false,
                traffic: traffic(dropped, dropped * 60),
            }],
            ..unused
        };
        Snapshot {
            at,
            state: State::default(),
            status: Status {
                build: String::new(),
                generation: 1,
                image: None,
                flow_table: None,
                occupancy: None,
                rule_counters: None,
                flow_table_wanted: FlowTableInfo::made_for(16_384),
                hz: 250,
                pending: false,
                under_way: false,
                interfaces: vec![interface],
                other_layouts: vec![],
                not_attached: vec![],
            },
            flows,
            flow_slots: 0,
        }
    }

    #[test]
    fn growth_is_divided_by_the_time_it_took() {
        let start = Instant::now();
        let before = snapshot(start, 10, 4, vec![flow([5, 5], 0)]);
        let later = start + Duration::from_secs(2);
        let now = snapshot(later, 30, 8, vec![flow([25, 9], 0)]);
        // Half of what was to be dropped only was audited.
        let expected = Rates {
            seconds: 2.0,
            interfaces: vec![InterfaceRates {
                passed: [rate(10.0, 8000.0), Rate::default()],
                dropped: [Rate::default(), rate(1.0, 480.0)],
                audited: [Rate::default(), rate(1.0, 480.0)],
                reasons: vec![rate(2.0, 960.0)],
            }],
            flows: vec![[rate(10.0, 8000.0), rate(2.0, 1600.0)]],
        };
        assert_eq!(Rates::between(&before, &now), expected);
    }

    #[test]
    fn flows_grow_by_who_opened_them() {
        let start = Instant::now();
        let before = snapshot(start, 0, 0, vec![]);
        let later = start + Duration::from_secs(1);
        let now = snapshot(later, 0, 0, vec![flow([3, 1], FLOW_OPENED_OUTBOUND)]);
        let rates = Rates::between(&before, &now);
        assert_eq!(rates.flows, [[rate(1.0, 800.0), rate(3.0, 2400.0)]]);
    }

    #[test]
    fn another_flow_of_the_same_ends_begins_at_zero() {
        let start = Instant::now();
        let mut old = flow([50, 50], 0);
        old.entry.created = 1;
        let before = snapshot(start, 0, 0, vec![old]);
        let later = start + Duration::from_secs(1);
        let now = snapshot(later, 0, 0, vec![flow([2, 0], 0)]);
        assert_eq!(
            Rates::between(&before, &now).flows,
            [[rate(2.0, 1600.0), Rate::default()]]
        );
    }

    #[test]
    fn counters_that_went_back_began_anew() {
        let start = Instant::now();
        let before = snapshot(start, 1000, 0, vec![]);
        let now = snapshot(start + Duration::from_secs(1), 3, 0, vec![]);
        let rates = Rates::between(&before, &now);
        assert_eq!(rates.interfaces[0].passed[0], rate(3.0, 2400.0));
        // Nothing can be said of no time at all.
        assert_eq!(
            Rates::between(&now, &now).interfaces[0].passed[0],
            Rate::default()
        );
    }
}
