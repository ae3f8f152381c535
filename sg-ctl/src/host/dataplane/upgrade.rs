//! Replaces the programs of attached interfaces by those of this binary, while packets meet them.
//!
//! Nothing is taken off its hook: the gates of all interfaces lead to one place, and the kernel
//! exchanges the program there at one moment. Maps, gates and settings stay what they are. A packet is
//! judged by the old program or the new one, and both know the same flows. Gates are exchanged, by
//! their links, where the maps have another layout (`relocate.rs`).

use std::io;

use aya::programs::tc::SchedClassifierLink;
use aya::programs::{ProgramError, SchedClassifier};

use super::error::DataplaneError;
use super::filters::{filter_pin, filter_programs, find_filter, next_filter_pin};
use super::gate::{self, Entry, Gate, GateMaps};
use super::hook::HookKind;
use super::interface::Link;
use super::links::{self, Attachment, HookSide, program_error};
use super::maps::system_error;
use super::pins::{PinDir, pin_error, remove_pin};
use super::program::{self, BUILD, Programs};
use super::sys;
use super::{Dataplane, privilege};
use crate::host::crash::{CrashPoint, reach};
use sg_policy::model::Side;

impl Dataplane {
    /// Whose programs a zone has, as their [`BUILD`]; `None` when that is not known.
    pub fn build_of(&self, zone: u32) -> Option<String> {
        self.pins.build_of(zone)
    }

    /// The programs that stand at their places, with their ids; none when nothing is loaded.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn programs(&self) -> Result<Vec<(Entry, u32)>, DataplaneError> {
        if !self.is_prepared() {
            return Ok(Vec::new());
        }
        let maps = GateMaps::open(&self.pins)?;
        let mut programs = Vec::new();
        for entry in Entry::ALL {
            programs.extend(maps.program(entry)?.map(|id| (entry, id)));
        }
        Ok(programs)
    }

    /// Replaces the programs by those of this binary: each of them for all interfaces at one moment.
    ///
    /// # Errors
    /// When maps of another shape are pinned, or the kernel refuses a program: nothing has changed
    /// then. After that an error leaves some programs new, others old.
    pub fn upgrade(&mut self) -> Result<(), DataplaneError> {
        privilege::check()?;
        let entries = self.programs()?;
        let mut programs = Programs::load(&self.pins, program::config()?)?;
        // A refusal must come before any change.
        for (entry, _) in &entries {
            programs.judge(*entry)?;
        }
        programs.clock()?;
        reach(CrashPoint::ProgramsLoaded);
        for (entry, _) in entries {
            self.pins.set_build(entry, None)?;
            reach(CrashPoint::BuildForgotten);
            programs.put(entry)?;
            reach(CrashPoint::ProgramReplaced);
            self.pins.set_build(entry, Some(BUILD))?;
            reach(CrashPoint::BuildNoted);
        }
        // Loaded anew by whoever needs it.
        remove_pin(&self.pins.seed())?;
        replace_clock(&self.pins, &mut programs)
    }
}

/// The gates that an interface is to have in the place of what is at its hooks.
pub(super) struct NewGates {
    gates: Vec<(HookSide, Entry, Gate)>,
}

impl NewGates {
    /// Loads them, and the programs that they lead to: a refusal must come before any change.
    pub(super) fn load(
        pins: &PinDir,
        attachment: &Attachment,
        side: Side,
    ) -> Result<Self, DataplaneError> {
        let maps = GateMaps::open(pins)?;
        let mut programs = None;
        let mut gates = Vec::new();
        for hook in HookSide::ALL {
            if let Some(attached) = attachment.hook(hook) {
                let link = attachment
                    .interface
                    .as_ref()
                    .map(|interface| interface.link);
                let link = link.unwrap_or(Link::Ethernet);
                let entry = Entry::of(attached.kind, hook, side, link);
                program::ensure(&mut programs, pins, &maps, entry)?;
                gates.push((hook, entry, maps.gate(entry, attachment.zone)?));
            }
        }
        Ok(Self { gates })
    }

    /// Pins beside the links of the zone what the gates lead to.
    pub(super) fn hold(&self, pins: &PinDir, zone: u32) -> Result<(), DataplaneError> {
        let maps = GateMaps::open(pins)?;
        let mut gates = self.gates.iter();
        gates.try_for_each(|(_, entry, _)| gate::hold(pins, &maps, *entry, zone))
    }

    /// Puts them in their places.
    pub(super) fn replace(
        &self,
        pins: &PinDir,
        attachment: &Attachment,
    ) -> Result<(), DataplaneError> {
        for (side, _, gate) in &self.gates {
            let kind = attachment.hook(*side).map(|hook| hook.kind);
            if kind == Some(HookKind::Clsact) {
                replace_filter(pins, gate, attachment, *side)?;
            } else if let Some(link) = links::open_link(pins, attachment.zone, *side)? {
                sys::update_link(&link, gate).map_err(system_error("update a pinned link"))?;
            }
            reach(CrashPoint::ProgramReplaced);
        }
        Ok(())
    }

    /// Notes that a zone has them.
    pub(super) fn note(&self, pins: &PinDir, zone: u32) -> Result<(), DataplaneError> {
        let gates = self.gates.iter();
        let ids = gates.map(|(_, entry, gate)| Ok((*entry, gate.id()?)));
        let ids: Vec<_> = ids.collect::<Result<_, DataplaneError>>()?;
        pins.set_gates(zone, &ids)
    }
}

/// Replaces the program of a clsact filter: the kernel exchanges the filter of a handle at one
/// moment, and whichever program it runs then is pinned.
fn replace_filter(
    pins: &PinDir,
    gate: &Gate,
    attachment: &Attachment,
    side: HookSide,
) -> Result<(), DataplaneError> {
    let zone = attachment.zone;
    let (live, next) = (
        filter_pin(pins, zone, side),
        next_filter_pin(pins, zone, side),
    );
    let rename =
        || std::fs::rename(&next, &live).map_err(|source| pin_error("replace", &live, source));
    let Some(interface) = &attachment.interface else {
        return Ok(());
    };
    for (pin, id) in filter_programs(pins, zone, side)? {
        let Some((priority, handle)) = find_filter(interface.index, side, id)? else {
            continue;
        };
        if pin == next {
            // A process was killed when it had replaced the filter.
            rename()?;
        }
        remove_pin(&next)?;
        sys::pin(gate, &next).map_err(|source| pin_error("pin", &next, source))?;
        let attach_type = side.attach_type();
        let mut program = SchedClassifier::from_pin(&next).map_err(program_error("open", side))?;
        let link =
            SchedClassifierLink::attached(&interface.name, attach_type, priority, handle, None)
                .map_err(ProgramError::from)
                .and_then(|link| program.attach_to_link(link))
                .and_then(|link| program.take_link(link))
                .map_err(program_error("replace", side))?;
        // Dropped, it would take the filter with it.
        std::mem::forget::<SchedClassifierLink>(link);
        return rename();
    }
    Ok(())
}

/// Replaces the program that tells the time.
fn replace_clock(pins: &PinDir, programs: &mut Programs) -> Result<(), DataplaneError> {
    let (live, next) = (pins.clock(), pins.next_clock());
    remove_pin(&next)?;
    programs
        .clock()?
        .pin(&next)
        .map_err(|error| pin_error("pin", &next, io::Error::other(error)))?;
    std::fs::rename(&next, &live).map_err(|source| pin_error("replace", &live, source))?;
    reach(CrashPoint::ClockReplaced);
    Ok(())
}
