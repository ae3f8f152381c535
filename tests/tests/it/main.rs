//! Kernel and network tests of sg, as root: `cargo xtask test`.

mod groups;
mod harness;
mod infra;
mod prelude;
mod rules;
mod state;
mod untracked;
mod vectors;
