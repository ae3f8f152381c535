//! A flow that is looked for while its slot is taken: what the order of loads is for.

use core::sync::atomic::AtomicBool;

use super::*;

/// State of a flow that gives way, and the one in which others are opened here.
const STATES: [FlowState; 2] = [FlowState::TCP_SYN_RECEIVED, FlowState::TCP_SYN_SENT];

/// A flow that gives way and one that does not.
const ONE_OF_ANOTHER_STATE: Before = [Some((1, STATES[0])), Some((2, FlowState::TCP_ESTABLISHED))];

/// A flow with the tag of flow 1, so that tags do not tell them apart.
fn same_tag() -> u16 {
    let is_same = |number: &u16| place(*number).tag() == place(1).tag();
    (3..1000).find(is_same).expect("there are 127 tags")
}

/// Looks for a flow in whose slot another CPU opens one in another state, and for that one. Returns
/// whether one was ever found in the other's state.
fn is_torn(find: fn(&Memory) -> [Option<FlowState>; 2], seen: &'static AtomicBool) -> bool {
    let open = |memory: &Memory| open_flow(memory, same_tag());
    race(ONE_OF_ANOTHER_STATE, find, open, move |_, found, opened| {
        assert_eq!(opened, Ok(()));
        let is_own =
            |(found, own): (Option<FlowState>, FlowState)| found.is_none_or(|it| it == own);
        if !found.into_iter().zip(STATES).all(is_own) {
            seen.store(true, Relaxed);
        }
    });
    seen.load(Relaxed)
}

fn states_of_both(cpu: Cpu<'_>) -> [Option<FlowState>; 2] {
    [1, same_tag()].map(|number| Some(find(&cpu, &key(number), &place(number))?.meta.state()))
}

#[test]
fn a_flow_is_found_with_its_own_state_or_not_at_all() {
    static TORN: AtomicBool = AtomicBool::new(false);
    assert!(!is_torn(|memory| states_of_both(cpu(memory)), &TORN));
}

/// What the order of loads is for, so that the model is known to show it.
#[test]
fn a_cpu_that_keeps_no_dependencies_finds_a_flow_in_the_state_of_another() {
    static TORN: AtomicBool = AtomicBool::new(false);
    let find = |memory: &Memory| {
        states_of_both(Cpu {
            memory,
            keeps_dependencies: false,
        })
    };
    assert!(is_torn(find, &TORN));
}
