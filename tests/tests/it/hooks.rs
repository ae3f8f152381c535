//! Every kind of hook takes the programs, is told by the kernel, and lets go of them.

use rstest::rstest;
use sg_common::settings::MIN_FLOWS;
use sg_ctl::{
    host::dataplane::{AttachPlan, Dataplane, HookKind, Interface},
    host::settings,
};
use sg_policy::model::{Hook, InterfaceSpec, Side};
use sg_tests::{netns::Namespace, scratch::Directory};

#[rstest]
#[case::native_xdp(Hook::Xdp, HookKind::tc(), HookKind::XdpNative)]
#[case::generic_xdp(Hook::XdpGeneric, HookKind::tc(), HookKind::XdpGeneric)]
#[case::tc(Hook::Tc, HookKind::tc(), HookKind::tc())]
#[case::clsact(Hook::Tc, HookKind::Clsact, HookKind::Clsact)]
#[case::auto(Hook::Auto, HookKind::tc(), HookKind::tc())]
fn hooks_are_as_the_kernel_says(
    #[case] hook: Hook,
    #[case] tc: HookKind,
    #[case] ingress: HookKind,
) {
    let namespace = Namespace::new("hooks");
    namespace.ip("link add guarded type veth peer name peer\n");
    let pins = Directory::for_pins("pins");
    namespace.enter(|| {
        let interface = Interface::find("guarded").expect("it is there");
        let hz = Dataplane::hz().expect("the kernel tells");
        let plan = AttachPlan {
            zone: 7,
            replaces: None,
            side: Side::Nic,
            hook,
            tc,
            stripped: None,
            flows: MIN_FLOWS,
            settings: settings(&InterfaceSpec::default(), interface.index, hz, 0),
            interface,
        };
        let mut dataplane = Dataplane::open(pins.path()).expect("root may look");
        let (chosen, reason) = dataplane.attach(&plan).expect("attaches");
        assert_eq!(chosen, ingress, "{reason}");

        // As another process sees it.
        let mut other = Dataplane::open(pins.path()).expect("root may look");
        let attachments = other.attachments().expect("the kernel tells");
        let [attachment] = attachments.as_slice() else {
            panic!("{attachments:#?}");
        };
        assert_eq!(attachment.zone, 7);
        assert_eq!(
            attachment.interface.as_ref().map(|each| each.index),
            Some(plan.interface.index)
        );
        assert_eq!(attachment.ingress.map(|hook| hook.kind), Some(ingress));
        assert_eq!(attachment.egress.map(|hook| hook.kind), Some(tc));
        let again = dataplane.attach(&plan).expect_err("it is attached");
        assert_eq!(again.to_string(), "guarded is attached already");

        other.detach(7).expect("it is attached");
        assert_eq!(other.attachments().expect("the kernel tells"), []);
        assert!(!other.pins().path().exists(), "no pin stays");
        let bare = Interface::find("guarded").expect("it is there");
        assert_eq!(bare.xdp, None);
        dataplane.attach(&plan).expect("the hooks are free");
        dataplane.detach(7).expect("it is attached");
    });
}
