//! Library of `sg-ctl`: the rooms of the house, from the kernel outwards.
//!
//! What is wanted is data, and has a package of its own: [`sg_policy`].

pub mod agent;
pub mod api;
pub mod host;
pub mod record;
pub mod replay;
pub mod vpc;
