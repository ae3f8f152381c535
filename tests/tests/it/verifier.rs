//! The price of the programs at load time: it may grow, but not unseen.

use sg_tests::verifier::{Record, Records, costs, kernel_series};

/// How far a cost may grow beyond its record, in percent.
const GROWTH: u32 = 25;

/// What a program may cost: on a kernel without records, what it costs on the most expensive one.
fn record(records: &Records, series: &str, program: &str) -> Record {
    if let Some(programs) = records.get(series) {
        return programs[program];
    }
    let all = records.values().map(|programs| programs[program]);
    let dearest = all.reduce(|a, b| Record {
        verified_instructions: a.verified_instructions.max(b.verified_instructions),
        jited_bytes: a.jited_bytes.max(b.jited_bytes),
    });
    dearest.expect("some kernel has records")
}

#[test]
fn programs_cost_what_they_did() {
    let records: Records = serde_json::from_str(include_str!("../../data/verifier.json"))
        .expect("the records are sound");
    let series = kernel_series().expect("the kernel tells its release");
    let mut grown = Vec::new();
    for cost in costs().expect("the programs load") {
        let record = record(&records, &series, cost.program);
        for (what, now, recorded) in [
            (
                "verified instructions",
                cost.verified_instructions,
                record.verified_instructions,
            ),
            ("jited bytes", cost.jited_bytes, record.jited_bytes),
        ] {
            if now > recorded / 100 * (100 + GROWTH) {
                grown.push(format!(
                    "{}: {now} {what}, {recorded} recorded",
                    cost.program
                ));
            }
        }
    }
    assert!(
        grown.is_empty(),
        "on Linux {series}\n{}\nif that buys something, `cargo xtask verifier --record` and say so \
         in the commit",
        grown.join("\n")
    );
}
