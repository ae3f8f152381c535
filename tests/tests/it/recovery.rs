//! An operation that is killed leaves the old policy or the new one, and the next one goes on.
//!
//! Each test does by hand what an operation does up to the point at which it dies, then lets the
//! next operation find it.

use sg_common::settings::{MIN_FLOWS, MODE_AUDIT, MODE_ENFORCE};
use sg_ctl::{
    host::dataplane::{AttachPlan, Dataplane, HookKind, Interface},
    host::paths::Paths,
    host::state::{AttachmentRecord, Overrides, RulesBefore, State, StateDir},
    host::{ApplyRequest, AttachRequest, Host, HostError, Target, settings},
};
use sg_policy::{
    compile::{ZonePolicy, compile},
    model::{Hook, InterfaceSpec, Side},
};
use sg_tests::{netns::Namespace, scratch::Directory};

/// A namespace with an interface to guard, and an installation of its own.
struct Machine {
    namespace: Namespace,
    state: Directory,
    pins: Directory,
}

/// A deadline far away, in jiffies.
const DEADLINE: u64 = u64::MAX / 2;
/// The interface.
const GUARDED: &str = "guarded";

impl Machine {
    fn new() -> Self {
        let namespace = Namespace::new("machine");
        namespace.ip(&format!(
            "link add {GUARDED} type veth peer name peer
             addr add 198.51.100.2/28 dev {GUARDED}
             link set {GUARDED} up
             link set peer up
            "
        ));
        Self {
            namespace,
            state: Directory::temporary("state"),
            pins: Directory::for_pins("pins"),
        }
    }

    /// Works inside the namespace.
    fn with<T: Send>(&self, work: impl FnOnce(Machinery) -> T + Send) -> T {
        let paths = Paths {
            state: self.state.path().to_owned(),
            pins: self.pins.path().to_owned(),
        };
        self.namespace.enter(|| work(Machinery { paths }))
    }

    /// The same with the interface attached.
    fn attached() -> Self {
        let machine = Self::new();
        machine.with(|machinery| {
            let request = AttachRequest {
                interface: GUARDED.to_owned(),
                ..AttachRequest::default()
            };
            machinery.host().attach(request).expect("attaches");
        });
        machine
    }
}

/// The steps of operations, one by one.
struct Machinery {
    paths: Paths,
}

impl Machinery {
    fn host(&self) -> Host {
        Host::open(&self.paths).expect("root may look")
    }

    fn dataplane(&self) -> Dataplane {
        Dataplane::open(&self.paths.pins).expect("root may look")
    }

    fn state(&self) -> State {
        self.host().state().expect("the state is whole")
    }

    /// A state after the one in force, with the interface attached or not.
    fn next(&self, is_attached: bool) -> State {
        let mut next = self.state();
        next.generation += 1;
        next.model
            .prefix_lists
            .insert("new".to_owned(), <_>::default());
        next.attachments.clear();
        if is_attached {
            let record = AttachmentRecord {
                zone: 0,
                side: Side::Nic,
                hook: Hook::Auto,
                overrides: Overrides::default(),
                by_pattern: false,
                unconfirmed: false,
                before: None,
                rolled_back: false,
                keep_ssh: None,
                isolated: None,
            };
            next.attachments.insert(GUARDED.to_owned(), record);
        }
        next
    }

    /// Step 1 of every operation.
    fn prepare(&self, next: &State) {
        let lock = StateDir::new(&self.paths.state)
            .lock()
            .expect("nobody works here");
        lock.prepare(next).expect("there is room");
    }

    /// Step 2 of a change on trial.
    fn set_deadline(&self) {
        let mut dataplane = self.dataplane();
        let mut settings = dataplane.settings(0).expect("it is loaded");
        settings.rollback_at = DEADLINE;
        dataplane.set_settings(0, &settings).expect("it is loaded");
    }

    /// The deadline in the kernel.
    fn deadline(&self) -> u64 {
        let zone = self.state().attachments[GUARDED].zone;
        let settings = self.dataplane().settings(zone);
        settings.expect("it is loaded").rollback_at
    }

    /// The hooks, as attach puts them on.
    fn attach_hooks(&self, zone: u32) {
        let interface = Interface::find(GUARDED).expect("it is there");
        let plan = AttachPlan {
            zone,
            replaces: None,
            side: Side::Nic,
            hook: Hook::Auto,
            tc: HookKind::tc(),
            stripped: None,
            flows: MIN_FLOWS,
            settings: settings(&InterfaceSpec::default(), interface.index, 250, 0),
            interface,
        };
        self.dataplane().attach(&plan).expect("attaches");
    }

    /// The image of a state.
    fn install(&self, state: &mut State) {
        let zone = ZonePolicy {
            zone: 0,
            groups: InterfaceSpec::default().groups,
            addresses: Vec::new(),
        };
        let image = compile(&state.model, &[zone], &mut state.numbers, state.generation);
        let image = image.expect("a small policy");
        self.dataplane()
            .install(image.words(), image.rules())
            .expect("it fits");
    }

    /// An operation that fails after it has brought to an end what it found.
    fn settle(&self) {
        let request = AttachRequest {
            interface: "nowhere".to_owned(),
            ..AttachRequest::default()
        };
        let error = self.host().attach(request).expect_err("no such interface");
        assert!(error.is_refusal(), "{error}");
    }

    /// Asserts that state and kernel say the same and nothing is pending; returns the mode.
    fn assert_consistent(&self, is_attached: bool) -> Option<u8> {
        let status = self.host().status().expect("it can be read");
        assert!(!status.pending);
        if !is_attached {
            assert_eq!(status.interfaces, []);
            assert_eq!(status.image, None);
            return None;
        }
        let [interface] = status.interfaces.as_slice() else {
            panic!("{status:#?}");
        };
        assert!(interface.is_guarded() && interface.recorded, "{status:#?}");
        let image = status.image.expect("a policy is in force");
        assert_eq!(image.generation, status.generation);
        let settings = self.dataplane().settings(interface.zone);
        Some(settings.expect("it is loaded").mode)
    }
}

/// Whether the state is the one that [`Machinery::next`] makes.
fn is_new(state: &State) -> bool {
    state.model.prefix_lists.contains_key("new")
}

#[test]
fn an_apply_killed_before_the_swap_never_was() {
    Machine::attached().with(|machine| {
        machine.prepare(&machine.next(true));
        machine.settle();
        assert!(!is_new(&machine.state()));
        assert_eq!(machine.assert_consistent(true), Some(MODE_ENFORCE));
    });
}

#[test]
fn an_apply_killed_after_the_swap_is_finished() {
    Machine::attached().with(|machine| {
        let mut next = machine.next(true);
        machine.prepare(&next);
        machine.install(&mut next);
        machine.settle();
        assert!(is_new(&machine.state()));
        assert_eq!(machine.assert_consistent(true), Some(MODE_ENFORCE));
    });
}

#[test]
fn a_trial_killed_before_the_swap_leaves_no_deadline() {
    Machine::attached().with(|machine| {
        let mut next = machine.next(true);
        let record = next.attachments.get_mut(GUARDED).expect("it is attached");
        record.unconfirmed = true;
        record.before = Some(Overrides::default());
        let State { model, owners, .. } = machine.state();
        next.before = Some(Box::new(RulesBefore { model, owners }));
        machine.prepare(&next);
        machine.set_deadline();
        machine.settle();
        assert!(!is_new(&machine.state()));
        assert_eq!(machine.assert_consistent(true), Some(MODE_ENFORCE));
        assert_eq!(machine.deadline(), 0);
    });
}

#[test]
fn a_trial_killed_after_the_swap_keeps_its_deadline_until_it_is_confirmed() {
    Machine::attached().with(|machine| {
        let mut next = machine.next(true);
        let record = next.attachments.get_mut(GUARDED).expect("it is attached");
        record.unconfirmed = true;
        record.before = Some(Overrides::default());
        let State { model, owners, .. } = machine.state();
        next.before = Some(Box::new(RulesBefore { model, owners }));
        machine.prepare(&next);
        machine.set_deadline();
        machine.install(&mut next);
        machine.settle();
        assert!(is_new(&machine.state()));
        assert_eq!(machine.deadline(), DEADLINE);
        // Killed once more, before the confirmation came to the kernel: it is finished.
        let mut confirmed = machine.state();
        let record = confirmed.attachments.get_mut(GUARDED);
        record.expect("it is attached").unconfirmed = false;
        machine.prepare(&confirmed);
        machine.settle();
        assert_eq!(machine.deadline(), 0);
        assert_eq!(machine.assert_consistent(true), Some(MODE_ENFORCE));
    });
}

#[test]
fn a_change_of_mode_that_was_killed_is_finished() {
    Machine::attached().with(|machine| {
        let mut next = machine.state();
        let record = next.attachments.get_mut(GUARDED).expect("it is attached");
        record.overrides.audit = Some(true);
        machine.prepare(&next);
        machine.settle();
        assert_eq!(machine.state(), next);
        assert_eq!(machine.assert_consistent(true), Some(MODE_AUDIT));
    });
}

#[test]
fn a_restore_that_was_killed_is_taken_back_and_can_be_repeated() {
    Machine::attached().with(|machine| {
        let before = machine.state();
        // As a reboot does.
        std::fs::remove_dir_all(&machine.paths.pins).expect("it is ours");
        let mut next = machine.next(true);
        let record = next.attachments.get_mut(GUARDED).expect("it is attached");
        record.zone = 1;
        machine.prepare(&next);
        machine.attach_hooks(1);
        machine.settle();
        assert_eq!(machine.state(), before);
        assert_eq!(machine.dataplane().attachments().expect("read"), []);
        machine.host().restore(&[]).expect("the interface is there");
        assert_eq!(machine.assert_consistent(true), Some(MODE_ENFORCE));
    });
}

#[test]
fn an_attach_killed_before_its_policy_was_in_force_never_was() {
    Machine::new().with(|machine| {
        machine.prepare(&machine.next(true));
        machine.settle();
        machine.assert_consistent(false);

        machine.prepare(&machine.next(true));
        machine.attach_hooks(0);
        assert_eq!(
            machine.dataplane().settings(0).expect("it is loaded").mode,
            MODE_AUDIT,
            "nothing is dropped before there is a policy"
        );
        machine.settle();
        assert!(!is_new(&machine.state()));
        machine.assert_consistent(false);
    });
}

#[test]
fn an_attach_killed_after_its_policy_was_in_force_is_finished() {
    Machine::new().with(|machine| {
        let mut next = machine.next(true);
        machine.prepare(&next);
        machine.attach_hooks(0);
        machine.install(&mut next);
        machine.settle();
        assert!(is_new(&machine.state()));
        assert_eq!(machine.assert_consistent(true), Some(MODE_ENFORCE));
    });
}

#[test]
fn a_detach_killed_before_the_hooks_went_never_was() {
    Machine::attached().with(|machine| {
        machine.prepare(&machine.next(false));
        machine.settle();
        assert!(!is_new(&machine.state()));
        assert_eq!(machine.assert_consistent(true), Some(MODE_ENFORCE));
    });
}

#[test]
fn a_detach_killed_after_the_hooks_went_is_finished() {
    Machine::attached().with(|machine| {
        machine.prepare(&machine.next(false));
        machine.dataplane().detach(0).expect("it is attached");
        machine.settle();
        assert!(is_new(&machine.state()));
        machine.assert_consistent(false);
    });
}

#[test]
fn a_lost_state_is_noticed_and_detaching_needs_none() {
    Machine::attached().with(|machine| {
        let state = machine.paths.state.join("state.json");
        std::fs::remove_file(&state).expect("it is there");
        let error = machine
            .host()
            .apply(ApplyRequest::default())
            .expect_err("groups are lost");
        assert!(matches!(error, HostError::Unrecorded { .. }), "{error}");
        let status = machine.host().status().expect("the kernel knows");
        assert!(status.interfaces[0].is_guarded() && !status.interfaces[0].recorded);

        std::fs::write(&state, "{").expect("it is ours");
        let names = machine.host().detach(&Target::All).expect("always works");
        assert_eq!(names, [GUARDED], "the kernel knows it");
        machine.assert_consistent(false);
    });
}

#[test]
fn an_interface_that_came_back_can_be_attached_again() {
    let machine = Machine::attached();
    machine.namespace.ip(&format!(
        "link del {GUARDED}
         link add {GUARDED} type veth peer name peer
        "
    ));
    machine.with(|machine| {
        let status = machine.host().status().expect("it can be read");
        let [interface] = status.interfaces.as_slice() else {
            panic!("{status:#?}");
        };
        assert!(interface.ifindex.is_some() && !interface.is_guarded());
        let request = AttachRequest {
            interface: GUARDED.to_owned(),
            ..AttachRequest::default()
        };
        machine.host().attach(request).expect("the old one is gone");
        machine.assert_consistent(true);
        let target = Target::One(GUARDED.to_owned());
        machine.host().detach(&target).expect("it is attached");
        machine.assert_consistent(false);
    });
}
