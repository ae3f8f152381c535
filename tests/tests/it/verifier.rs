//! The price of the programs at load time: it may grow, but not unseen.

use sg_tests::verifier::{Records, costs, kernel_series};

/// How far a cost may grow beyond its record, in percent.
const GROWTH: u32 = 25;

#[test]
fn programs_cost_what_they_did() {
    let records: Records = serde_json::from_str(include_str!("../../data/verifier.json"))
        .expect("the records are sound");
    let series = kernel_series().expect("the kernel tells its release");
    let Some(records) = records.get(&series) else {
        println!("skipped: no costs are recorded for Linux {series}");
        return;
    };
    let mut grown = Vec::new();
    for cost in costs().expect("the programs load") {
        let record = records[cost.program];
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
