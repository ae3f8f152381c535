//! Gates: what an interface has at its hooks.
//!
//! The programs that judge are loaded and verified once for all interfaces, and stand in two arrays,
//! by the way that frames go. A gate is sixteen instructions: it notes the zone of its interface and
//! goes on to the program of its array. So an interface costs two gates, and a new program in an
//! array is the new program of every interface at the same moment.
//!
//! A zone is in the gate, not looked up by the interface index: an interface that is moved to another
//! network namespace keeps its guard, though its index may be another one's there.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya::maps::MapData;
use sg_common::flow::Direction;
use sg_common::names::{
    MAP_TC_PROGRAMS, MAP_WORK, MAP_XDP_PROGRAMS, PROGRAMS_IP, PROGRAMS_TC, PROGRAMS_XDP,
};

use super::error::DataplaneError;
use super::hook::HookKind;
use super::interface::Link;
use super::links::HookSide;
use super::maps::map_error;
use super::pins::{PinDir, pin_error, remove_pin};
use super::program::Programs;
use super::sys::{self, GateCode, Run};
use sg_policy::model::Side;

/// Return values of the hooks (`include/uapi/linux`: `bpf.h`, `pkt_cls.h`).
const XDP_DROP: u32 = 1;
const TC_ACT_SHOT: u32 = 2;

/// A program that judges frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// At XDP.
    Xdp(Direction),
    /// At TC.
    Tc(Direction),
    /// At TC, for packets without a header of their link.
    Ip(Direction),
}

impl Entry {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Xdp(Direction::Inbound),
        Self::Xdp(Direction::Outbound),
        Self::Tc(Direction::Inbound),
        Self::Tc(Direction::Outbound),
        Self::Ip(Direction::Inbound),
        Self::Ip(Direction::Outbound),
    ];

    /// The one that a hook of an interface goes on to, whose packets begin with `link` and of which
    /// `side` is protected.
    pub const fn of(kind: HookKind, hook: HookSide, side: Side, link: Link) -> Self {
        let direction = match (hook, side) {
            (HookSide::Ingress, Side::Nic) | (HookSide::Egress, Side::Workload) => {
                Direction::Inbound
            }
            (HookSide::Egress, Side::Nic) | (HookSide::Ingress, Side::Workload) => {
                Direction::Outbound
            }
        };
        match kind {
            HookKind::XdpNative | HookKind::XdpGeneric => Self::Xdp(direction),
            HookKind::Tcx | HookKind::Clsact if matches!(link, Link::None) => Self::Ip(direction),
            HookKind::Tcx | HookKind::Clsact => Self::Tc(direction),
        }
    }

    /// The one of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entry| entry.name() == name)
    }

    /// Name of the program.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdp(direction) => PROGRAMS_XDP[direction as usize],
            Self::Tc(direction) => PROGRAMS_TC[direction as usize],
            Self::Ip(direction) => PROGRAMS_IP[direction as usize],
        }
    }

    /// Whether it is at XDP.
    pub const fn is_xdp(self) -> bool {
        matches!(self, Self::Xdp(_))
    }

    /// The array that it stands in.
    pub(super) const fn array(self) -> &'static str {
        match self {
            Self::Xdp(_) => MAP_XDP_PROGRAMS,
            Self::Tc(_) | Self::Ip(_) => MAP_TC_PROGRAMS,
        }
    }

    /// Its place there.
    pub(super) const fn index(self) -> u32 {
        match self {
            Self::Xdp(direction) | Self::Tc(direction) => direction as u32,
            Self::Ip(direction) => direction as u32 + 2,
        }
    }
}

/// The maps that gates name.
pub(super) struct GateMaps {
    pub(super) work: MapData,
    pub(super) xdp: MapData,
    pub(super) tc: MapData,
}

impl GateMaps {
    /// Opens the pinned maps.
    pub(super) fn open(pins: &PinDir) -> Result<Self, DataplaneError> {
        Self::from(|name| MapData::from_pin(pins.map(name)).map_err(map_error("open", name)))
    }

    /// The maps that `get` opens by their names.
    pub(super) fn from(
        mut get: impl FnMut(&'static str) -> Result<MapData, DataplaneError>,
    ) -> Result<Self, DataplaneError> {
        Ok(Self {
            work: get(MAP_WORK)?,
            xdp: get(MAP_XDP_PROGRAMS)?,
            tc: get(MAP_TC_PROGRAMS)?,
        })
    }

    /// The array that a program stands in.
    pub(super) const fn array(&self, entry: Entry) -> &MapData {
        if entry.is_xdp() { &self.xdp } else { &self.tc }
    }

    /// The program at an entry's place, as its id; `None` when there is none yet.
    pub(super) fn program(&self, entry: Entry) -> Result<Option<u32>, DataplaneError> {
        sys::slot_id(self.array(entry), entry.index()).map_err(array_error("read", entry))
    }

    /// Puts a program at an entry's place, for every gate at once.
    pub(super) fn set_program(
        &self,
        entry: Entry,
        program: &impl AsFd,
    ) -> Result<(), DataplaneError> {
        sys::set_slot(self.array(entry), entry.index(), program)
            .map_err(array_error("write", entry))
    }

    /// Loads the gate of a zone.
    pub(super) fn gate(&self, entry: Entry, zone: u32) -> Result<Gate, DataplaneError> {
        let code = GateCode {
            is_xdp: entry.is_xdp(),
            zone,
            work: &self.work.fd(),
            programs: &self.array(entry).fd(),
            index: entry.index(),
            otherwise: if entry.is_xdp() {
                XDP_DROP
            } else {
                TC_ACT_SHOT
            },
        };
        let program = code
            .load(&format!("sg_zone_{zone}"))
            .map_err(|source| DataplaneError::Gate { zone, source })?;
        Ok(Gate { program })
    }
}

fn array_error(action: &'static str, entry: Entry) -> impl FnOnce(io::Error) -> DataplaneError {
    move |source| DataplaneError::ProgramArray {
        action,
        program: entry.name(),
        source,
    }
}

/// Pins the array of a program beside the links of a zone. The kernel empties an array of programs
/// that nobody holds but programs, and gates would drop everything: so it lasts as long as the links.
pub(super) fn hold(
    pins: &PinDir,
    maps: &GateMaps,
    entry: Entry,
    zone: u32,
) -> Result<(), DataplaneError> {
    let pin = pins.zone(zone).join(entry.array());
    remove_pin(&pin)?;
    sys::pin(&maps.array(entry).fd(), &pin).map_err(|source| pin_error("pin", &pin, source))
}

/// The gate of one zone at one hook.
#[derive(Debug)]
pub struct Gate {
    program: OwnedFd,
}

impl Gate {
    /// The id of its program.
    pub(super) fn id(&self) -> Result<u32, DataplaneError> {
        sys::program_id(&self.program).map_err(super::maps::system_error("ask about a gate"))
    }
}

impl AsFd for Gate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }
}

/// The gates of an interface that does not exist: frames are handed to them (`BPF_PROG_TEST_RUN`).
pub struct Gates {
    programs: Programs,
    zone: u32,
    made: BTreeMap<Entry, Gate>,
}

impl Gates {
    /// Gates of a zone to these programs.
    pub const fn new(programs: Programs, zone: u32) -> Self {
        Self {
            programs,
            zone,
            made: BTreeMap::new(),
        }
    }

    /// Runs a program `times` over on a frame, by the gate; leaves the frame as the last run left it
    /// in `out`.
    ///
    /// # Errors
    /// When the kernel refuses the program or the frame.
    pub fn run(
        &mut self,
        entry: Entry,
        frame: &[u8],
        times: u32,
        out: Option<&mut [u8]>,
    ) -> Result<Run, DataplaneError> {
        if !self.made.contains_key(&entry) {
            let gate = self.programs.gate(entry, self.zone)?;
            self.made.insert(entry, gate);
        }
        sys::run(&self.made[&entry], frame, times, out).map_err(|source| DataplaneError::Run {
            program: entry.name(),
            source,
        })
    }
}
