//! Attaches the programs of one interface, or leaves everything as it was.
//!
//! The order: settings that drop nothing, egress hook, ingress hook. The caller puts a policy in
//! force then and ends with [`Dataplane::enforce`]. A process killed on the way leaves traffic
//! passing, and pins that tell.

use std::io;
use std::path::Path;

use aya::programs::links::FdLink;
use aya::programs::tc::{
    NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact,
};
use aya::programs::{ProgramError, TcError, Xdp, XdpMode};
use nix::errno::Errno;
use sg_common::settings::{InterfaceSettings, MODE_AUDIT, ProgramConfig};

use super::error::DataplaneError;
use super::filters::filter_pin;
use super::hook::{self, Choice, HookKind};
use super::interface::Interface;
use super::links::{Attachment, HookSide, link_pin, program_error};
use super::pins::{PinDir, pin_error};
use super::program::{BUILD, Programs};
use super::{Dataplane, clock, links, privilege, sys};
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
    /// Flows that the flow table has room for, if this attachment is the first and makes it.
    pub flows: u32,
    /// The settings; until [`Dataplane::enforce`] they drop and log nothing.
    pub settings: InterfaceSettings,
}

impl Dataplane {
    /// Attaches both programs of an interface. They count, but drop and log nothing before
    /// [`enforce`](Self::enforce). On an error nothing stays attached.
    ///
    /// Returns the ingress hook and why it was chosen, in words for the user.
    ///
    /// # Errors
    /// When the interface cannot be guarded, is guarded already, or the kernel refuses.
    pub fn attach(&mut self, plan: &AttachPlan) -> Result<(HookKind, String), DataplaneError> {
        self.check(plan)?;
        let result = self
            .attach_hooks(plan)
            .and_then(|hooks| self.confirm(plan).map(|()| hooks));
        if result.is_err() {
            // The first error is the one to report.
            let _ = self.detach(plan.zone);
        }
        result
    }

    /// Makes sure that both hooks are those of the interface that was meant, which may have gone
    /// while it was attached.
    fn confirm(&self, plan: &AttachPlan) -> Result<(), DataplaneError> {
        self.note_build(plan.zone)?;
        let attachments = self.attachments()?;
        let found = attachments.iter().find(|each| each.zone == plan.zone);
        let index = found.and_then(|found| found.interface.as_ref());
        let is_meant = index.is_some_and(|interface| interface.index == plan.interface.index);
        if is_meant && found.is_some_and(Attachment::is_complete) {
            Ok(())
        } else {
            Err(DataplaneError::Vanished {
                name: plan.interface.name.clone(),
            })
        }
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

    /// Checks all that can be known before trying: privileges, kernel, interface.
    ///
    /// # Errors
    /// When the interface cannot be guarded or is guarded already.
    pub fn check(&self, plan: &AttachPlan) -> Result<(), DataplaneError> {
        privilege::check()?;
        let interface = &plan.interface;
        let name = || interface.name.clone();
        if interface.loopback {
            return Err(DataplaneError::Loopback { name: name() });
        }
        if !interface.ethernet {
            return Err(DataplaneError::NotEthernet { name: name() });
        }
        let attached = self.attachments()?;
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

    fn attach_hooks(&mut self, plan: &AttachPlan) -> Result<(HookKind, String), DataplaneError> {
        let zone = plan.zone;
        self.prepare(plan.flows)?;
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
        let mut programs = Programs::load(
            &self.pins,
            ProgramConfig {
                zone,
                workload_side: u32::from(plan.side == Side::Workload),
                test_clock: 0,
                hz: clock::hz()? as u32,
            },
        )?;
        self.pins.create_zone(zone)?;
        self.pins.set_build(zone, Some(&BUILD))?;
        reach(CrashPoint::ZoneCreated);
        attach_tc(&mut programs, &self.pins, plan, HookSide::Egress)?;
        attach_ingress(&mut programs, &self.pins, plan)
    }
}

fn attach_ingress(
    programs: &mut Programs,
    pins: &PinDir,
    plan: &AttachPlan,
) -> Result<(HookKind, String), DataplaneError> {
    let Choice {
        kind,
        reason,
        or_tc,
    } = hook::choose(plan.hook, &plan.interface, plan.tc);
    let mode = match kind {
        HookKind::XdpNative => XdpMode::Driver,
        HookKind::XdpGeneric => XdpMode::Skb,
        HookKind::Tcx | HookKind::Clsact => {
            attach_tc(programs, pins, plan, HookSide::Ingress)?;
            return Ok((kind, reason));
        }
    };
    match attach_xdp(programs.xdp()?, pins, plan, kind, mode) {
        Err(DataplaneError::Attach { source, .. }) if or_tc => {
            attach_tc(programs, pins, plan, HookSide::Ingress)?;
            let reason = format!("because its driver refuses XDP ({})", root_cause(&*source));
            Ok((plan.tc, reason))
        }
        result => result.map(|()| (kind, reason)),
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

fn attach_xdp(
    program: &mut Xdp,
    pins: &PinDir,
    plan: &AttachPlan,
    kind: HookKind,
    mode: XdpMode,
) -> Result<(), DataplaneError> {
    let link = program
        .attach_to_if_index(plan.interface.index, mode)
        .and_then(|link| program.take_link(link))
        .map_err(attach_error(plan, kind))?;
    // aya attaches XDP programs over netlink when the kernel answers EINVAL. Kernels with XDP links
    // (Linux 5.9) then answer so again; one that did not would leave us without a link.
    let Ok(link) = FdLink::try_from(link) else {
        return Err(DataplaneError::NoLink {
            name: plan.interface.name.clone(),
            hook: kind.name(),
        });
    };
    pin_link(pins, plan, HookSide::Ingress, |pin| {
        link.pin(pin).map(drop).map_err(io::Error::other)
    })
}

fn attach_tc(
    programs: &mut Programs,
    pins: &PinDir,
    plan: &AttachPlan,
    side: HookSide,
) -> Result<(), DataplaneError> {
    let program = programs.tc(side)?;
    if plan.tc != HookKind::Clsact {
        // Programs behind ours see only what ours lets pass; one before ours could let pass what
        // ours would drop. The index means this interface, the name may be another one's by now.
        let fd = program.fd().map_err(program_error("open", side))?;
        let link = sys::attach_tcx(fd, plan.interface.index, side.attach_type())
            .map_err(|source| attach_error(plan, plan.tc)(TcError::IoError(source).into()))?;
        return pin_link(pins, plan, side, |pin| sys::pin(&link, pin));
    }
    add_clsact(plan)?;
    // First the pin, by which the filter is found: it outlives this process from the moment it is
    // attached.
    let pin = filter_pin(pins, plan.zone, side);
    program
        .pin(&pin)
        .map_err(|error| pin_error("pin", &pin, io::Error::other(error)))?;
    let options = TcAttachOptions::Netlink(NlOptions {
        priority: 1,
        handle: TcHandle::AUTO_ASSIGN,
        classid: None,
    });
    let link = program
        .attach_with_options(&plan.interface.name, side.attach_type(), options)
        .and_then(|link| program.take_link(link))
        .map_err(attach_error(plan, plan.tc))?;
    // Dropped, it would take the filter with it.
    std::mem::forget::<SchedClassifierLink>(link);
    Ok(())
}

/// Adds the queueing discipline that clsact filters hang on, which others may have done. It stays
/// when ours are gone: others may use it then.
fn add_clsact(plan: &AttachPlan) -> Result<(), DataplaneError> {
    match qdisc_add_clsact(&plan.interface.name) {
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(Errno::EEXIST as i32) => {
            Ok(())
        }
        result => result
            .map_err(ProgramError::from)
            .map_err(attach_error(plan, HookKind::Clsact)),
    }
}

/// Pins a link, which then outlives this process.
fn pin_link(
    pins: &PinDir,
    plan: &AttachPlan,
    side: HookSide,
    pin_at: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), DataplaneError> {
    reach(CrashPoint::LinkMade);
    let pin = link_pin(pins, plan.zone, side);
    pin_at(&pin).map_err(|source| pin_error("pin", &pin, source))?;
    reach(CrashPoint::LinkPinned);
    Ok(())
}

fn attach_error(plan: &AttachPlan, kind: HookKind) -> impl FnOnce(ProgramError) -> DataplaneError {
    move |source| DataplaneError::Attach {
        name: plan.interface.name.clone(),
        hook: kind.name(),
        source: Box::new(source),
    }
}
