//! The fuzz targets under libFuzzer: `SG_FUZZ_TARGET` names the one to run.
//!
//! `cargo xtask fuzz` builds it with coverage counters and runs it.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sg_tests::fuzz::{Target, target};

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("SG_FUZZ_TARGET").expect("SG_FUZZ_TARGET names a target");
        let chosen = target(&name).unwrap_or_else(|| panic!("no fuzz target `{name}`"));
        let _ = TARGET.set(chosen);
    },
    |input: &[u8]| {
        let target = TARGET.get().expect("set before the first input");
        (target.run)(input);
    }
);
