//! What a VPC of many hosts costs: [`agents`] by the thousand, whose kernels are made up, and three real
//! [`kernels`] among a hundred thousand members. Both speak to real nodes of etcd.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "counts and times of a benchmark are small"
)]

pub mod agents;
pub mod kernels;

use std::fs;

use anyhow::{Context, Result};

/// What lies at a part of sorted figures: 0.5 for the median.
pub fn part(sorted: &[f64], which: f64) -> f64 {
    let index = (sorted.len().saturating_sub(1)) as f64 * which;
    sorted.get(index as usize).copied().unwrap_or(f64::NAN)
}

/// Resident memory of a process, in KiB.
fn memory(process: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.context("the kernel tells no VmRSS")
}

/// Processor time of a process, in seconds.
fn cpu(pid: u32) -> f64 {
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let field = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok());
    (field(11).unwrap_or(0.0) + field(12).unwrap_or(0.0)) / TICKS
}
