//! What happened: a typed verdict, and what it is in the formats of others, flow logs and captures.

pub mod event;
pub mod flowlog;
pub mod pcapng;
pub mod rule;
