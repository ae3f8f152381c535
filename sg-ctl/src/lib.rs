//! Library of `sg-ctl`: the rooms of the house, from the kernel outwards.
//!
//! What is wanted is data, and has a package of its own: [`sg_policy`].

pub mod agent;
pub mod api;
pub mod host;
pub mod record;
pub mod replay;
pub mod vpc;

/// Rules and members are many small pieces of memory, which threads hand to each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
