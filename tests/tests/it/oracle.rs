//! Random models and traffic: the programs say what the oracle says, packet by packet.

use std::{env, path::Path};

use sg_common::reason::Reason;
use sg_tests::random::{Amount, InMemory, Kernel, Plan, replay_all, run, seed};

#[test]
fn oracle_and_kernel_agree() {
    let amount = Amount::wanted();
    let plan = Plan {
        seed: seed(),
        scenarios: amount.of(1050),
        packets: 1000,
        // Puts of images wait for the kernel most of the time.
        threads: if amount == Amount::Short { 1 } else { 4 },
    };
    let tally = run("kernel", plan, Kernel::default);
    assert!(tally.scenarios >= amount.of(1000));
    assert!(tally.packets() >= amount.of(1_000_000));
    assert!(tally.passes() * 100 >= tally.packets() * 30);
    if amount == Amount::Short {
        // What needs no kernel is tried where it was built; an emulated machine of another kind sees it here.
        if cfg!(target_arch = "aarch64") {
            let plan = Plan {
                scenarios: 8,
                ..plan
            };
            run("pipeline", plan, InMemory::default);
        }
        return;
    }
    let rare = Reason::ALL
        .iter()
        // Nothing in the traffic of one CPU makes another one faster.
        .filter(|reason| **reason != Reason::FlowContended)
        .filter(|reason| tally.reasons[**reason as usize] < 100);
    assert_eq!(rare.collect::<Vec<_>>(), Vec::<&Reason>::new());
}

#[test]
fn what_failed_once_does_not_fail_again() {
    let Some(package) = env::var_os("CARGO_MANIFEST_DIR") else {
        eprintln!("skipped: the files are not here, on another machine than the source");
        return;
    };
    let directory = Path::new(&package).join("data/seeds");
    assert!(replay_all(&directory, &mut Kernel::default()) > 0);
}
