//! The verbs, one file each, each with one function `run`. Only `main` calls them.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod man;
mod rule_files;
pub(crate) mod schema;
