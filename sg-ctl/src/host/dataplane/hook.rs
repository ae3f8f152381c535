//! Which hook suits an interface.

use aya::util::KernelVersion;

use super::interface::{Interface, Link};
use sg_policy::model::Hook;

/// What holds a program at an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookKind {
    /// XDP in the driver.
    XdpNative,
    /// XDP in the kernel's generic path.
    XdpGeneric,
    /// TCX (Linux 6.6).
    Tcx,
    /// A filter of the clsact queueing discipline.
    Clsact,
}

impl HookKind {
    /// The name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::XdpNative => "xdp",
            Self::XdpGeneric => "xdp-generic",
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }

    /// The form of TC that this kernel has.
    pub fn tc() -> Self {
        match KernelVersion::current() {
            Ok(running) if running < KernelVersion::new(6, 6, 0) => Self::Clsact,
            _ => Self::Tcx,
        }
    }
}

/// The hook to try first, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// The hook.
    pub(super) kind: HookKind,
    /// Why, as the end of the sentence "ingress hook: …, ".
    pub(super) reason: String,
    /// Whether TC will do when the driver refuses.
    pub(super) or_tc: bool,
}

/// Buses whose drivers give up offloads when XDP is attached, for packets that come from the host
/// anyway.
const PARAVIRTUAL_BUSES: [&str; 3] = ["virtio", "vmbus", "xen"];

/// Chooses the ingress hook; `tc` is the form of TC to use, `stripped` a VLAN whose tags the driver
/// takes off before XDP sees them.
pub(super) fn choose(
    wanted: Hook,
    interface: &Interface,
    tc: HookKind,
    stripped: Option<&str>,
) -> Choice {
    let choice = |kind, reason: &str| Choice {
        kind,
        reason: reason.to_owned(),
        or_tc: false,
    };
    match wanted {
        Hook::Xdp => choice(HookKind::XdpNative, "as asked for"),
        Hook::XdpGeneric => choice(HookKind::XdpGeneric, "as asked for"),
        Hook::Tc => choice(tc, "as asked for"),
        Hook::Auto if interface.link == Link::None => choice(
            tc,
            "because its packets have no Ethernet header, without which there is no XDP",
        ),
        Hook::Auto => match (&interface.xdp, &interface.kind, &interface.bus) {
            (Some(program), ..) => choice(
                tc,
                &format!("because XDP is taken by program {}", program.id),
            ),
            (None, Some(kind), _) => choice(
                tc,
                &format!("because XDP on a {kind} device costs more than it saves"),
            ),
            (None, None, Some(bus)) if !PARAVIRTUAL_BUSES.contains(&bus.as_str()) => match stripped
            {
                Some(vlan) => choice(
                    tc,
                    &format!(
                        "because the driver takes VLAN tags off (rx-vlan-offload) before XDP sees \
                         packets of {vlan}"
                    ),
                ),
                None => Choice {
                    kind: HookKind::XdpNative,
                    reason: format!("because it is a {bus} device"),
                    or_tc: true,
                },
            },
            (None, None, bus) => choice(
                tc,
                &format!(
                    "because XDP on a {} device costs more than it saves",
                    bus.as_deref().unwrap_or("virtual")
                ),
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::dataplane::interface::XdpProgram;

    fn interface(kind: Option<&str>, bus: Option<&str>) -> Interface {
        Interface {
            index: 2,
            name: "eth0".to_owned(),
            kind: kind.map(str::to_owned),
            bus: bus.map(str::to_owned),
            link: Link::Ethernet,
            loopback: false,
            controller: None,
            lower: None,
            peer: None,
            peer_namespace: None,
            hardware: Vec::new(),
            lower_elsewhere: None,
            xdp: None,
        }
    }

    #[test]
    fn auto_takes_native_xdp_on_hardware_only() {
        for (kind, bus, expected) in [
            (None, Some("pci"), HookKind::XdpNative),
            (None, Some("usb"), HookKind::XdpNative),
            (None, Some("virtio"), HookKind::Tcx),
            (None, Some("vmbus"), HookKind::Tcx),
            (None, None, HookKind::Tcx),
            (Some("veth"), None, HookKind::Tcx),
            (Some("bond"), None, HookKind::Tcx),
            (Some("vlan"), None, HookKind::Tcx),
        ] {
            let choice = choose(Hook::Auto, &interface(kind, bus), HookKind::Tcx, None);
            assert_eq!(choice.kind, expected, "{kind:?} {bus:?}");
            assert_eq!(choice.or_tc, expected == HookKind::XdpNative);
        }
    }

    #[test]
    fn auto_leaves_xdp_to_the_program_that_has_it() {
        let mut taken = interface(None, Some("pci"));
        taken.xdp = Some(XdpProgram {
            id: 7,
            generic: false,
        });
        let choice = choose(Hook::Auto, &taken, HookKind::Clsact, None);
        assert_eq!(choice.kind, HookKind::Clsact);
        assert!(choice.reason.contains("program 7"), "{}", choice.reason);
    }

    #[test]
    fn what_is_asked_for_is_taken() {
        let veth = interface(Some("veth"), None);
        for (wanted, kind) in [
            (Hook::Xdp, HookKind::XdpNative),
            (Hook::XdpGeneric, HookKind::XdpGeneric),
            (Hook::Tc, HookKind::Tcx),
        ] {
            let choice = choose(wanted, &veth, HookKind::Tcx, None);
            assert_eq!((choice.kind, choice.or_tc), (kind, false));
        }
    }

    #[test]
    fn auto_leaves_xdp_where_tags_or_headers_are_missing() {
        let nic = interface(None, Some("pci"));
        let choice = choose(Hook::Auto, &nic, HookKind::Tcx, Some("eth0.5"));
        assert_eq!((choice.kind, choice.or_tc), (HookKind::Tcx, false));
        assert!(choice.reason.contains("eth0.5"), "{}", choice.reason);
        let asked = choose(Hook::Xdp, &nic, HookKind::Tcx, Some("eth0.5"));
        assert_eq!(asked.kind, HookKind::XdpNative);
        let tunnel = Interface {
            link: Link::None,
            ..interface(Some("wireguard"), None)
        };
        let choice = choose(Hook::Auto, &tunnel, HookKind::Tcx, None);
        assert_eq!(choice.kind, HookKind::Tcx);
        assert!(choice.reason.contains("no Ethernet header"));
    }
}
