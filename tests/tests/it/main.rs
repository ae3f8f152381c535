//! Kernel and network tests of sg, as root: `cargo xtask test`.

mod datagrams;
mod groups;
mod harness;
mod infra;
mod prelude;
mod rules;
mod state;
mod tcp;
mod untracked;
mod vectors;
