//! Library of `sg-ctl`.

pub mod dataplane;
pub mod model;
pub mod rulefile;
