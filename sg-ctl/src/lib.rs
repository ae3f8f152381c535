//! Library of `sg-ctl`.

pub mod compile;
pub mod model;
pub mod rulefile;
