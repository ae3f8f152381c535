//! What a change of the rules comes to.

use std::time::Duration;

use sg_ctl::host::{PartDiff, PolicySummary};

use crate::verb::output::time::span;
use crate::verb::output::{Tone, counted};

/// Lines of one part that are shown of each sign; the JSON form has all of them.
const SHOWN: usize = 50;

/// The lines that a part loses and gains, below its name.
pub(crate) fn part_lines(part: &PartDiff) -> Vec<String> {
    let heading = format!("{} {}", part.kind.words(), part.name);
    let mut text = vec![Tone::Heading.paint(heading.trim_end())];
    for (sign, tone, lines) in [
        ('-', Tone::Bad, &part.removed),
        ('+', Tone::Good, &part.added),
    ] {
        let signed = |line: &String| format!("  {}", tone.paint(format_args!("{sign} {line}")));
        text.extend(lines.iter().take(SHOWN).map(signed));
        if lines.len() > SHOWN {
            text.push(format!("  {sign} … and {} more", lines.len() - SHOWN));
        }
    }
    if part.removed.is_empty() && part.added.is_empty() {
        text.push("  the order of its rules".to_owned());
    }
    text
}

pub(crate) fn policy_text(policy: &PolicySummary, duration_ms: u64) -> String {
    let kernel = match policy.kernel_bytes {
        0 => String::new(),
        bytes => format!(", {} KiB of kernel memory", bytes.div_ceil(1024)),
    };
    format!(
        "policy {}: {} in {}{kernel}, took {}",
        policy.generation,
        counted(policy.rules as u64, "rule"),
        counted(policy.groups as u64, "group"),
        span(Duration::from_millis(duration_ms))
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A policy of nine rules.
    pub(crate) fn policy() -> PolicySummary {
        PolicySummary {
            generation: 7,
            groups: 2,
            rules: 9,
            prefix_lists: 0,
            classes: 3,
            ranges: 5,
            bytes: 400,
            kernel_bytes: 1 << 20,
        }
    }
}
