//! Which flows give way to which: by evidence, by shares, by the limit of a remote end.

use super::*;

#[test]
fn flows_give_way_by_evidence() {
    for state in FlowState::ALL {
        let model = Model::new(2);
        for number in 0..16 {
            model.open(&key(number), state).expect("fits");
        }
        let opened = model.open(&key(99), FlowState::TCP_SYN_SENT);
        assert_eq!(
            opened.is_ok(),
            state.evidence() != Evidence::Proven,
            "{}",
            state.name()
        );
        assert_eq!(model.find(&key(99)).is_some(), opened.is_ok());
    }
}

#[test]
fn what_one_side_may_have_made_up_goes_before_what_was_answered() {
    let model = Model::new(2);
    for number in 0..16 {
        model.now.set(model.now.get() + 1);
        // The youngest alone is unproven.
        let state = [FlowState::UDP_ANSWERED, FlowState::OTHER][usize::from(number == 15)];
        model.open(&key(number), state).expect("fits");
    }
    for (number, gone) in [(100, 15), (101, 100), (102, 101)] {
        model
            .open(&key(number), FlowState::OTHER)
            .expect("takes a slot");
        assert!(model.find(&key(gone)).is_none(), "{gone}");
    }
    assert!((0..15).all(|number| model.find(&key(number)).is_some()));
}

#[test]
fn a_seeded_flow_is_believed_for_a_while() {
    let model = Model::new(2);
    for number in 0..16 {
        model
            .open(&key(number), FlowState::TCP_SEEDED)
            .expect("fits");
    }
    model.now.set(model.now.get() + SEED_PERIOD);
    let refused = model.open(&key(100), FlowState::TCP_SYN_SENT);
    assert_eq!(refused, Err(Refused::Full));
    model.now.set(model.now.get() + 1);
    model
        .open(&key(100), FlowState::TCP_SYN_SENT)
        .expect("takes a slot");
}

fn key_of(zone: u32, number: u32) -> FlowKey {
    let FlowKey { local, remote, .. } = key(number);
    let ends = Ends::new((local, 443), (remote, key(number).remote_port()));
    FlowKey::new(zone, VlanIds::NONE, 6, ends)
}

#[test]
fn an_interface_below_its_share_gets_places_back_from_one_beyond_its_own() {
    let model = Model::new(16);
    model.share.set(64);
    let open = |zone, number, state| model.open(&key_of(zone, number), state).is_ok();
    let live = |zone| {
        let of_zone = |slot: &&Cells| {
            slot.key
                .get()
                .is_some_and(|key| u32::from(key.zone()) == zone)
        };
        model.0.slots.iter().filter(of_zone).count()
    };
    // One fills the table with connections that are proven, and cannot do more.
    for number in 0..1000 {
        open(1, number, FlowState::TCP_ESTABLISHED);
    }
    assert_eq!(live(1), 128);
    assert!(!open(1, 2000, FlowState::TCP_ESTABLISHED));
    // The other is sure of its share, of which hardly anything is refused, and gets no more.
    let opened = (0..64).filter(|number| open(2, *number, FlowState::TCP_ESTABLISHED));
    assert!(opened.count() >= 62);
    for number in 64..1000 {
        open(2, number, FlowState::TCP_ESTABLISHED);
    }
    assert_eq!((live(1), live(2)), (64, 64));
}

#[test]
fn an_interface_beyond_its_share_pushes_out_its_own_flows_alone() {
    let model = Model::new(16);
    model.share.set(40);
    let open = |zone, number, state| model.open(&key_of(zone, number), state).is_ok();
    for number in 0..30 {
        assert!(open(2, number, FlowState::TCP_SYN_SENT));
    }
    for number in 0..10_000 {
        model
            .now
            .set(model.now.get() + u64::from(number % 200 == 0));
        open(1, number, FlowState::OTHER);
    }
    let held = model.held.borrow().get(&2).copied();
    assert_eq!(held, Some(30), "half-open as they are");
}

#[test]
fn flows_of_a_remote_end_beyond_its_limit_give_way() {
    let model = Model::new(2);
    for number in 0..16 {
        model
            .open(&key(number), FlowState::TCP_ESTABLISHED)
            .expect("fits");
    }
    let other = key(0x7000);
    assert!(model.open(&other, FlowState::TCP_ESTABLISHED).is_err());
    model.remote_limit.set(Some(15));
    model
        .open(&other, FlowState::TCP_ESTABLISHED)
        .expect("takes a slot");
    let another = key(0x7100);
    let result = model.open(&another, FlowState::TCP_ESTABLISHED);
    assert_eq!(result, Err(Refused::Full), "what is within it is kept");
}
