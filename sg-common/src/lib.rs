//! Types and pure decisions shared by the kernel programs (`sg-ebpf`) and user space (`sg-ctl`).
//!
//! Nothing here knows a map, a context, a clock or an allocator: packets, tables and time are
//! parameters behind small traits, so the code that judges a packet in the kernel is the code that
//! the host tests, fuzzes and explains with.
//!
//! Types that cross the kernel boundary are `repr(C)`, made of integers and byte arrays only, have
//! no implicit padding, and are in host byte order unless a field says otherwise.
#![cfg_attr(not(any(test, feature = "user")), no_std)]
#![expect(
    clippy::inline_always,
    reason = "the kernel programs are made of these functions, where a call costs 7 ns and stack"
)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

#[cfg(target_endian = "big")]
compile_error!("sg is for little-endian machines: images and keys are made of words in that order");

pub mod addr;
pub mod counters;
pub mod datapath;
pub mod ends;
pub mod event;
pub mod flow;
pub mod icmp;
pub mod image;
pub mod infra;
pub mod limit;
#[cfg(any(test, feature = "user"))]
pub mod memory;
pub mod names;
pub mod outcome;
pub mod packet;
pub mod parse;
pub mod pipeline;
#[cfg(feature = "user")]
mod pod;
pub mod policy;
pub mod proto;
pub mod reason;
pub mod service;
pub mod settings;
pub mod size;
pub mod subject;
pub mod table;
pub mod tcp;
pub mod verifier;
pub mod work;
