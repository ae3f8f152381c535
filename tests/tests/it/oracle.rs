//! Random models and traffic: the programs say what the oracle says, packet by packet.

use std::{env, path::Path, time::SystemTime};

use sg_common::reason::Reason;
use sg_tests::random::{InMemory, Kernel, Plan, replay_all, run};

fn seed() -> u64 {
    if let Ok(text) = env::var("SG_SEED") {
        return text.parse().expect("SG_SEED is a number");
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("after 1970").as_micros() as u64
}

/// How much to judge.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Amount {
    /// A fiftieth, where a packet takes long: in virtual machines (`SG_SHORT`).
    Short,
    /// A million packets.
    Usual,
    /// A hundred times that (`SG_LONG`).
    Long,
}

impl Amount {
    fn wanted() -> Self {
        let is_set = |name| env::var_os(name).is_some();
        if is_set("SG_SHORT") {
            Self::Short
        } else if is_set("SG_LONG") {
            Self::Long
        } else {
            Self::Usual
        }
    }

    /// So many in this amount, if they are so many usually.
    fn of(self, usual: u64) -> u64 {
        match self {
            Self::Short => usual / 50,
            Self::Usual => usual,
            Self::Long => usual * 100,
        }
    }
}

#[test]
fn oracle_and_pipeline_agree() {
    let amount = Amount::wanted();
    let plan = Plan {
        seed: seed(),
        scenarios: amount.of(400),
        packets: 500,
        threads: 2,
    };
    let tally = run("pipeline", plan, InMemory::default);
    assert!(tally.packets() >= amount.of(200_000));
}

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
    assert!(replay_all(&directory, &mut InMemory::default()) > 0);
    assert!(replay_all(&directory, &mut Kernel::default()) > 0);
}
