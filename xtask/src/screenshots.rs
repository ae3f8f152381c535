//! `cargo xtask screenshots`: pictures of every page of the console.

use anyhow::Result;

use crate::{root, test};

/// The test that looks at every page.
const TEST: &str = "every_page_has_names_contrast_and_room";

/// Runs the test that looks at every page, and keeps what it sees: in both schemes, narrow and wide.
///
/// # Errors
/// When the build or the test fails.
pub(crate) fn run() -> Result<()> {
    let directory = root().join("target/screenshots");
    test::run(&test::TestArgs::pictures(TEST, directory.clone()))?;
    println!("pictures are in {}", directory.display());
    Ok(())
}
