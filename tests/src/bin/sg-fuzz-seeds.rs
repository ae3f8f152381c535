//! Writes the seeds of all fuzz targets into a directory, and says which targets there are: the
//! name, and the most bytes of an input, a line each.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result};
use sg_tests::fuzz::TARGETS;

fn main() -> Result<()> {
    let directory = env::args_os().nth(1).context("no directory was named")?;
    for target in TARGETS {
        let directory = PathBuf::from(&directory).join(target.name);
        fs::create_dir_all(&directory)?;
        for (index, seed) in (target.seeds)().into_iter().enumerate() {
            fs::write(directory.join(index.to_string()), seed)?;
        }
        println!("{} {}", target.name, target.longest);
    }
    Ok(())
}
