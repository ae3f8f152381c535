//! Library of `sg-ctl`.

pub mod model;
