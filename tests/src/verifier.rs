//! What the kernel's verifier makes of each program: the costs that must not grow unseen.

use std::time::Instant;

use anyhow::{Context, Result};
use aya::programs::{ProgramError, ProgramInfo};
use serde::{Deserialize, Serialize};
use sg_common::{
    names::{PROGRAM_TC_EGRESS, PROGRAM_TC_INGRESS, PROGRAM_XDP},
    settings::ProgramConfig,
};
use sg_ctl::dataplane::{DataplaneError, PinDir, Programs};

use crate::scratch::Directory;

/// The costs of one program on the running kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Name of the program.
    pub program: String,
    /// Instructions that the verifier went through; the kernel's limit is a million.
    pub verified_instructions: u32,
    /// Bytes of the program after the verifier's rewriting.
    pub translated_bytes: u32,
    /// Bytes of machine code; 0 when the kernel interprets programs.
    pub jited_bytes: u32,
    /// Milliseconds that loading took.
    pub load_ms: u64,
}

/// Loads every program on the running kernel and returns what that cost.
///
/// # Errors
/// When the kernel refuses one; the error names the verifier's log.
pub fn costs() -> Result<Vec<Cost>> {
    let pins = Directory::for_pins("verifier");
    let config = ProgramConfig {
        hz: 250,
        ..ProgramConfig::default()
    };
    let mut programs = Programs::load(&PinDir::new(pins.path()), config)?;
    let mut cost = |name: &str, load: fn(&mut Programs) -> Result<Loaded, DataplaneError>| {
        let started = Instant::now();
        let info = load(&mut programs)?;
        let took = started.elapsed();
        let info = info.with_context(|| format!("cannot ask about program {name}"))?;
        anyhow::Ok(Cost {
            program: name.to_owned(),
            verified_instructions: info.verified_instruction_count().unwrap_or(0),
            translated_bytes: info.size_translated().unwrap_or(0),
            jited_bytes: info.size_jitted(),
            load_ms: took.as_millis() as u64,
        })
    };
    Ok(vec![
        cost(PROGRAM_XDP, |programs| Ok(programs.xdp()?.info()))?,
        cost(PROGRAM_TC_INGRESS, |programs| {
            Ok(programs.tc_ingress()?.info())
        })?,
        cost(PROGRAM_TC_EGRESS, |programs| {
            Ok(programs.tc_egress()?.info())
        })?,
    ])
}

type Loaded = Result<ProgramInfo, ProgramError>;
