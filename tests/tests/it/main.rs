//! Kernel and network tests of sg, as root: `cargo xtask test`.

mod audit;
mod datagrams;
mod flow_table;
mod fragments;
mod groups;
mod harness;
mod headers;
mod hooks;
mod host;
mod infra;
mod leftovers;
mod log;
mod malformed;
mod net;
mod oracle;
mod policy;
mod prelude;
mod recovery;
mod related;
mod rules;
mod state;
mod tcp;
mod untracked;
mod vectors;
mod verifier;
mod vlan;
