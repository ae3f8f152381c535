//! Harness of the kernel and network tests: packets, namespaces, networks, loaded programs.
//!
//! Everything here cleans up after itself, also when a test panics; what a killed run left behind
//! is removed by the next one. What does not work panics, for that is how tests fail.
#![expect(
    clippy::missing_panics_doc,
    reason = "panics are how a test harness reports"
)]

pub mod bench;
pub mod big_tcp;
pub mod browser;
pub mod certificates;
pub mod conntrack;
pub mod ec2;
pub mod etcd;
pub mod family;
pub mod foreign;
pub mod fuzz;
pub mod guard;
pub mod netns;
pub mod nobody;
pub mod oracle;
pub mod packet;
pub mod ppp;
pub mod prog;
pub mod random;
mod relay;
pub mod replay;
pub mod scratch;
pub mod sg_ctl;
pub mod topology;
pub mod traffic;
pub mod tunnel;
pub mod verifier;
pub mod vpc_bench;
pub mod wire;

use std::{
    thread,
    time::{Duration, Instant},
};

/// The longest that anything takes that does happen, on a busy or an emulated machine. Only a test that
/// fails waits so long: what should not happen is waited for elsewhere, and not for long.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Asks `probe` again and again until it has an answer.
pub fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    eventually_within(what, PATIENCE, probe)
}

/// The shortest and the longest pause between two attempts.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(100)];

/// The same, for what takes longer. The pause after an attempt is four times as long as that took: most run a
/// command, and what is waited for wants the processor, too.
pub fn eventually_within<T>(
    what: &str,
    patience: Duration,
    mut probe: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        let begin = Instant::now();
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "not within {} s: {what}",
            patience.as_secs()
        );
        let [shortest, longest] = PAUSES;
        thread::sleep((begin.elapsed() * 4).clamp(shortest, longest));
    }
}

/// Reports that cleaning up failed: loudly, but not in the way of a failure that came before.
fn complain(message: &str) {
    assert!(thread::panicking(), "{message}");
    eprintln!("{message}");
}
