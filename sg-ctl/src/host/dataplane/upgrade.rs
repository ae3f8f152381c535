//! Replaces the programs of attached interfaces by those of this binary, while packets meet them.
//!
//! Nothing is taken off its hook: the kernel exchanges the program of a link, or of a filter, at one
//! moment, and maps, links and settings stay what they are. A packet is judged by the old program or
//! the new one, and both know the same flows.

use std::io;

use aya::programs::tc::SchedClassifierLink;
use aya::programs::{ProgramError, SchedClassifier};
use sg_common::settings::ProgramConfig;

use super::error::DataplaneError;
use super::filters::{filter_pin, filter_programs, find_filter, next_filter_pin};
use super::hook::HookKind;
use super::links::{self, Attachment, HookSide, program_error};
use super::maps::system_error;
use super::pins::{PinDir, pin_error, remove_pin};
use super::program::{BUILD, Programs};
use super::sys;
use super::{Dataplane, clock, privilege};
use crate::host::crash::{CrashPoint, reach};
use sg_policy::model::Side;

impl Dataplane {
    /// Whose programs a zone has, as their [`BUILD`]; `None` when that is not known.
    pub fn build_of(&self, zone: u32) -> Option<String> {
        self.pins.build_of(zone)
    }

    /// Notes that a zone has programs of this binary, and their ids.
    pub(super) fn note_build(&self, zone: u32) -> Result<(), DataplaneError> {
        self.pins.set_build(zone, Some(&BUILD))?;
        let attachments = self.attachments()?;
        let found = attachments.iter().find(|each| each.zone == zone);
        let hooks = HookSide::ALL.map(|side| found.and_then(|found| found.hook(side)));
        let ids: Vec<_> = hooks.iter().flatten().map(|hook| hook.program).collect();
        self.pins.set_programs(zone, &BUILD, &ids)
    }

    /// Replaces the programs of attached interfaces, whose protected sides are given, by those of
    /// this binary. A hook that has none is left alone.
    ///
    /// # Errors
    /// When maps of another shape are pinned, or the kernel refuses a program: nothing has changed
    /// then. After that an error leaves some hooks with new programs, others with old ones.
    pub fn upgrade(&mut self, zones: &[(&Attachment, Side)]) -> Result<(), DataplaneError> {
        privilege::check()?;
        let mut loaded = Vec::new();
        for (attachment, side) in zones {
            loaded.push((attachment, load(&self.pins, attachment, *side)?));
        }
        reach(CrashPoint::ProgramsLoaded);
        for (attachment, programs) in &mut loaded {
            let zone = attachment.zone;
            self.pins.set_build(zone, None)?;
            reach(CrashPoint::BuildForgotten);
            for side in HookSide::ALL {
                replace(&self.pins, programs, attachment, side)?;
                reach(CrashPoint::ProgramReplaced);
            }
            self.note_build(zone)?;
            reach(CrashPoint::BuildNoted);
        }
        match loaded.first_mut() {
            Some((_, programs)) => replace_clock(&self.pins, programs),
            None => Ok(()),
        }
    }
}

/// Loads the programs that an interface has at its hooks: a refusal must come before any change.
pub(super) fn load(
    pins: &PinDir,
    attachment: &Attachment,
    side: Side,
) -> Result<Programs, DataplaneError> {
    let config = ProgramConfig {
        zone: attachment.zone,
        workload_side: u32::from(side == Side::Workload),
        test_clock: 0,
        hz: clock::hz()? as u32,
    };
    let mut programs = Programs::load(pins, config)?;
    programs.clock()?;
    for side in HookSide::ALL {
        match attachment.hook(side).map(|hook| hook.kind) {
            Some(HookKind::XdpNative | HookKind::XdpGeneric) => drop(programs.xdp()?),
            Some(HookKind::Tcx | HookKind::Clsact) => drop(programs.tc(side)?),
            None => {}
        }
    }
    Ok(programs)
}

/// Replaces the program at one hook.
pub(super) fn replace(
    pins: &PinDir,
    programs: &mut Programs,
    attachment: &Attachment,
    side: HookSide,
) -> Result<(), DataplaneError> {
    let Some(hook) = attachment.hook(side) else {
        return Ok(());
    };
    let program = match hook.kind {
        HookKind::XdpNative | HookKind::XdpGeneric => programs.xdp()?.fd(),
        HookKind::Tcx => programs.tc(side)?.fd(),
        HookKind::Clsact => return replace_filter(pins, programs.tc(side)?, attachment, side),
    };
    let program = program.map_err(program_error("open", side))?;
    match links::open_link(pins, attachment.zone, side)? {
        Some(link) => {
            sys::update_link(&link, program).map_err(system_error("update a pinned link"))
        }
        None => Ok(()),
    }
}

/// Replaces the program of a clsact filter: the kernel exchanges the filter of a handle at one
/// moment, and whichever program it runs then is pinned.
fn replace_filter(
    pins: &PinDir,
    program: &mut SchedClassifier,
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
        program
            .pin(&next)
            .map_err(|error| pin_error("pin", &next, io::Error::other(error)))?;
        let attach_type = side.attach_type();
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
