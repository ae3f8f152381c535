//! The command line of verbs: types for clap, no behaviour.

pub(crate) mod about;
pub(crate) mod agent;
pub(crate) mod attach;
pub(crate) mod change;
pub(crate) mod exchange;
pub(crate) mod explain;
pub(crate) mod flows;
pub(crate) mod help;
pub(crate) mod replay;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod top;
pub(crate) mod vpc;
