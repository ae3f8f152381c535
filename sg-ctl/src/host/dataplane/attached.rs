//! What is attached, as the hooks of the interfaces tell.
//!
//! A pinned link says which interface it was made for; it says so, too, when that has been moved to
//! another network namespace, where its index is another one's. So the pins only tell what to look
//! for: an interface is guarded if the kernel, asked for the hooks of that interface in this
//! namespace, names our program.

use std::collections::BTreeMap;

use super::Dataplane;
use super::error::DataplaneError;
use super::filters::{filter_programs, filters};
use super::gate::Entry;
use super::hook::HookKind;
use super::interface::{Interface, XdpProgram};
use super::links::{AttachedHook, Attachment, Before, HookSide, link_pin, open_link};
use super::maps::system_error;
use super::pins::PinDir;
use super::sys::{self, LinkInfo, LinkTarget, TcxProgram};

/// How often is looked again while what is seen changes.
const ATTEMPTS: usize = 5;

/// A program of ours at a hook.
struct Held {
    hook: AttachedHook,
    ifindex: u32,
    /// The programs that see packets first.
    before: Vec<u32>,
}

impl Dataplane {
    /// What is attached, by zone, in ascending order; zones whose programs are gone, too, while
    /// their pins are there.
    ///
    /// # Errors
    /// When the pins belong to another network namespace, or the kernel does not answer.
    pub fn attachments(&self) -> Result<Vec<Attachment>, DataplaneError> {
        attachments(&self.pins, |zone| self.ifindex_of(zone))
    }

    /// What is attached, as [`attachments`](Self::attachments) tells, and the interfaces that there are,
    /// from one look at them.
    ///
    /// # Errors
    /// As `attachments`.
    pub fn survey(&self) -> Result<(Vec<Attachment>, Vec<Interface>), DataplaneError> {
        look_until_sure(&self.pins, &|zone| self.ifindex_of(zone))
    }

    /// The zones that have pins, in ascending order: those of [`attachments`](Self::attachments).
    ///
    /// # Errors
    /// When the pins cannot be read.
    pub fn zones(&self) -> Result<Vec<u32>, DataplaneError> {
        self.pins.zones()
    }

    /// What is attached for a zone at the interface of an index.
    pub(super) fn attachment_at(
        &self,
        zone: u32,
        index: u32,
    ) -> Result<Attachment, DataplaneError> {
        let interface = Interface::at(index)?;
        attachment(&self.pins, zone, index, &by_index(interface.as_slice()))
    }

    fn ifindex_of(&self, zone: u32) -> u32 {
        self.settings(zone).map_or(0, |settings| settings.ifindex)
    }
}

/// Every zone that has pins. `ifindex_of` tells the interface index in a zone's settings, 0 if it is
/// not known: its hooks are looked at first.
pub(super) fn attachments(
    pins: &PinDir,
    ifindex_of: impl Fn(u32) -> u32,
) -> Result<Vec<Attachment>, DataplaneError> {
    if pins.zones()?.is_empty() {
        return Ok(Vec::new());
    }
    Ok(look_until_sure(pins, &ifindex_of)?.0)
}

fn look_until_sure(
    pins: &PinDir,
    ifindex_of: &impl Fn(u32) -> u32,
) -> Result<(Vec<Attachment>, Vec<Interface>), DataplaneError> {
    let mut seen = look(pins, ifindex_of)?;
    // A hook is asked for after its pin: in between an upgrade may have replaced the program.
    for _ in 0..ATTEMPTS {
        if seen.0.iter().all(Attachment::is_complete) {
            break;
        }
        let before = std::mem::replace(&mut seen, look(pins, ifindex_of)?);
        if before.0 == seen.0 {
            break;
        }
    }
    Ok(seen)
}

fn look(
    pins: &PinDir,
    ifindex_of: &impl Fn(u32) -> u32,
) -> Result<(Vec<Attachment>, Vec<Interface>), DataplaneError> {
    let zones = pins.zones()?;
    if !zones.is_empty() {
        pins.check_namespace()?;
    }
    let interfaces = Interface::all()?;
    let present = by_index(&interfaces);
    let attachment = |zone| attachment(pins, zone, ifindex_of(zone), &present);
    let attachments = zones
        .into_iter()
        .map(attachment)
        .collect::<Result<_, _>>()?;
    Ok((attachments, interfaces))
}

/// Interfaces by their index.
type Present<'i> = BTreeMap<u32, &'i Interface>;

fn by_index(interfaces: &[Interface]) -> Present<'_> {
    interfaces.iter().map(|each| (each.index, each)).collect()
}

fn attachment(
    pins: &PinDir,
    zone: u32,
    ifindex: u32,
    present: &Present<'_>,
) -> Result<Attachment, DataplaneError> {
    let ours = pins.gates_of(zone);
    // Another program may have been put into the place of ours.
    let is_ours = |held: &Held| {
        ours.as_ref()
            .is_none_or(|ours| ours.iter().any(|(_, id)| *id == held.hook.program))
    };
    let mut found = Attachment {
        zone,
        ..Attachment::default()
    };
    let expected = present.get(&ifindex).zip(ours.as_ref());
    for side in HookSide::ALL {
        // Without its pin a link lasts no longer than whoever else holds it.
        let mut held = match expected.filter(|_| link_pin(pins, zone, side).exists()) {
            Some((interface, ours)) => held_at(interface, side, ours)?,
            None => None,
        };
        if held.is_none() {
            held = held_by_link(pins, zone, side, present)?;
        }
        if held.is_none() {
            held = held_by_filter(pins, zone, side, ifindex, present)?;
        }
        let Some(held) = held.filter(is_ours) else {
            continue;
        };
        let Some(interface) = present.get(&held.ifindex).copied() else {
            continue;
        };
        // Hooks of two interfaces are half of each: the first one counts.
        let first = found.interface.get_or_insert_with(|| interface.clone());
        if first.index != interface.index {
            continue;
        }
        let before = held.before.iter();
        found.before.extend(before.map(|program| Before {
            side,
            program: *program,
        }));
        match side {
            HookSide::Ingress => found.ingress = Some(held.hook),
            HookSide::Egress => found.egress = Some(held.hook),
        }
    }
    Ok(found)
}

/// What is at a hook of an interface that the gates of a zone are looked for at, if it is one of them: the
/// pinned link need not be opened.
fn held_at(
    interface: &Interface,
    side: HookSide,
    ours: &[(Entry, u32)],
) -> Result<Option<Held>, DataplaneError> {
    let is_ours = |program: u32| ours.iter().any(|(_, id)| *id == program);
    let at_xdp = interface.xdp.filter(|_| side == HookSide::Ingress);
    if let Some(xdp) = at_xdp.filter(|xdp| is_ours(xdp.id)) {
        return Ok(Some(held_at_xdp(interface, xdp)));
    }
    if HookKind::tc() != HookKind::Tcx {
        return Ok(None);
    }
    let at_hook = tcx_programs(interface.index, side)?;
    let position = at_hook
        .iter()
        .position(|each| each.link != 0 && is_ours(each.program));
    Ok(position.map(|position| held_at_tcx(interface.index, &at_hook, position)))
}

/// A program of ours at XDP, which comes before all of TC and holds one program.
fn held_at_xdp(interface: &Interface, xdp: XdpProgram) -> Held {
    Held {
        hook: AttachedHook {
            kind: if xdp.generic {
                HookKind::XdpGeneric
            } else {
                HookKind::XdpNative
            },
            program: xdp.id,
        },
        ifindex: interface.index,
        before: Vec::new(),
    }
}

/// A program of ours among those of a TCX hook.
fn held_at_tcx(ifindex: u32, at_hook: &[TcxProgram], position: usize) -> Held {
    let before = at_hook[..position].iter().map(|each| each.program);
    Held {
        hook: AttachedHook {
            kind: HookKind::Tcx,
            program: at_hook[position].program,
        },
        ifindex,
        before: before.collect(),
    }
}

/// What a pinned link holds at an interface of this network namespace.
fn held_by_link(
    pins: &PinDir,
    zone: u32,
    side: HookSide,
    present: &Present<'_>,
) -> Result<Option<Held>, DataplaneError> {
    let Some(link) = open_link(pins, zone, side)? else {
        return Ok(None);
    };
    let LinkInfo {
        target,
        id,
        program,
    } = sys::link_info(&link).map_err(system_error("ask about a pinned link"))?;
    match target {
        // A link outlives its interface, and detaching, but holds nothing then.
        LinkTarget::Xdp { ifindex: 0 } | LinkTarget::Tcx { ifindex: 0 } | LinkTarget::Other => {
            Ok(None)
        }
        LinkTarget::Xdp { ifindex } => {
            let interface = present.get(&ifindex);
            let at_hook = interface.and_then(|each| Some((each, each.xdp?)));
            let ours = at_hook.filter(|(_, xdp)| xdp.id == program);
            Ok(ours.map(|(interface, xdp)| held_at_xdp(interface, xdp)))
        }
        LinkTarget::Tcx { ifindex } => {
            let at_hook = tcx_programs(ifindex, side)?;
            let position = at_hook.iter().position(|each| each.link == id);
            Ok(position.map(|position| held_at_tcx(ifindex, &at_hook, position)))
        }
    }
}

fn tcx_programs(ifindex: u32, side: HookSide) -> Result<Vec<TcxProgram>, DataplaneError> {
    sys::tcx_programs(ifindex, side.attach_type())
        .map_err(system_error("list the programs of a hook"))
}

/// What a clsact filter holds.
fn held_by_filter(
    pins: &PinDir,
    zone: u32,
    side: HookSide,
    ifindex: u32,
    present: &Present<'_>,
) -> Result<Option<Held>, DataplaneError> {
    let ours = filter_programs(pins, zone, side)?;
    if ours.is_empty() {
        return Ok(None);
    }
    let candidates = present
        .values()
        .filter(|each| ifindex == 0 || each.index == ifindex);
    for interface in candidates {
        let at_hook = filters(interface.index, side)?;
        let is_ours = |program: u32| ours.iter().any(|(_, id)| *id == program);
        let Some(position) = at_hook.iter().position(|each| is_ours(each.program)) else {
            continue;
        };
        let mut before = Vec::new();
        if HookKind::tc() == HookKind::Tcx {
            // All of TCX comes before all of clsact.
            let tcx = tcx_programs(interface.index, side)?;
            before.extend(tcx.iter().map(|each| each.program));
        }
        before.extend(at_hook[..position].iter().map(|each| each.program));
        return Ok(Some(Held {
            hook: AttachedHook {
                kind: HookKind::Clsact,
                program: at_hook[position].program,
            },
            ifindex: interface.index,
            before,
        }));
    }
    Ok(None)
}
