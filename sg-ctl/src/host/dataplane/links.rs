//! The hooks of an interface, and what holds programs there.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use aya::programs::tc::TcAttachType;
use aya::programs::{ProgramError, loaded_programs};

use super::error::DataplaneError;
use super::filters::{filter_programs, remove_filter};
use super::hook::HookKind;
use super::interface::Interface;
use super::maps::system_error;
use super::pins::{PinDir, remove_tree};
use super::sys::{self, LinkTarget};
use crate::host::crash::{CrashPoint, reach};

/// The two hooks of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookSide {
    /// What the interface receives.
    Ingress,
    /// What it sends.
    Egress,
}

impl HookSide {
    /// Both, in the order in which they are attached.
    pub(super) const ALL: [Self; 2] = [Self::Egress, Self::Ingress];

    /// The name in tables, JSON and pins.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    pub(super) const fn attach_type(self) -> TcAttachType {
        match self {
            Self::Ingress => TcAttachType::Ingress,
            Self::Egress => TcAttachType::Egress,
        }
    }
}

/// A program at a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachedHook {
    /// What holds it there.
    pub kind: HookKind,
    /// Id of the program.
    pub program: u32,
}

/// A program of somebody else that sees the packets of an interface before ours: what it lets pass
/// on its own account never reaches ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before {
    /// The hook.
    pub side: HookSide,
    /// Id of the program, 0 when it is no BPF program.
    pub program: u32,
}

/// What is attached for one zone, as the hooks tell, not the pins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachment {
    /// The zone.
    pub zone: u32,
    /// The interface that has the programs; `None` when none of this network namespace has.
    pub interface: Option<Interface>,
    /// The program of the ingress hook, `None` when it is not there (any more).
    pub ingress: Option<AttachedHook>,
    /// The program of the egress hook, `None` when it is not there (any more).
    pub egress: Option<AttachedHook>,
    /// What sees its packets first.
    pub before: Vec<Before>,
}

impl Attachment {
    /// Whether both hooks of an interface are in place.
    pub fn is_complete(&self) -> bool {
        self.ingress.is_some() && self.egress.is_some()
    }

    /// The program at one of its hooks.
    pub const fn hook(&self, side: HookSide) -> Option<AttachedHook> {
        match side {
            HookSide::Ingress => self.ingress,
            HookSide::Egress => self.egress,
        }
    }
}

/// The pin of a hook's link.
pub(super) fn link_pin(pins: &PinDir, zone: u32, side: HookSide) -> PathBuf {
    pins.zone(zone).join(side.name())
}

/// Opens the link of a hook, `None` when none is pinned.
pub(super) fn open_link(
    pins: &PinDir,
    zone: u32,
    side: HookSide,
) -> Result<Option<OwnedFd>, DataplaneError> {
    match sys::open_pin(&link_pin(pins, zone, side)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        link => link.map(Some).map_err(system_error("open a pinned link")),
    }
}

/// Whether a link of a zone takes the XDP hook of an interface, whichever program it runs.
pub(super) fn holds_xdp(pins: &PinDir, zone: u32, ifindex: u32) -> Result<bool, DataplaneError> {
    let Some(link) = open_link(pins, zone, HookSide::Ingress)? else {
        return Ok(false);
    };
    let info = sys::link_info(&link).map_err(system_error("ask about a pinned link"))?;
    Ok(info.target == LinkTarget::Xdp { ifindex })
}

/// Names the gate of a hook, and what was tried with it.
pub(super) fn program_error(
    action: &'static str,
    side: HookSide,
) -> impl FnOnce(ProgramError) -> DataplaneError {
    move |source| DataplaneError::Program {
        action,
        program: match side {
            HookSide::Ingress => "sg_zone (ingress)",
            HookSide::Egress => "sg_zone (egress)",
        },
        source: Box::new(source),
    }
}

/// Takes the programs of a zone off their hooks and removes its pins. Whatever of it is gone
/// already, the interface included, is fine. When it returns no packet meets the programs.
pub(super) fn detach(pins: &PinDir, zone: u32) -> Result<(), DataplaneError> {
    for side in HookSide::ALL {
        if let Some(link) = open_link(pins, zone, side)? {
            sys::detach_link(&link).map_err(system_error("detach a pinned link"))?;
            reach(CrashPoint::LinkDetached);
        }
        for (_, program) in filter_programs(pins, zone, side)? {
            for interface in Interface::all()? {
                remove_filter(&interface, side, program)?;
            }
        }
    }
    remove_tree(&pins.zone(zone))?;
    reach(CrashPoint::ZoneRemoved);
    Ok(())
}

/// The name of a program, if the kernel tells (it wants `CAP_SYS_ADMIN`).
pub fn program_name(id: u32) -> Option<String> {
    loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(str::to_owned))
}
