//! Kernel and network tests of sg, as root: `cargo xtask test`.

mod harness;
