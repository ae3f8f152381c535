//! Library of `sg-ctl`.

pub mod compile;
pub mod dataplane;
pub mod model;
pub mod rulefile;
