//! What a rule set would have done to traffic that was captured: packets from files, judged by the
//! kernel programs themselves, at the times that the capture tells.
//!
//! Nothing is attached, pinned or kept: the programs run in a [`Sandbox`].

mod blocks;
mod capture;
mod frame;
mod headers;
mod tally;
mod write;

use std::net::IpAddr;

use ipnet::IpNet;
use sg_common::event::Event;
use sg_common::flow::Direction;
use sg_common::reason::{Reason, Verdict};
use sg_common::settings::{
    DEFAULT_FLOWS, InterfaceSettings, MODE_ENFORCE, PICKUP_WINDOW_SECONDS, ProgramConfig,
};

pub use capture::{Capture, CaptureError, Packet};
pub use frame::{SUPPORTED, is_supported, link_name};
pub use tally::{DropKey, DropTally, RuleTally, Tally};
pub use write::DropWriter;

use crate::host;
use crate::host::dataplane::{DataplaneError, Entry, Sandbox};
use headers::Headers;
use sg_policy::compile::{CompileError, RuleNumbers, ZonePolicy, compile};
use sg_policy::model::{Hook, InterfaceSpec, Model, Side};

/// Jiffies per second of the programs' clock, whatever the kernel's: results are the same everywhere.
pub const HZ: u64 = 1000;
/// The first packet's time, in jiffies.
pub const START: u64 = 1 << 32;
/// Bytes of a frame that the programs are given: what the kernel takes in one piece on every hook
/// (a page less its own needs), with room to spare.
pub const LONGEST: usize = 3072;
/// The zone of the interface, in events.
pub const ZONE: u32 = 0;
/// The index of the interface, in events.
pub const IFINDEX: u32 = 1;

/// Why traffic cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The rules do not fit.
    #[error("the rules cannot be put in force")]
    Compile(#[from] CompileError),
    /// The kernel does not take part.
    #[error("cannot judge packets")]
    Dataplane(#[from] DataplaneError),
    /// A program judged a packet and did not tell how.
    #[error("the programs did not tell what became of packet {number}")]
    Untold {
        /// The packet's number in its capture.
        number: u64,
    },
}

/// Why a packet was not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skip {
    /// Neither of its ends is local.
    NotLocal,
    /// Its link type is not supported.
    LinkType,
    /// It has fewer bytes than the header of its link type.
    TooShort,
    /// It is longer than the programs can be given, and so are its headers.
    TooLong,
}

impl Skip {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 4] = [
        Self::NotLocal,
        Self::LinkType,
        Self::TooShort,
        Self::TooLong,
    ];

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotLocal => "not-local",
            Self::LinkType => "link-type",
            Self::TooShort => "too-short",
            Self::TooLong => "too-long",
        }
    }

    /// What packets that were skipped for it are.
    pub const fn description(self) -> &'static str {
        match self {
            Self::NotLocal => "between addresses that are not local",
            Self::LinkType => "of a link type that is not supported",
            Self::TooShort => "shorter than their link header",
            Self::TooLong => "with headers beyond 3 KiB",
        }
    }
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it passes.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// Which way it went.
    pub direction: Direction,
    /// What the programs tell of it. The time is the capture's, in nanoseconds since 1970; that of
    /// the packet before if it has none.
    pub event: Event,
    /// Whether the capture lacks part of its headers, for which zeros stand.
    pub is_cut: bool,
    /// The programs' time.
    pub jiffies: u64,
}

/// Whose traffic is judged, and how.
#[derive(Clone, Debug)]
pub struct Guard<'a> {
    /// Groups, prefix lists and members elsewhere.
    pub model: &'a Model,
    /// The interface.
    pub spec: &'a InterfaceSpec,
    /// Addresses of the protected side.
    pub local: &'a [IpNet],
}

impl Guard<'_> {
    /// The addresses that make the interface a member of its groups: as when it is attached, those
    /// of a host's own interface, and none of a workload's.
    pub fn addresses(&self) -> Vec<IpAddr> {
        match self.spec.side {
            Side::Workload => Vec::new(),
            Side::Nic => self
                .local
                .iter()
                .filter(|net| net.prefix_len() == net.max_prefix_len())
                .map(IpNet::addr)
                .collect(),
        }
    }

    /// The settings of the interface, attached when the first packet comes: everything is told, and
    /// verdicts are what they would be without `audit`.
    fn settings(&self) -> InterfaceSettings {
        let pickup_until = START + PICKUP_WINDOW_SECONDS * HZ;
        InterfaceSettings {
            log_reasons: u64::MAX,
            mode: MODE_ENFORCE,
            log_interval: 0,
            ..host::settings(self.spec, IFINDEX, HZ, pickup_until)
        }
    }

    fn load(&self, flows: u32, words: &[u32]) -> Result<Sandbox, DataplaneError> {
        let config = ProgramConfig {
            test_clock: 1,
            hz: HZ as u32,
        };
        let mut sandbox = Sandbox::load(config, flows)?;
        sandbox.set_settings(&self.settings())?;
        sandbox.install(words)?;
        sandbox.set_clock(START)?;
        Ok(sandbox)
    }
}

/// Judges packets, one after the other.
pub struct Replay<'a> {
    guard: Guard<'a>,
    numbers: RuleNumbers,
    sandbox: Sandbox,
    clock: Clock,
    frame: Vec<u8>,
}

impl<'a> Replay<'a> {
    /// Loads the programs with the rules of an interface.
    ///
    /// # Errors
    /// When the rules do not fit, the process lacks capabilities, or the kernel refuses.
    pub fn new(guard: Guard<'a>) -> Result<Self, ReplayError> {
        let zone = ZonePolicy {
            zone: ZONE,
            groups: guard.spec.groups.clone(),
            addresses: guard.addresses(),
        };
        let mut numbers = RuleNumbers::default();
        let image = compile(guard.model, &[zone], &mut numbers, 1)?;
        let sandbox = guard.load(DEFAULT_FLOWS, image.words())?;
        Ok(Self {
            guard,
            numbers,
            sandbox,
            clock: Clock::default(),
            frame: Vec::with_capacity(LONGEST),
        })
    }

    /// The rules behind the numbers that events tell.
    pub const fn numbers(&self) -> &RuleNumbers {
        &self.numbers
    }

    /// The frame that was judged last: padded where the capture lacks bytes, and no longer than
    /// [`LONGEST`].
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Judges a packet at its time, which never runs back; a packet that is not judged says why.
    ///
    /// # Errors
    /// When the kernel refuses to run a program.
    pub fn judge(&mut self, packet: &Packet<'_>) -> Result<Result<Judgement, Skip>, ReplayError> {
        if let Some(time) = packet.time
            && self.clock.set(time)
        {
            self.sandbox.set_clock(self.clock.jiffies())?;
        }
        let (direction, length, is_cut) = match self.prepare(packet) {
            Ok(prepared) => prepared,
            Err(skip) => return Ok(Err(skip)),
        };
        let mut entry = self.entry(direction);
        if self.frame.len() < entry.least_frame(&self.frame) {
            // The kernel gives it to no TC program.
            entry = Entry::Xdp(direction);
        }
        let verdict = self.sandbox.run(entry, &self.frame)?;
        let untold = ReplayError::Untold {
            number: packet.number,
        };
        let Some(event) = self.sandbox.next_event() else {
            return Err(untold);
        };
        let Some(reason) = Reason::from_code(event.reason) else {
            return Err(untold);
        };
        Ok(Ok(Judgement {
            verdict,
            reason,
            direction,
            event: Event {
                time_ns: self.clock.shown(packet.time),
                length: length as u32,
                ..event
            },
            is_cut,
            jiffies: self.clock.jiffies(),
        }))
    }

    /// Makes the frame that the programs are given. Returns which way it went, how many bytes it
    /// had, and whether the capture lacks part of its headers.
    fn prepare(&mut self, packet: &Packet<'_>) -> Result<(Direction, usize, bool), Skip> {
        if !is_supported(packet.link) {
            return Err(Skip::LinkType);
        }
        let frame = &mut self.frame;
        let framed = frame::ethernet(packet.link, packet.data, packet.original, frame)
            .filter(|framed| framed.length >= frame::ETHERNET_HEADER)
            .ok_or(Skip::TooShort)?;
        let headers = Headers::read(frame);
        let is_local = |address: &IpAddr| self.guard.local.iter().any(|net| net.contains(address));
        let direction = match &headers.ends {
            Some((source, _)) if is_local(source) => Direction::Outbound,
            Some((_, destination)) if is_local(destination) => Direction::Inbound,
            Some(_) => return Err(Skip::NotLocal),
            // A frame without addresses; unless the capture tells, it came from outside.
            None if packet.sent.or(framed.sent) == Some(true) => Direction::Outbound,
            None => Direction::Inbound,
        };
        let is_cut = frame.len() < framed.length && frame.len() < headers.needed;
        frame.resize(framed.length.min(LONGEST), 0);
        if framed.length <= LONGEST {
            headers.tell(frame, framed.length);
        } else if !headers.shorten(frame, framed.length) {
            return Err(Skip::TooLong);
        }
        Ok((direction, framed.length, is_cut))
    }

    /// Which way the frames go that the interface receives.
    const fn receives(&self) -> Direction {
        match self.guard.spec.side {
            Side::Nic => Direction::Inbound,
            Side::Workload => Direction::Outbound,
        }
    }

    /// The program that judges what goes in a direction.
    fn entry(&self, direction: Direction) -> Entry {
        match self.guard.spec.hook {
            Hook::Auto | Hook::Xdp | Hook::XdpGeneric if direction == self.receives() => {
                Entry::Xdp(direction)
            }
            _ => Entry::Tc(direction),
        }
    }
}

/// The programs' time, which follows that of the packets and never runs back.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    /// Time of the first packet, in nanoseconds since 1970.
    start: Option<u64>,
    /// The latest time of a packet.
    latest: u64,
}

impl Clock {
    /// Goes on to a packet's time; returns whether jiffies have passed.
    fn set(&mut self, time: u64) -> bool {
        self.start.get_or_insert(time);
        let before = self.jiffies();
        self.latest = self.latest.max(time);
        self.jiffies() != before
    }

    fn jiffies(&self) -> u64 {
        let since = self
            .latest
            .saturating_sub(self.start.unwrap_or(self.latest));
        START + since / (1_000_000_000 / HZ)
    }

    /// The time to show for a packet.
    fn shown(&self, time: Option<u64>) -> u64 {
        time.unwrap_or(self.latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_follows_the_packets_and_never_runs_back() {
        let mut clock = Clock::default();
        let second = 1_000_000_000;
        assert!(!clock.set(50 * second));
        assert_eq!(clock.jiffies(), START);
        assert!(clock.set(51 * second + 500_000_000));
        assert_eq!(clock.jiffies(), START + 1500);
        assert!(!clock.set(20 * second));
        assert_eq!(clock.jiffies(), START + 1500);
        assert_eq!(clock.shown(Some(20 * second)), 20 * second);
        assert_eq!(clock.shown(None), 51 * second + 500_000_000);
        assert!(!clock.set(51 * second + 500_999_999));
        assert!(clock.set(51 * second + 501_000_000));
    }

    #[test]
    fn single_addresses_are_members_unless_a_workload_has_them() {
        let local = ["192.0.2.7/32", "2001:db8::7/128", "10.0.0.0/8"];
        let local = local.map(|net| net.parse().expect("net"));
        let model = Model::default();
        let addresses = |side| {
            let spec = InterfaceSpec {
                side,
                ..InterfaceSpec::default()
            };
            let guard = Guard {
                model: &model,
                spec: &spec,
                local: &local,
            };
            guard.addresses().len()
        };
        assert_eq!(addresses(Side::Nic), 2);
        assert_eq!(addresses(Side::Workload), 0);
    }
}
