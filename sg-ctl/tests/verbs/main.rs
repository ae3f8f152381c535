//! `sg-ctl` as its user meets it, without root.

mod answers;
mod cli;
mod command;
mod explain;
mod import;
mod rule_files;
mod schema;
