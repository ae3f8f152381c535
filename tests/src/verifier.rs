//! What the kernel's verifier makes of each program: the costs that must not grow unseen.

mod log;

use std::{collections::BTreeMap, fs, time::Instant};

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Name of the program.
    pub program: &'static str,
    /// Instructions that the verifier went through; the kernel's limit is a million.
    pub verified_instructions: u32,
    /// Bytes of the program after the verifier's rewriting.
    pub translated_bytes: u32,
    /// Bytes of machine code; 0 when the kernel interprets programs.
    pub jited_bytes: u32,
    /// Bytes of stack as the verifier tells them: of each function (`392+0+56`), or, by newer
    /// kernels, of the deepest chain of calls (`max 480`), whose limit is 512.
    pub stack: String,
    /// Milliseconds that loading took.
    pub load_ms: u64,
}

/// Costs that were written down: kernel series (`6.12`) → program → costs.
pub type Records = BTreeMap<String, BTreeMap<String, Record>>;

/// What is written down of a program's costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Record {
    /// As in [`Cost`].
    pub verified_instructions: u32,
    /// As in [`Cost`].
    pub jited_bytes: u32,
}

type Load = fn(&mut Programs) -> Result<Info, DataplaneError>;
type Info = Result<ProgramInfo, ProgramError>;

const PROGRAMS: [(&str, Load); 3] = [
    (PROGRAM_XDP, |programs| Ok(programs.xdp()?.info())),
    (PROGRAM_TC_INGRESS, |programs| {
        Ok(programs.tc_ingress()?.info())
    }),
    (PROGRAM_TC_EGRESS, |programs| {
        Ok(programs.tc_egress()?.info())
    }),
];

/// Loads every program on the running kernel and returns what that cost.
///
/// # Errors
/// When the kernel refuses one; the error names the verifier's log.
pub fn costs() -> Result<Vec<Cost>> {
    let config = ProgramConfig {
        hz: 250,
        ..ProgramConfig::default()
    };
    let pins = Directory::for_pins("verifier");
    let mut programs = Programs::load(&PinDir::new(pins.path()), config)?;
    let mut costs = Vec::new();
    for (program, load) in PROGRAMS {
        let started = Instant::now();
        let info = load(&mut programs)?;
        let took = started.elapsed();
        let info = info.with_context(|| format!("cannot ask about program {program}"))?;
        costs.push(Cost {
            program,
            verified_instructions: info.verified_instruction_count().unwrap_or(0),
            translated_bytes: info.size_translated().unwrap_or(0),
            jited_bytes: info.size_jitted(),
            stack: String::new(),
            load_ms: took.as_millis() as u64,
        });
    }
    let logs = log::statistics(&PROGRAMS.map(|(program, _)| program), &config)?;
    for (cost, log) in costs.iter_mut().zip(logs) {
        let stack = log
            .lines()
            .find_map(|line| line.strip_prefix("stack depth "));
        let stack = stack.with_context(|| format!("the verifier names no stack depth:\n{log}"))?;
        stack.clone_into(&mut cost.stack);
    }
    Ok(costs)
}

/// Returns the first two numbers of the running kernel's version, such as `6.12`.
///
/// # Errors
/// When the kernel does not tell.
pub fn kernel_series() -> Result<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")
        .context("cannot read the kernel's release")?;
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let (major, minor) = (numbers.next(), numbers.next());
    let (major, minor) = major.zip(minor).context("an odd kernel release")?;
    Ok(format!("{major}.{minor}"))
}
