//! What the judgements on many packets come to.

use std::collections::{BTreeMap, HashMap};

use sg_common::addr::Addr;
use sg_common::counters::Tally as Count;
use sg_common::flow::Direction;
use sg_common::proto;
use sg_common::reason::{REASON_SLOTS, Reason, Verdict};

use super::{Judgement, Skip};

/// The most kinds of drops that are told apart; a scan of everything has no more to say.
const MOST_DROPS: usize = 1 << 16;

/// The counts of all packets.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Packets that were judged, by direction and reason.
    reasons: [[Count; REASON_SLOTS]; 2],
    /// Packets that were not judged.
    skipped: [u64; Skip::ALL.len()],
    /// Packets that were judged although the capture lacks part of their headers.
    pub cut: u64,
    /// Times of the first and the latest packet, in nanoseconds since 1970.
    pub time: Option<(u64, u64)>,
    /// What each rule, by its number, let pass.
    pub rules: BTreeMap<u32, RuleTally>,
    /// What was dropped.
    drops: HashMap<DropKey, DropTally>,
    /// Drops of more kinds than are told apart.
    pub other_drops: u64,
}

/// What a rule let pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleTally {
    /// Packets and bytes that passed by the rule itself or by the flows that it admitted.
    pub passed: Count,
    /// Flows that it admitted and that are tracked.
    pub flows: u64,
    /// Time of the latest packet.
    pub latest: u64,
}

/// What drops have in common that are shown as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DropKey {
    /// Which way the packets went.
    pub direction: Direction,
    /// Why they were dropped.
    pub reason: Reason,
    /// IP protocol; 0 also for what is not IP.
    pub protocol: u8,
    /// Address of the protected side.
    pub local: Addr,
    /// Address of the other side.
    pub remote: Addr,
    /// Port that the packets went to; of ICMP type and code.
    pub service: u16,
}

/// Drops of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropTally {
    /// Packets and bytes.
    pub dropped: Count,
    /// Time of the first packet.
    pub first: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            reasons: [[Count::default(); REASON_SLOTS]; 2],
            skipped: [0; Skip::ALL.len()],
            cut: 0,
            time: None,
            rules: BTreeMap::new(),
            drops: HashMap::new(),
            other_drops: 0,
        }
    }
}

impl Tally {
    /// Counts a packet that was not judged.
    pub const fn skip(&mut self, why: Skip) {
        self.skipped[why as usize] += 1;
    }

    /// Counts a packet that was judged.
    pub fn add(&mut self, judgement: &Judgement) {
        let event = &judgement.event;
        let side = judgement.direction as usize;
        self.reasons[side][judgement.reason as usize].add(1, event.length);
        self.cut += u64::from(judgement.is_cut);
        let (first, latest) = self.time.unwrap_or((event.time_ns, event.time_ns));
        self.time = Some((first, latest.max(event.time_ns)));
        if judgement.reason.verdict() == Verdict::Drop {
            self.add_drop(judgement);
        } else if event.rule != 0 {
            let rule = self.rules.entry(event.rule).or_default();
            rule.passed.add(1, event.length);
            rule.flows += u64::from(judgement.reason == Reason::New);
            rule.latest = rule.latest.max(event.time_ns);
        }
    }

    fn add_drop(&mut self, judgement: &Judgement) {
        let event = &judgement.event;
        let key = DropKey {
            direction: judgement.direction,
            reason: judgement.reason,
            protocol: event.protocol,
            local: event.local,
            remote: event.remote,
            service: match (event.protocol, judgement.direction) {
                (proto::ICMP | proto::ICMPV6, _) => {
                    u16::from(event.icmp_type) << 8 | u16::from(event.icmp_code)
                }
                (_, Direction::Inbound) => event.local_port,
                (_, Direction::Outbound) => event.remote_port,
            },
        };
        if self.drops.len() >= MOST_DROPS && !self.drops.contains_key(&key) {
            self.other_drops += 1;
            return;
        }
        let drop = self.drops.entry(key).or_insert(DropTally {
            dropped: Count::default(),
            first: event.time_ns,
        });
        drop.dropped.add(1, event.length);
    }

    /// Packets and bytes of a direction and reason.
    pub const fn reason(&self, direction: Direction, reason: Reason) -> Count {
        self.reasons[direction as usize][reason as usize]
    }

    /// Packets and bytes that passed, or that were dropped.
    pub fn verdict(&self, verdict: Verdict) -> Count {
        let mut sum = Count::default();
        for reason in Reason::ALL.iter().filter(|each| each.verdict() == verdict) {
            for direction in Direction::ALL {
                let count = self.reason(direction, *reason);
                sum.packets += count.packets;
                sum.bytes += count.bytes;
            }
        }
        sum
    }

    /// Packets that were not judged for a reason.
    pub const fn skipped(&self, why: Skip) -> u64 {
        self.skipped[why as usize]
    }

    /// Packets that were judged.
    pub fn judged(&self) -> u64 {
        self.verdict(Verdict::Pass).packets + self.verdict(Verdict::Drop).packets
    }

    /// Packets of the captures.
    pub fn packets(&self) -> u64 {
        self.judged() + self.skipped.iter().sum::<u64>()
    }

    /// What was dropped, most frequent first, then in the order of time.
    pub fn drops(&self) -> Vec<(&DropKey, &DropTally)> {
        let mut drops: Vec<_> = self.drops.iter().collect();
        drops.sort_by_key(|(key, drop)| {
            let order = (key.direction as u8, key.reason as u8, key.service);
            (
                u64::MAX - drop.dropped.packets,
                drop.first,
                order,
                key.local.halves(),
                key.remote.halves(),
            )
        });
        drops
    }
}
