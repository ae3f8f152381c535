//! What of the tests a guest runs.

/// The run of a guest that prints what programs cost.
pub(super) const COSTS: &str = "verifier";

/// The tests, as a guest runs them; output of tests that pass says what they skipped.
const TESTS: &str = "/bin/it --show-output";

/// What the names of tests begin with that need whole networks.
const NETWORK: &str = "net::";

/// What the names of tests begin with that run the command again and again: for real machines.
const COMMAND: &str = "host::";

/// What the names of tests begin with that judge files with the command, or try the tests themselves: what
/// they show does not depend on the kernel, and took a fifth of a guest's time. What programs cost is a run
/// of its own.
const ELSEWHERE: [&str; 4] = ["replay::", "leftovers::", "harness::", "verifier::"];

/// What the names of tests begin with that start many processes of the command and of etcd. What they
/// show does not depend on the kernel.
const HOSTS: &str = "vpc::";

/// What the names of tests begin with that race two CPUs at one flow table. What they show does not
/// depend on the kernel, but emulation is no place for them: each test run of XDP rewrites the
/// kernel's dispatcher, and an emulated CPU that runs it meanwhile ends in an unhandled INT3; where a
/// guest has one CPU there is nothing to race.
const RACES: &str = "flood::";

/// What the names of tests begin with that try the benchmark. It measures real machines, and counts
/// on the kernel to deliver a frame before the system call returns that sends it: before Linux 6.4,
/// one under load left that to a thread and dropped what came meanwhile.
const BENCHMARK: &str = "bench::";

/// What the names of tests begin with that drive a browser, which guests have not; what they show does
/// not depend on the kernel.
const BROWSER: &str = "console::";

/// What the names of cases contain that repeat others with the sides swapped. Emulation takes ten
/// times as long, and what differs between kernels is not the side, one constant of the programs;
/// both are compared with the oracle.
const OTHER_SIDE: &str = "WORKLOAD";

/// The same of networks, for those who cannot wait: but not at native XDP, where alone the program is
/// attached that judges what a workload sends.
const OTHER_SIDE_OF_NETWORKS: [&str; 3] = [
    "xdp_generic::side_2_Side__Workload",
    "tcx::side_2_Side__Workload",
    "clsact::side_2_Side__Workload",
];

/// What the names of tests begin with that show, packet by packet, what the programs decide, or how what was
/// killed is finished, but for attach and detach, or that sg-ctl waits for children. On other kernels the same
/// programs decide the same, unless a verifier or a JIT has a fault, which random packets show against the
/// oracle: for those who cannot wait.
const DECISIONS: [&str; 32] = [
    "audit::",
    "awkward::",
    "datagrams::",
    "flow_table::a_flood",
    "flow_table::a_table",
    "flow_table::expired",
    "flow_table::fragments",
    "flow_table::s19",
    "fragments::",
    "groups::",
    "headers::",
    "infra::",
    "malformed::",
    "policy::a_thousand",
    "policy::overlapping",
    "policy::policies_replace_each_other",
    "policy::the_first",
    "policy::without_a_policy",
    "quotes::",
    "recovery::a_change",
    "recovery::a_restore",
    "recovery::a_trial",
    "recovery::an_apply",
    "related::",
    "rule_counters::",
    "rules::",
    "segments::",
    "state::",
    "tcp::",
    "truncated::",
    "untracked::",
    "vlan::",
];

/// What a guest runs, each with a name: the costs of the programs, then those tests whose names contain
/// `filter`, or those that depend on the kernel: of a change, only a `short` list of them.
pub(super) fn runs(threads: u32, filter: Option<&str>, short: bool) -> Vec<(&'static str, String)> {
    let tests = format!("{TESTS} --test-threads {threads}");
    let mut runs = vec![(COSTS, "/bin/sg-verifier".to_owned())];
    if let Some(filter) = filter {
        runs.push(("tests", format!("{tests} {filter}")));
        return runs;
    }
    let without = |names: &[&str]| -> String {
        let words = names.iter().map(|name| format!(" --skip {name}"));
        words.collect()
    };
    let others = [
        NETWORK, COMMAND, HOSTS, RACES, BENCHMARK, BROWSER, OTHER_SIDE,
    ];
    let [decisions, other_side] = if short {
        [&DECISIONS[..], &OTHER_SIDE_OF_NETWORKS]
    } else {
        [&[][..]; 2]
    };
    let others = [&others[..], &ELSEWHERE, decisions].concat();
    runs.push(("program", tests.clone() + &without(&others)));
    runs.push((
        "network",
        format!("{tests} {NETWORK}{}", without(other_side)),
    ));
    runs
}
