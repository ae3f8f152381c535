//! What happened, in the formats of others: flow logs and captures.

pub mod flowlog;
pub mod pcapng;
