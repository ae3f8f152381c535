//! Loads every program on the running kernel and prints what that cost: a line of JSON each.
//!
//! `cargo xtask verifier` makes a table of it.

use std::process::ExitCode;

use sg_ctl::host::dataplane::DataplaneError;
use sg_tests::verifier;

/// Lines of the verifier's log that an error shows.
const LOG_TAIL: usize = 60;

fn main() -> ExitCode {
    match verifier::costs() {
        Ok(costs) => {
            for cost in costs {
                println!("{}", serde_json::json!(cost));
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            if let Some(DataplaneError::ProgramRejected { log: Some(log), .. }) =
                error.downcast_ref()
            {
                let log = std::fs::read_to_string(log).unwrap_or_default();
                let lines: Vec<_> = log.lines().collect();
                for line in &lines[lines.len().saturating_sub(LOG_TAIL)..] {
                    eprintln!("{line}");
                }
            }
            ExitCode::FAILURE
        }
    }
}
