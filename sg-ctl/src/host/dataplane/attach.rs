//! Attaches the programs of one interface, or leaves everything as it was.
//!
//! The order: settings that drop nothing, egress hook, ingress hook. The caller puts a policy in
//! force then and ends with [`Dataplane::enforce`]. A process killed on the way leaves traffic
//! passing, and pins that tell.

use std::os::fd::OwnedFd;
use std::path::Path;

use aya::programs::tc::{
    NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact,
};
use aya::programs::{ProgramError, SchedClassifier, TcError};
use aya_obj::generated::{XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE};
use nix::errno::Errno;
use sg_common::settings::{InterfaceSettings, MODE_AUDIT};

use super::error::DataplaneError;
use super::filters::filter_pin;
use super::gate::{self, Entry, Gate, GateMaps};
use super::hook::{self, Choice, HookKind};
use super::interface::{Interface, Link};
use super::links::{Attachment, HookSide, link_pin};
use super::pins::{PinDir, pin_error};
use super::program::{self, Programs};
use super::{Dataplane, links, privilege, sys};
use crate::host::crash::{CrashPoint, reach};
use sg_policy::model::{Hook, Side};

/// What to attach.
#[derive(Clone, Debug)]
pub struct AttachPlan {
    /// The interface.
    pub interface: Interface,
    /// A zone that is not in use.
    pub zone: u32,
    /// The zone of what is left of an earlier attachment, which this one takes the place of.
    pub replaces: Option<u32>,
    /// Which side is protected.
    pub side: Side,
    /// The ingress hook that is wanted.
    pub hook: Hook,
    /// The form of TC to use: [`HookKind::Tcx`] or [`HookKind::Clsact`], see [`HookKind::tc`].
    pub tc: HookKind,
    /// A VLAN that is made of the interface and whose tags the driver takes off before XDP sees them.
    pub stripped: Option<String>,
    /// Flows that the flow table has room for, if this attachment is the first and makes it.
    pub flows: u32,
    /// The settings; until [`Dataplane::enforce`] they drop and log nothing.
    pub settings: InterfaceSettings,
}

impl Dataplane {
    /// Checks and attaches one interface, as [`attach_all`](Self::attach_all) does.
    ///
    /// # Errors
    /// As [`check`](Self::check) and [`attach_all`](Self::attach_all).
    pub fn attach(&mut self, plan: &AttachPlan) -> Result<(HookKind, String), DataplaneError> {
        self.check(plan, &self.attachments()?)?;
        let mut hooks = self.attach_all(std::slice::from_ref(plan))?;
        Ok(hooks.remove(0))
    }

    /// Attaches the gates of interfaces. The programs that they lead to count, but drop and log
    /// nothing before [`enforce`](Self::enforce). On an error none of them stays attached.
    ///
    /// Returns, of each, the ingress hook and why it was chosen, in words for the user.
    ///
    /// # Errors
    /// When an interface cannot be guarded, or the kernel refuses.
    pub fn attach_all(
        &mut self,
        plans: &[AttachPlan],
    ) -> Result<Vec<(HookKind, String)>, DataplaneError> {
        let result = self
            .attach_each(plans)
            .and_then(|hooks| self.confirm(plans).map(|()| hooks));
        // What is used stays where it is.
        self.programs = None;
        if result.is_err() {
            for plan in plans {
                // The first error is the one to report.
                let _ = self.detach(plan.zone);
            }
        }
        result
    }

    /// Makes sure that both hooks are those of the interfaces that were meant, which may have gone
    /// while they were attached.
    fn confirm(&self, plans: &[AttachPlan]) -> Result<(), DataplaneError> {
        for plan in plans {
            // Of the one interface: a host may have thousands.
            let found = self.attachment_at(plan.zone, plan.interface.index)?;
            if found.interface.is_none() || !found.is_complete() {
                return Err(DataplaneError::Vanished {
                    name: plan.interface.name.clone(),
                });
            }
        }
        Ok(())
    }

    /// Gives a zone its counters from zero and its settings, which carry verdicts out unless they
    /// say otherwise.
    ///
    /// # Errors
    /// When nothing is loaded.
    pub fn enforce(
        &mut self,
        zone: u32,
        settings: &InterfaceSettings,
    ) -> Result<(), DataplaneError> {
        self.reset_counters(zone)?;
        self.set_settings(zone, settings)
    }

    /// Checks all that can be known before trying: privileges, kernel, interface, what is `attached`.
    ///
    /// # Errors
    /// When the interface cannot be guarded or is guarded already.
    pub fn check(&self, plan: &AttachPlan, attached: &[Attachment]) -> Result<(), DataplaneError> {
        privilege::check()?;
        let interface = &plan.interface;
        let name = || interface.name.clone();
        if interface.loopback {
            return Err(DataplaneError::Loopback { name: name() });
        }
        match interface.link {
            Link::Other => return Err(DataplaneError::UnknownLink { name: name() }),
            Link::None if matches!(plan.hook, Hook::Xdp | Hook::XdpGeneric) => {
                return Err(DataplaneError::NoXdp { name: name() });
            }
            Link::None | Link::Ethernet => {}
        }
        let is_same = |other: &Interface| other.index == interface.index;
        if attached
            .iter()
            .filter(|each| Some(each.zone) != plan.replaces)
            .any(|each| each.zone == plan.zone || each.interface.as_ref().is_some_and(is_same))
        {
            return Err(DataplaneError::AlreadyAttached { name: name() });
        }
        let is_ours = match plan.replaces {
            Some(zone) => links::holds_xdp(&self.pins, zone, interface.index)?,
            None => false,
        };
        match interface.xdp {
            Some(program) if !is_ours && matches!(plan.hook, Hook::Xdp | Hook::XdpGeneric) => {
                Err(DataplaneError::ForeignXdp {
                    name: name(),
                    id: program.id,
                    program: links::program_name(program.id),
                })
            }
            _ => Ok(()),
        }
    }

    fn attach_each(
        &mut self,
        plans: &[AttachPlan],
    ) -> Result<Vec<(HookKind, String)>, DataplaneError> {
        let Some(first) = plans.first() else {
            return Ok(Vec::new());
        };
        self.prepare(first.flows)?;
        let maps = GateMaps::open(&self.pins)?;
        let hooks = plans.iter().map(|plan| self.attach_hooks(plan, &maps));
        hooks.collect()
    }

    fn attach_hooks(
        &mut self,
        plan: &AttachPlan,
        maps: &GateMaps,
    ) -> Result<(HookKind, String), DataplaneError> {
        let zone = plan.zone;
        if let Some(half) = plan.replaces
            && links::holds_xdp(&self.pins, half, plan.interface.index)?
        {
            // XDP holds one program; at TC what is left goes when all is in place.
            links::detach(&self.pins, half)?;
        }
        self.clear_zone(zone)?;
        self.set_settings(
            zone,
            &InterfaceSettings {
                mode: MODE_AUDIT,
                log_reasons: 0,
                ..plan.settings
            },
        )?;
        self.pins.create_zone(zone)?;
        self.pins.forget_gates(zone)?;
        reach(CrashPoint::ZoneCreated);
        let mut doors = Doors {
            pins: &self.pins,
            maps,
            programs: &mut self.programs,
            plan,
            made: Vec::new(),
        };
        doors.tc(HookSide::Egress)?;
        let ingress = doors.ingress()?;
        self.pins.set_gates(zone, &doors.made)?;
        Ok(ingress)
    }
}

/// The hooks of an interface that get their gates.
struct Doors<'a> {
    pins: &'a PinDir,
    maps: &'a GateMaps,
    programs: &'a mut Option<Programs>,
    plan: &'a AttachPlan,
    /// The programs that the gates lead to, each with the id of the gate.
    made: Vec<(Entry, u32)>,
}

impl Doors<'_> {
    /// Makes the gate of a hook.
    fn gate(&mut self, kind: HookKind, side: HookSide) -> Result<Gate, DataplaneError> {
        let (plan, zone) = (self.plan, self.plan.zone);
        let entry = Entry::of(kind, side, plan.side, plan.interface.link);
        program::ensure(self.programs, self.pins, self.maps, entry)?;
        gate::hold(self.pins, self.maps, entry, zone)?;
        let gate = self.maps.gate(entry, zone)?;
        self.made.push((entry, gate.id()?));
        Ok(gate)
    }

    fn ingress(&mut self) -> Result<(HookKind, String), DataplaneError> {
        let plan = self.plan;
        let Choice {
            kind,
            reason,
            or_tc,
        } = hook::choose(
            plan.hook,
            &plan.interface,
            plan.tc,
            plan.stripped.as_deref(),
        );
        if !matches!(kind, HookKind::XdpNative | HookKind::XdpGeneric) {
            self.tc(HookSide::Ingress)?;
            return Ok((kind, reason));
        }
        match self.xdp(kind) {
            Err(DataplaneError::Attach { source, .. }) if or_tc => {
                self.made.pop();
                self.tc(HookSide::Ingress)?;
                let reason = format!("because its driver refuses XDP ({})", root_cause(&*source));
                Ok((plan.tc, reason))
            }
            result => result.map(|()| (kind, reason)),
        }
    }

    fn xdp(&mut self, kind: HookKind) -> Result<(), DataplaneError> {
        let gate = self.gate(kind, HookSide::Ingress)?;
        let flags = match kind {
            HookKind::XdpNative => XDP_FLAGS_DRV_MODE,
            _ => XDP_FLAGS_SKB_MODE,
        };
        let link = sys::attach_xdp(&gate, self.plan.interface.index, flags)
            .map_err(attach_error(self.plan, kind))?;
        pin_link(self.pins, self.plan, HookSide::Ingress, &link)
    }

    fn tc(&mut self, side: HookSide) -> Result<(), DataplaneError> {
        let plan = self.plan;
        let gate = self.gate(plan.tc, side)?;
        if plan.tc != HookKind::Clsact {
            // Programs behind ours see only what ours lets pass; one before ours could let pass what
            // ours would drop. The index means this interface, the name may be another one's by now.
            let link = sys::attach_tcx(&gate, plan.interface.index, side.attach_type())
                .map_err(attach_error(plan, plan.tc))?;
            return pin_link(self.pins, plan, side, &link);
        }
        add_clsact(plan)?;
        // First the pin, by which the filter is found: it outlives this process from the moment it is
        // attached.
        let pin = filter_pin(self.pins, plan.zone, side);
        sys::pin(&gate, &pin).map_err(|source| pin_error("pin", &pin, source))?;
        attach_filter(plan, &pin, side).map_err(attach_error(plan, plan.tc))
    }
}

/// The innermost error: what the kernel said.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Attaches the pinned gate as a clsact filter.
fn attach_filter(plan: &AttachPlan, pin: &Path, side: HookSide) -> Result<(), ProgramError> {
    let options = TcAttachOptions::Netlink(NlOptions {
        priority: 1,
        handle: TcHandle::AUTO_ASSIGN,
        classid: None,
    });
    let mut program = SchedClassifier::from_pin(pin)?;
    let link = program.attach_with_options(&plan.interface.name, side.attach_type(), options)?;
    // Dropped, it would take the filter with it.
    std::mem::forget::<SchedClassifierLink>(program.take_link(link)?);
    Ok(())
}

/// Adds the queueing discipline that clsact filters hang on, which others may have done. It stays
/// when ours are gone: others may use it then.
fn add_clsact(plan: &AttachPlan) -> Result<(), DataplaneError> {
    match qdisc_add_clsact(&plan.interface.name) {
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(Errno::EEXIST as i32) => {
            Ok(())
        }
        result => result.map_err(attach_error(plan, HookKind::Clsact)),
    }
}

/// Pins a link, which then outlives this process.
fn pin_link(
    pins: &PinDir,
    plan: &AttachPlan,
    side: HookSide,
    link: &OwnedFd,
) -> Result<(), DataplaneError> {
    reach(CrashPoint::LinkMade);
    let pin = link_pin(pins, plan.zone, side);
    sys::pin(link, &pin).map_err(|source| pin_error("pin", &pin, source))?;
    reach(CrashPoint::LinkPinned);
    Ok(())
}

fn attach_error<E: Into<ProgramError>>(
    plan: &AttachPlan,
    kind: HookKind,
) -> impl FnOnce(E) -> DataplaneError {
    move |source| DataplaneError::Attach {
        name: plan.interface.name.clone(),
        hook: kind.name(),
        source: Box::new(source.into()),
    }
}
