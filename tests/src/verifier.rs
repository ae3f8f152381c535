//! What the kernel's verifier makes of each program: the costs that must not grow unseen.

mod load;

use std::{collections::BTreeMap, fs, time::Instant};

use anyhow::{Context, Result};
use aya_obj::generated::BPF_PSEUDO_MAP_FD;
use serde::{Deserialize, Serialize};
use sg_common::settings::ProgramConfig;
use sg_ctl::host::dataplane::{Entry, PinDir, Programs};

use self::load::Verified;
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
    /// Calls of helpers that the verifier has not replaced by instructions, in all functions.
    pub helper_calls: u32,
    /// Places at which a map is used: looked up in, be it by a call or in line, or written to.
    pub map_uses: u32,
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
    /// As in [`Cost`], where it was written down.
    pub helper_calls: Option<u32>,
    /// As in [`Cost`], where it was written down.
    pub map_uses: Option<u32>,
}

/// Code of an instruction that calls; its source register is 0 for helpers
/// (`include/uapi/linux/bpf.h`).
const CALL: u64 = 0x85;
/// Code of an instruction that loads a constant of 64 bits, as a map is one. Its second half has no
/// code.
const LOAD_64: u64 = 0x18;

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
    for entry in Entry::ALL {
        let started = Instant::now();
        let info = programs.judge(entry)?;
        let took = started.elapsed();
        costs.push(Cost {
            program: entry.name(),
            verified_instructions: info.verified_instruction_count().unwrap_or(0),
            translated_bytes: info.size_translated().unwrap_or(0),
            helper_calls: 0,
            map_uses: 0,
            jited_bytes: info.size_jitted(),
            stack: String::new(),
            load_ms: took.as_millis() as u64,
        });
    }
    let verified = load::verified(&Entry::ALL.map(Entry::name), config)?;
    for (cost, Verified { log, translated }) in costs.iter_mut().zip(verified) {
        let count = |code, source| {
            let alike = |word: &&u64| **word & 0xff == code && **word >> 12 & 0xf == source;
            translated.iter().filter(alike).count() as u32
        };
        cost.helper_calls = count(CALL, 0);
        cost.map_uses = count(LOAD_64, BPF_PSEUDO_MAP_FD.into());
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
