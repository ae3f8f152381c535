//! The kernel side of this host: loads programs, pins maps and links, replaces policy images.
//!
//! The only module that knows aya; `sys` is the only one with unsafe code. What it sets up stays in
//! force without any process: maps and links are [pinned](PinDir). A [`Sandbox`] leaves nothing: it
//! runs the same programs on frames that it is handed.

mod attach;
mod attached;
mod clock;
mod compat;
mod conntrack;
mod counters;
mod detach;
mod error;
mod events;
mod filters;
mod flows;
mod gate;
pub(super) mod haste;
mod hook;
mod image;
mod in_force;
mod interface;
mod links;
mod maps;
mod messages;
mod netlink;
mod peer;
mod pins;
mod privilege;
mod program;
mod relocate;
mod room;
mod rules;
mod sandbox;
mod seed;
mod sockets;
mod sys;
mod upgrade;
mod watch;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use sg_common::counters::{RuleKey, ZoneCounters};
use sg_common::flow::{FlowEntry, FlowKey};

pub use attach::AttachPlan;
pub use clock::{Clock, monotonic};
pub use conntrack::{Tracked, tracked_connections};
pub use error::DataplaneError;
pub use events::{EventStream, EventWatch};
pub use flows::FlowTableInfo;
pub use gate::{Entry, Gate, Gates};
pub use hook::HookKind;
pub use image::ImageInfo;
pub use interface::{Interface, Link, Lower, XdpProgram, routes};
pub use links::{AttachedHook, Attachment, Before, HookSide, program_name};
pub use messages::{ProgramMessage, ProgramMessages};
pub use peer::{Namespaces, in_others, number_of};
pub use pins::PinDir;
pub use program::{BUILD, OBJECT, Programs, patiently};
pub use relocate::{OtherLayout, Relocated, Relocation};
pub use rules::{RuleCounterInfo, RuleTotals};
pub use sandbox::Sandbox;
pub use seed::{Connection, Seeded};
pub use sockets::{Socket, sockets};
pub use sys::Run;
pub use watch::LinkWatch;

use maps::Maps;
use pins::pin_error;

use crate::host::crash::{CrashPoint, reach};

/// The programs and maps below one pin directory.
pub struct Dataplane {
    pins: PinDir,
    maps: OnceCell<Maps>,
    /// Those that [`prepare`](Self::prepare) has read, for who attaches next.
    programs: Option<Programs>,
}

impl Dataplane {
    /// Opens what is pinned below `pin_root`. Creates nothing; maps are opened when they are asked
    /// for, so that detaching needs none.
    ///
    /// # Errors
    /// When this process may not look at the pins.
    pub fn open(pin_root: &Path) -> Result<Self, DataplaneError> {
        let pins = PinDir::new(pin_root);
        pins.check_access()?;
        Ok(Self {
            pins,
            maps: OnceCell::new(),
            programs: None,
        })
    }

    /// The pins.
    pub fn pins(&self) -> &PinDir {
        &self.pins
    }

    /// Creates and pins the maps unless they exist, with room for so many flows.
    ///
    /// # Errors
    /// When there is no BPF file system, the process lacks capabilities, memory is short, or maps
    /// of another shape are pinned.
    pub fn prepare(&mut self, flows: u32) -> Result<(), DataplaneError> {
        privilege::check()?;
        if !self.has_lost_maps()? && !self.is_prepared() {
            FlowTableInfo::made_for(flows).check_memory()?;
            if self.pins.zones()?.is_empty() {
                // Leftovers of a process that was killed here may have another size.
                self.pins.remove()?;
            }
            let mut programs = Programs::load_or_make(&self.pins, program::config()?, flows)?;
            let clock = self.pins.clock();
            programs
                .clock()?
                .pin(&clock)
                .map_err(|error| pin_error("pin", &clock, io::Error::other(error)))?;
            reach(CrashPoint::ClockPinned);
            self.programs = Some(programs);
        }
        self.maps().map(drop)
    }

    /// Whether the maps exist.
    pub(super) fn is_prepared(&self) -> bool {
        // The clock is pinned last: without it a process was killed while it made the first pins.
        self.pins.clock().exists() && program::has_maps(&self.pins)
    }

    /// Whether programs are attached whose maps, or the way to them, have been removed: packets are
    /// judged by them, and nobody can change or see how.
    ///
    /// # Errors
    /// When the pins cannot be read.
    pub fn has_lost_maps(&self) -> Result<bool, DataplaneError> {
        Ok(!self.is_prepared() && !self.pins.zones()?.is_empty())
    }

    fn maps(&self) -> Result<&Maps, DataplaneError> {
        if let Some(maps) = self.maps.get() {
            return Ok(maps);
        }
        if self.has_lost_maps()? {
            return Err(DataplaneError::MapsLost {
                path: self.pins.path().to_owned(),
            });
        }
        if !self.is_prepared() {
            return Err(nothing_loaded(&self.pins));
        }
        let maps = Maps::open(&self.pins)?;
        Ok(self.maps.get_or_init(|| maps))
    }

    fn maps_mut(&mut self) -> Result<&mut Maps, DataplaneError> {
        self.maps()?;
        self.maps
            .get_mut()
            .ok_or_else(|| nothing_loaded(&self.pins))
    }

    /// What each rule of each interface has admitted since it came into force there.
    ///
    /// # Errors
    /// When nothing is loaded.
    pub fn rule_totals(&self) -> Result<BTreeMap<RuleKey, RuleTotals>, DataplaneError> {
        rules::totals(self.maps()?)
    }

    /// How many rules are counted and the memory that it takes, `None` when nothing is loaded.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn rule_counters(&self) -> Result<Option<RuleCounterInfo>, DataplaneError> {
        if self.is_prepared() {
            let counted = rules::counted(self.maps()?)?.len();
            RuleCounterInfo::of(counted).map(Some)
        } else {
            Ok(None)
        }
    }

    /// The counters of a zone, summed over all CPUs.
    ///
    /// # Errors
    /// When nothing is loaded.
    pub fn counters(&self, zone: u32) -> Result<ZoneCounters, DataplaneError> {
        self.maps()?.counters(zone)
    }

    /// Sets the counters of a zone, but for those of its rules, to zero.
    ///
    /// # Errors
    /// When nothing is loaded.
    pub fn reset_counters(&mut self, zone: u32) -> Result<(), DataplaneError> {
        self.maps_mut()?.reset_counters(zone)?;
        reach(CrashPoint::CountersReset);
        Ok(())
    }

    /// Room and memory of the flow table, `None` when nothing is loaded.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn flow_table(&self) -> Result<Option<FlowTableInfo>, DataplaneError> {
        if self.is_prepared() {
            FlowTableInfo::pinned(&self.pins).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Every entry of the flow table, expired ones included, each as it is when the iterator gets
    /// there.
    ///
    /// # Errors
    /// When nothing is loaded.
    pub fn flows(&self) -> Result<impl Iterator<Item = (FlowKey, FlowEntry)>, DataplaneError> {
        flows::flows(self.maps()?)
    }

    /// Slots of the flow table: twice the flows that fit.
    ///
    /// # Errors
    /// When nothing is loaded.
    pub fn flow_slots(&self) -> Result<usize, DataplaneError> {
        Ok(self.maps()?.flows()?.len())
    }

    /// Deletes the flows that `chosen` picks; returns how many.
    ///
    /// # Errors
    /// When nothing is loaded.
    pub fn delete_flows(
        &mut self,
        chosen: impl FnMut(&FlowKey, &FlowEntry) -> bool,
    ) -> Result<usize, DataplaneError> {
        flows::delete(self.maps()?, chosen)
    }

    /// The verdicts that the programs report. One reader at a time.
    ///
    /// # Errors
    /// [`DataplaneError::EventsTaken`] when there is another one; when nothing is loaded.
    pub fn events(&self) -> Result<EventStream, DataplaneError> {
        self.maps()?;
        EventStream::open(&self.pins)
    }

    /// The time as the programs see it.
    ///
    /// # Errors
    /// When nothing is loaded.
    pub fn clock(&self) -> Result<Clock, DataplaneError> {
        match self.maps()?.test_clock()? {
            0 => clock::read(&self.pins),
            now => Ok(Clock {
                hz: Self::hz()?,
                now,
            }),
        }
    }

    /// Jiffies per second; known even when nothing is loaded.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn hz() -> Result<u64, DataplaneError> {
        clock::hz()
    }

    /// Sets the time of programs that were loaded with `test_clock`.
    ///
    /// # Errors
    /// When nothing is loaded.
    pub fn set_test_clock(&mut self, jiffies: u64) -> Result<(), DataplaneError> {
        self.maps_mut()?.set_test_clock(jiffies)
    }
}

fn nothing_loaded(pins: &PinDir) -> DataplaneError {
    DataplaneError::NothingLoaded {
        path: pins.path().to_owned(),
    }
}
