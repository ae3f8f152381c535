//! The `sg-ctl` command.
fn main() {}
