//! How many flows fit.

use super::*;

#[test]
fn the_stated_number_of_flows_fits() {
    const FLOWS: u32 = 1 << 18;
    let model = Model::new(buckets_for(FLOWS));
    let refused = (0..FLOWS)
        .filter(|number| {
            model
                .open(&key(*number), FlowState::TCP_ESTABLISHED)
                .is_err()
        })
        .count();
    assert!(
        refused * 100_000 <= FLOWS as usize,
        "{refused} of {FLOWS} refused"
    );
    for number in 0..FLOWS {
        assert!(
            model.find(&key(number)).is_some() || refused > 0,
            "{number}"
        );
    }
    assert!(model.find(&key(FLOWS)).is_none());
}

#[test]
fn the_stated_number_of_flows_fits_however_long_flows_come_and_go() {
    const FLOWS: u32 = 1 << 14;
    let model = Model::new(buckets_for(FLOWS));
    let mut refused = 0;
    // Each tick opens a hundredth of what fits; flows live for a hundred ticks.
    for number in 0..FLOWS * 40 {
        if number % (FLOWS / TIMEOUT as u32) == 0 {
            model.now.set(model.now.get() + 1);
        }
        refused += u32::from(
            model
                .open(&key(number), FlowState::TCP_ESTABLISHED)
                .is_err(),
        );
    }
    assert!(
        model.live() as u32 >= FLOWS * 99 / 100,
        "the table is full: {}",
        model.live()
    );
    assert!(
        refused * 100_000 <= FLOWS * 40,
        "{refused} of {} refused",
        FLOWS * 40
    );
}
