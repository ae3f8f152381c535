//! Fuzz targets: functions that take any bytes and panic only if the code under test is wrong.
//!
//! `cargo xtask fuzz` gives them to libFuzzer, which looks for bytes that lead to new code. Every
//! run begins with seeds made here from what the repository has anyway, and with the inputs kept in
//! `tests/data/fuzz`: those that failed once, and such as no seed leads to quickly.
//! A new target is a function and its line in [`TARGETS`].

mod call;
mod import;
mod packets;
mod policy;
mod rule_file;
mod values;

use std::{fs, path::Path};

/// One fuzz target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name on the command line and in `tests/data/fuzz`.
    pub name: &'static str,
    /// Tries one input.
    pub run: fn(&[u8]),
    /// Inputs to begin with, always the same.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// The most bytes of an input that is made up.
    pub longest: usize,
}

/// All targets.
pub const TARGETS: [Target; 6] = [
    Target {
        name: "packets",
        run: packets::run,
        seeds: packets::seeds,
        longest: 4096,
    },
    Target {
        name: "policy",
        run: policy::run,
        seeds: policy::seeds,
        longest: 1024,
    },
    Target {
        name: "rule-file",
        run: rule_file::run,
        seeds: rule_file::seeds,
        longest: 8192,
    },
    Target {
        name: "import",
        run: import::run,
        seeds: import::seeds,
        longest: 8192,
    },
    Target {
        name: "values",
        run: values::run,
        seeds: values::seeds,
        longest: 8192,
    },
    Target {
        name: "call",
        run: call::run,
        seeds: call::seeds,
        longest: 4096,
    },
];

/// The target with this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

/// The contents of a directory's files with one of some endings, in the order of their names.
fn files(directory: &Path, endings: &[&str]) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| {
            let ending = path.extension().unwrap_or_default();
            endings.iter().any(|known| ending == *known)
        })
        .collect();
    paths.sort();
    let read = |path| fs::read(path).expect("a readable file");
    paths.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries inputs, and returns how many there were.
    fn try_all(target: Target, inputs: impl IntoIterator<Item = Vec<u8>>) -> usize {
        let mut count = 0;
        for input in inputs {
            (target.run)(&input);
            count += 1;
        }
        count
    }

    #[test]
    fn seeds_do_not_fail() {
        for target in TARGETS {
            assert!(try_all(target, (target.seeds)()) > 0, "{}", target.name);
        }
    }

    #[test]
    fn what_was_kept_does_not_fail_again() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/fuzz");
        for target in TARGETS {
            let kept = files(&kept.join(target.name), &["input"]);
            assert!(try_all(target, kept) > 0, "{}", target.name);
        }
    }

    #[test]
    fn beginnings_and_ends_of_seeds_do_not_fail() {
        for target in TARGETS {
            let seeds = (target.seeds)();
            let pieces = seeds.iter().step_by(7).flat_map(|seed| {
                let cut = seed.len() / 2;
                [seed[..cut].to_vec(), seed[cut..].to_vec()]
            });
            try_all(target, pieces);
        }
    }
}
