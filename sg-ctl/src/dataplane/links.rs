//! What is attached, read from the pins and the kernel: true whatever the state file says.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use aya::programs::tc::{SchedClassifierLink, TcAttachType, TcHandle};
use aya::programs::{Link, ProgramError, ProgramInfo, SchedClassifier, loaded_programs};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAttribute, TcFilterBpfOption, TcHandle as RouteHandle, TcMessage, TcOption,
};
use sg_common::names::{PROGRAM_TC_EGRESS, PROGRAM_TC_INGRESS};

use super::error::DataplaneError;
use super::hook::HookKind;
use super::interface::Interface;
use super::maps::system_error;
use super::netlink::dump;
use super::pins::{PinDir, remove_tree};
use super::sys::{self, LinkTarget};
use crate::crash::{CrashPoint, reach};

/// The two hooks of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
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

    pub(super) const fn tc_program(self) -> &'static str {
        match self {
            Self::Ingress => PROGRAM_TC_INGRESS,
            Self::Egress => PROGRAM_TC_EGRESS,
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

/// What is attached for one zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The zone.
    pub zone: u32,
    /// The interface, `None` when it is gone.
    pub interface: Option<Interface>,
    /// The program of the ingress hook, `None` when it is not there (any more).
    pub ingress: Option<AttachedHook>,
    /// The program of the egress hook, `None` when it is not there (any more).
    pub egress: Option<AttachedHook>,
}

impl Attachment {
    /// Whether both hooks are in place.
    pub fn is_complete(&self) -> bool {
        self.ingress.is_some() && self.egress.is_some()
    }

    /// Whether all packets of an interface that exists are judged.
    pub fn is_guarded(&self) -> bool {
        self.interface.is_some() && self.is_complete()
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

/// The pin of the program of a clsact filter, which has no link: it keeps the program's id.
pub(super) fn filter_pin(pins: &PinDir, zone: u32, side: HookSide) -> PathBuf {
    pins.zone(zone).join(format!("{}_filter", side.name()))
}

/// The pin of the program that is about to replace that of a clsact filter. A process killed in
/// between leaves either of them the one that the filter runs.
pub(super) fn next_filter_pin(pins: &PinDir, zone: u32, side: HookSide) -> PathBuf {
    pins.zone(zone).join(format!("{}_next_filter", side.name()))
}

/// Every zone that has pins. `ifindex_of` tells the interface index in a zone's settings, which
/// only clsact filters need.
pub(super) fn attachments(
    pins: &PinDir,
    ifindex_of: impl Fn(u32) -> u32,
) -> Result<Vec<Attachment>, DataplaneError> {
    let zones = pins.zones()?;
    if zones.is_empty() {
        return Ok(Vec::new());
    }
    pins.check_namespace()?;
    let interfaces = Interface::all()?;
    zones
        .into_iter()
        .map(|zone| {
            let mut found = [None; 2];
            for (slot, side) in found.iter_mut().zip(HookSide::ALL) {
                *slot = match read_link(pins, zone, side, &interfaces)? {
                    None => read_filter(pins, zone, side, ifindex_of(zone))?,
                    link => link,
                };
            }
            let index = found.iter().flatten().map(|(_, index)| *index).max();
            let [egress, ingress] = found.map(|hook| hook.map(|(hook, _)| hook));
            Ok(Attachment {
                zone,
                interface: interfaces
                    .iter()
                    .find(|interface| Some(interface.index) == index)
                    .cloned(),
                ingress,
                egress,
            })
        })
        .collect()
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

/// A hook with a link: what it is, and the interface index.
fn read_link(
    pins: &PinDir,
    zone: u32,
    side: HookSide,
    interfaces: &[Interface],
) -> Result<Option<(AttachedHook, u32)>, DataplaneError> {
    let Some(link) = open_link(pins, zone, side)? else {
        return Ok(None);
    };
    let (target, program) =
        sys::link_target(&link).map_err(system_error("ask about a pinned link"))?;
    let (kind, ifindex) = match target {
        LinkTarget::Xdp { ifindex } => {
            let generic = interfaces
                .iter()
                .find(|interface| interface.index == ifindex)
                .and_then(|interface| interface.xdp)
                .is_some_and(|xdp| xdp.generic);
            let kind = if generic {
                HookKind::XdpGeneric
            } else {
                HookKind::XdpNative
            };
            (kind, ifindex)
        }
        LinkTarget::Tcx { ifindex } => (HookKind::Tcx, ifindex),
        LinkTarget::Other => return Ok(None),
    };
    // A link outlives its interface, and detaching, but holds nothing then.
    Ok((ifindex != 0).then_some((AttachedHook { kind, program }, ifindex)))
}

/// A hook with a clsact filter.
fn read_filter(
    pins: &PinDir,
    zone: u32,
    side: HookSide,
    ifindex: u32,
) -> Result<Option<(AttachedHook, u32)>, DataplaneError> {
    for (_, program) in filter_programs(pins, zone, side)? {
        if find_filter(ifindex, side, program)?.is_some() {
            let hook = AttachedHook {
                kind: HookKind::Clsact,
                program,
            };
            return Ok(Some((hook, ifindex)));
        }
    }
    Ok(None)
}

/// The programs that a clsact filter may run: their pins and ids.
pub(super) fn filter_programs(
    pins: &PinDir,
    zone: u32,
    side: HookSide,
) -> Result<Vec<(PathBuf, u32)>, DataplaneError> {
    [
        filter_pin(pins, zone, side),
        next_filter_pin(pins, zone, side),
    ]
    .into_iter()
    .filter(|pin| pin.exists())
    .map(|pin| {
        let program = SchedClassifier::from_pin(&pin).and_then(|program| program.info());
        let info = program.map_err(program_error("open", side))?;
        Ok((pin, info.id()))
    })
    .collect()
}

/// Names the TC program of a hook, and what was tried with it.
pub(super) fn program_error(
    action: &'static str,
    side: HookSide,
) -> impl FnOnce(ProgramError) -> DataplaneError {
    move |source| DataplaneError::Program {
        action,
        program: side.tc_program(),
        source: Box::new(source),
    }
}

/// The priority and handle of the filter of an interface that runs the program with this id.
pub(super) fn find_filter(
    ifindex: u32,
    side: HookSide,
    program: u32,
) -> Result<Option<(u16, TcHandle)>, DataplaneError> {
    let mut request = TcMessage::with_index(ifindex.cast_signed());
    request.header.parent = RouteHandle {
        major: RouteHandle::CLSACT.major,
        minor: match side {
            HookSide::Ingress => RouteHandle::MIN_INGRESS,
            HookSide::Egress => RouteHandle::MIN_EGRESS,
        },
    };
    let answer = match dump(RouteNetlinkMessage::GetTrafficFilter(request)) {
        // The interface is gone, or has no clsact.
        Err(error) if matches!(error.raw_os_error(), Some(19 | 22 | 2)) => return Ok(None),
        answer => answer.map_err(system_error("list the traffic filters"))?,
    };
    Ok(answer.into_iter().find_map(|message| match message {
        RouteNetlinkMessage::NewTrafficFilter(filter) if runs(&filter, program) => {
            let handle = TcHandle::from(u32::from(filter.header.handle));
            // tcm_info: priority and protocol.
            Some(((filter.header.info >> 16) as u16, handle))
        }
        _ => None,
    }))
}

fn runs(filter: &TcMessage, program: u32) -> bool {
    filter.attributes.iter().any(|attribute| match attribute {
        TcAttribute::Options(options) => {
            options.contains(&TcOption::Bpf(TcFilterBpfOption::ProgId(program)))
        }
        _ => false,
    })
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

fn remove_filter(
    interface: &Interface,
    side: HookSide,
    program: u32,
) -> Result<(), DataplaneError> {
    let Some((priority, handle)) = find_filter(interface.index, side, program)? else {
        return Ok(());
    };
    SchedClassifierLink::attached(&interface.name, side.attach_type(), priority, handle, None)
        .map_err(ProgramError::from)
        .and_then(Link::detach)
        .map_err(program_error("detach", side))
}

/// The name of a program, if the kernel tells (it wants `CAP_SYS_ADMIN`).
pub(super) fn program_name(id: u32) -> Option<String> {
    loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(str::to_owned))
}

/// See [`Dataplane::programs_before`](super::Dataplane::programs_before).
pub(super) fn programs_before(
    attachment: &Attachment,
    side: HookSide,
) -> Result<Vec<(u32, String)>, DataplaneError> {
    let (Some(interface), Some(ours)) = (&attachment.interface, attachment.hook(side)) else {
        return Ok(Vec::new());
    };
    let name_of = |info: &ProgramInfo| info.name_as_str().unwrap_or_default().to_owned();
    // XDP comes before all of TC, and holds one program; clsact comes after all of TCX.
    if matches!(ours.kind, HookKind::XdpNative | HookKind::XdpGeneric) {
        return Ok(Vec::new());
    }
    if HookKind::tc() == HookKind::Clsact {
        return Ok(Vec::new());
    }
    let (_, programs) = SchedClassifier::query_tcx(&interface.name, side.attach_type())
        .map_err(program_error("list what runs before", side))?;
    Ok(programs
        .iter()
        .take_while(|info| info.id() != ours.program)
        .map(|info| (info.id(), name_of(info)))
        .collect())
}
