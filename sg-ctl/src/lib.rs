//! Library of `sg-ctl`.

pub mod agent;
pub mod compile;
pub mod crash;
pub mod dataplane;
pub mod explain;
pub mod export;
pub mod flowlog;
pub mod host;
pub mod import;
pub mod model;
pub mod paths;
pub mod pcapng;
pub mod replay;
pub mod rulefile;
pub mod state;
pub mod text;
