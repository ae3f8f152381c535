//! Running many scenarios, and telling what came of them.

use std::{
    env,
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Instant, SystemTime},
};

use sg_common::reason::Reason;

use super::{Mismatch, Scenario, Step, Subject, Tally, check, shrink};
use crate::oracle::packet::{Content, Packet, Upper};

/// How much to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// A fiftieth, where a packet takes long: in virtual machines (`SG_SHORT`).
    Short,
    /// A million packets by the kernel.
    Usual,
    /// A hundred times that (`SG_LONG`).
    Long,
}

impl Amount {
    /// What the environment asks for.
    pub fn wanted() -> Self {
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
    pub const fn of(self, usual: u64) -> u64 {
        match self {
            Self::Short => usual / 50,
            Self::Usual => usual,
            Self::Long => usual * 100,
        }
    }
}

/// The seed that the environment names (`SG_SEED`), else another one each time.
///
/// # Panics
/// When it is not a number.
pub fn seed() -> u64 {
    if let Ok(text) = env::var("SG_SEED") {
        return text.parse().expect("SG_SEED is a number");
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("after 1970").as_micros() as u64
}

/// What to judge.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Seed of the first scenario; the next ones count up.
    pub seed: u64,
    /// Scenarios.
    pub scenarios: u64,
    /// Packets of each, at least.
    pub packets: usize,
    /// Threads, each with a subject of its own.
    pub threads: usize,
}

/// Judges random scenarios and prints what was judged. Returns the numbers.
///
/// # Panics
/// When oracle and subject differ: with the seed, and the smallest scenario found in which they do,
/// also as a file to be kept.
pub fn run<S: Subject>(name: &str, plan: Plan, subject: impl Fn() -> S + Sync) -> Tally {
    let started = Instant::now();
    let next = AtomicU64::new(0);
    let failure = Mutex::new(None);
    let work = || {
        let mut subject = subject();
        let mut tally = Tally::ZERO;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= plan.scenarios {
                return tally;
            }
            let seed = plan.seed.wrapping_add(index);
            let scenario = Scenario::random(seed, plan.packets);
            let _blame = Blame { name, seed };
            match check(&scenario, &mut subject) {
                Ok(more) => tally.add(&more),
                Err(mismatch) => {
                    next.store(plan.scenarios, Ordering::Relaxed);
                    let mut failure = failure.lock().expect("nobody panics with the lock");
                    failure.get_or_insert((seed, scenario, mismatch));
                    return tally;
                }
            }
        }
    };
    let mut tally = Tally::ZERO;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..plan.threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            tally.add(&thread.join().expect("subjects do not panic"));
        }
    });
    if let Some((seed, scenario, mismatch)) = failure.into_inner().expect("nobody panicked") {
        explain(name, seed, &scenario, mismatch, &mut subject());
    }
    // Not println: libtest would keep it from view unless the test fails.
    let _ = writeln!(io::stdout(), "{}", summary(name, plan, &tally, started));
    tally
}

/// Judges all scenarios that are kept as files. Returns how many there are.
///
/// # Panics
/// When oracle and subject differ on one.
pub fn replay_all(directory: &Path, subject: &mut impl Subject) -> usize {
    let entries = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", directory.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "json"))
        .collect();
    paths.sort();
    for path in &paths {
        let text = fs::read_to_string(path).expect("a readable file");
        let scenario: Scenario = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if let Err(mismatch) = check(&scenario, subject) {
            panic!("{}\n{}", path.display(), tell(&scenario, &mismatch));
        }
    }
    paths.len()
}

/// Names the scenario in which a subject panicked.
struct Blame<'a> {
    name: &'a str,
    seed: u64,
}

impl Drop for Blame<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}: that was seed {}", self.name, self.seed);
        }
    }
}

/// Makes a failing scenario small, and fails with it: or with all of it, if it does not fail again.
fn explain(
    name: &str,
    seed: u64,
    scenario: &Scenario,
    mismatch: Mismatch,
    subject: &mut impl Subject,
) -> ! {
    let small = shrink(scenario, |candidate| check(candidate, subject).is_err());
    let (small, mismatch) = if let Err(again) = check(&small, subject) {
        (small, again)
    } else {
        eprintln!("{name}: seed {seed} failed once, and not again");
        (scenario.clone(), mismatch)
    };
    let path = std::env::temp_dir().join(format!("sg-{name}-{seed}.json"));
    let text = serde_json::to_string_pretty(&small).expect("scenarios are plain data");
    fs::write(&path, text).expect("the directory for temporary files is writable");
    panic!(
        "{name}: oracle and subject differ, seed {seed}\n{}\nto keep it: cp {} tests/data/seeds/\n\
         to repeat it: cargo xtask test --seed {seed} oracle",
        tell(&small, &mismatch),
        path.display()
    );
}

/// A scenario in words, as far as it matters.
fn tell(scenario: &Scenario, mismatch: &Mismatch) -> String {
    let host = &scenario.host;
    let mut text = format!("{mismatch:?}\ninterface {:?}\n", host.interface);
    for group in host.model.groups.values() {
        for (direction, rules) in [("inbound", &group.inbound), ("outbound", &group.outbound)] {
            for rule in rules {
                let (name, id) = (&group.name, &rule.id);
                let _ = writeln!(
                    text,
                    "{name} {direction} {} {} {id}",
                    rule.service, rule.peer
                );
            }
        }
    }
    for (name, list) in &host.model.prefix_lists {
        let _ = writeln!(text, "prefix list {name}: {:?}", list.entries);
    }
    for (name, members) in &host.model.members {
        let _ = writeln!(text, "members of {name}: {members:?}");
    }
    for (groups, addresses) in &host.others {
        let _ = writeln!(text, "another interface: {groups:?} {addresses:?}");
    }
    for (index, step) in scenario.steps.iter().enumerate() {
        let mark = if mismatch.step == Some(index) {
            "→"
        } else {
            " "
        };
        let _ = match step {
            Step::Packet {
                inbound,
                tc,
                packet,
                flips,
            } => {
                let direction = super::direction(*inbound).name();
                let hook = if *tc { "tc" } else { "xdp" };
                writeln!(
                    text,
                    "{mark} {index}: {direction} ({hook}) {} {flips:?}",
                    describe(packet)
                )
            }
            other => writeln!(text, "{mark} {index}: {other:?}"),
        };
    }
    text
}

/// One line about a packet.
fn describe(packet: &Packet) -> String {
    let Content::Ip(ip) = &packet.content else {
        return format!("{packet:?}");
    };
    let port = |port: u16| format!(":{port}");
    let (from, to) = match ip.upper {
        Upper::Tcp {
            source,
            destination,
            ..
        }
        | Upper::Udp {
            source,
            destination,
            ..
        } => (port(source), port(destination)),
        _ => (String::new(), String::new()),
    };
    let (source, destination) = (ip.source, ip.destination);
    format!("{source}{from} → {destination}{to}  {packet:?}")
}

fn summary(name: &str, plan: Plan, tally: &Tally, started: Instant) -> String {
    let packets = tally.packets();
    let passes = tally.passes() * 1000 / packets.max(1);
    let mut text = format!(
        "{name}: seeds {}..{}: {packets} packets over {} models and {} policies, {}.{} % passed, \
         {} live flows compared, {:.1} s",
        plan.seed,
        plan.seed.wrapping_add(plan.scenarios),
        tally.scenarios,
        tally.policies,
        passes / 10,
        passes % 10,
        tally.flows,
        started.elapsed().as_secs_f64()
    );
    for reason in Reason::ALL {
        let count = tally.reasons[*reason as usize];
        if count > 0 {
            let _ = write!(text, "\n  {:<20} {count}", reason.name());
        }
    }
    text
}
