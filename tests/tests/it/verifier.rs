//! The price of the programs: it may grow, but not unseen.

use sg_tests::verifier::{Record, Records, costs, kernel_series};

/// How far a cost may grow beyond its record, in percent.
const GROWTH: u32 = 25;

/// What a program may cost: on a kernel without records, what it costs on the most expensive one,
/// however it calls there.
fn record(records: &Records, series: &str, program: &str) -> Record {
    if let Some(programs) = records.get(series) {
        return programs[program];
    }
    let all = records.values().map(|programs| programs[program]);
    let dearest = all.reduce(|a, b| Record {
        verified_instructions: a.verified_instructions.max(b.verified_instructions),
        jited_bytes: a.jited_bytes.max(b.jited_bytes),
        helper_calls: None,
        map_uses: None,
    });
    dearest.expect("some kernel has records")
}

#[test]
fn programs_cost_what_they_did() {
    let records: Records = serde_json::from_str(include_str!("../../data/verifier.json"))
        .expect("the records are sound");
    let series = kernel_series().expect("the kernel tells its release");
    let costs = costs().expect("the programs load");
    if cfg!(not(target_arch = "x86_64")) {
        println!("skipped: costs are recorded on x86-64; here the programs are others, and load");
        return;
    }
    let mut changed = Vec::new();
    for cost in costs {
        let record = record(&records, &series, cost.program);
        let grown = |now: u32, recorded: u32| now > recorded / 100 * (100 + GROWTH);
        // What is called does not depend on the CPU or the release: none more, none less.
        let other = |now: u32, recorded: Option<u32>| recorded.is_some_and(|was| now != was);
        for (what, now, is_other) in [
            (
                "verified instructions",
                cost.verified_instructions,
                grown(cost.verified_instructions, record.verified_instructions),
            ),
            (
                "jited bytes",
                cost.jited_bytes,
                grown(cost.jited_bytes, record.jited_bytes),
            ),
            (
                "helper calls",
                cost.helper_calls,
                other(cost.helper_calls, record.helper_calls),
            ),
            (
                "uses of maps",
                cost.map_uses,
                other(cost.map_uses, record.map_uses),
            ),
        ] {
            if is_other {
                changed.push(format!("{}: {now} {what}, not {record:?}", cost.program));
            }
        }
    }
    assert!(
        changed.is_empty(),
        "on Linux {series}\n{}\nif that buys something, `cargo xtask verifier --record` and say so \
         in the commit",
        changed.join("\n")
    );
}
