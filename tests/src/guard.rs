//! An interface under guard at a hook of the test's choice.

use sg_common::{flow::Direction, reason::Reason, settings::MIN_FLOWS};
use sg_ctl::{
    host::dataplane::{AttachPlan, Dataplane, HookKind, Interface},
    host::settings,
};
use sg_policy::{
    compile::{RuleNumbers, ZonePolicy, compile},
    model::{Hook, Side},
    rulefile::{self, Source},
};

use crate::{netns::Namespace, sg_ctl::SgCtl};

/// The zone of the only guarded interface.
const ZONE: u32 = 0;

/// An interface that carries one group, with state and pins of its own.
#[derive(Debug)]
pub struct Guard<'a> {
    sg_ctl: SgCtl<'a>,
    namespace: &'a Namespace,
    interface: &'a str,
}

impl<'a> Guard<'a> {
    /// Guards `interface`; `group` is its group as a YAML mapping: `{ inbound: […], … }`.
    ///
    /// sg-ctl itself does it, unless that would take TCX where the test wants clsact; then its
    /// library is told so.
    pub fn attach(
        namespace: &'a Namespace,
        interface: &'a str,
        side: Side,
        hook: HookKind,
        group: &str,
    ) -> Self {
        let guard = Self {
            sg_ctl: SgCtl::new(namespace),
            namespace,
            interface,
        };
        let side_name = match side {
            Side::Nic => "nic",
            Side::Workload => "workload",
        };
        let rules = format!(
            "security_groups: {{ tested: {group} }}\n\
             interfaces: {{ {interface}: {{ groups: [tested], side: {side_name} }} }}\n"
        );
        if hook == HookKind::Clsact && HookKind::tc() != hook {
            namespace.enter(|| guard.attach_by_library(&rules, hook));
        } else {
            guard.attach_by_command(&rules, hook);
        }
        guard
    }

    fn attach_by_command(&self, rules: &str, hook: HookKind) {
        let file = self.sg_ctl.rule_file("rules.yaml", rules);
        let wanted = match hook {
            HookKind::XdpNative => "xdp",
            HookKind::XdpGeneric => "xdp-generic",
            HookKind::Tcx | HookKind::Clsact => "tc",
        };
        let words = ["attach", self.interface, "--hook", wanted, "-f", &file];
        let attached = self.sg_ctl.json(&words);
        assert_eq!(attached["ingress"], hook.name(), "{attached:#}");
        assert_eq!(attached["egress"], HookKind::tc().name(), "{attached:#}");
        assert_eq!(attached["zone"], ZONE, "{attached:#}");
    }

    fn attach_by_library(&self, rules: &str, tc: HookKind) {
        let source = Source {
            name: "rules.yaml".to_owned(),
            text: rules.to_owned(),
        };
        let parsed = rulefile::read(&[source]).unwrap_or_else(|report| panic!("{report}"));
        let spec = parsed.model.interfaces[self.interface].clone();
        let zone = ZonePolicy {
            zone: ZONE,
            groups: spec.groups.clone(),
            addresses: Vec::new(),
        };
        let image = compile(&parsed.model, &[zone], &mut RuleNumbers::default(), 1)
            .expect("the rules compile");
        let interface = Interface::find(self.interface).expect("it is there");
        let hz = Dataplane::hz().expect("the kernel tells HZ");
        let plan = AttachPlan {
            zone: ZONE,
            replaces: None,
            side: spec.side,
            hook: Hook::Tc,
            tc,
            stripped: None,
            flows: MIN_FLOWS,
            settings: settings(&spec, interface.index, hz, 0),
            interface,
        };
        let mut dataplane = self.dataplane();
        let (ingress, _) = dataplane.attach(&plan).expect("the kernel takes it");
        assert_eq!(ingress, tc);
        dataplane
            .install(image.words(), image.rules())
            .expect("the image is sound");
        dataplane
            .enforce(ZONE, &plan.settings)
            .expect("the maps are there");
    }

    /// The kernel side.
    fn dataplane(&self) -> Dataplane {
        Dataplane::open(self.sg_ctl.pins()).expect("the pins are in order")
    }

    /// Packets that passed or dropped for a reason.
    pub fn packets(&self, direction: Direction, reason: Reason) -> u64 {
        let counters = self.dataplane().counters(ZONE).expect("it is attached");
        counters.reasons[direction as usize][reason as usize].packets
    }

    /// Replaces the programs by new ones; returns the ids of the old and the new ones.
    pub fn upgrade(&self) -> (Vec<u32>, Vec<u32>) {
        self.namespace.enter(|| {
            let mut dataplane = self.dataplane();
            let ids = |dataplane: &Dataplane| {
                let programs = dataplane.programs().expect("the kernel tells");
                programs.into_iter().map(|(_, id)| id).collect::<Vec<_>>()
            };
            let before = ids(&dataplane);
            dataplane.upgrade().expect("the kernel takes them");
            (before, ids(&dataplane))
        })
    }

    /// Takes the guard away.
    pub fn detach(self) {
        let detach = || self.dataplane().detach(ZONE);
        self.namespace.enter(detach).expect("it is attached");
    }
}
