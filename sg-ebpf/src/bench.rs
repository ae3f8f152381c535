//! The programs of the benchmark: the same pipeline on frames that vary, the same pipeline on the
//! kernel's own tables, and programs that do less, to tell what the rest costs.
//!
//! Nobody attaches them but the empty ones, which stand in for a filter between namespaces.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod config;
#[macro_use]
#[expect(dead_code, reason = "nothing is seeded here")]
mod datapath;

#[path = "bench/baseline.rs"]
mod baseline;
mod flows;
mod image;
mod judge;
mod maps;
mod packet;
mod settings;
#[path = "bench/traffic.rs"]
mod traffic;
#[path = "bench/vary.rs"]
mod vary;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use sg_common::reason::Verdict;

use crate::baseline::KernelTables;
use crate::judge::judge;
use crate::packet::{TcPacket, XdpPacket};
use crate::vary::vary;

/// Does nothing: what calling a program costs.
#[xdp(frags)]
pub fn bench_xdp_empty(_ctx: XdpContext) -> u32 {
    XDP_PASS
}

/// Does nothing: what calling a program costs.
#[classifier]
pub fn bench_tc_empty(_ctx: TcContext) -> i32 {
    TC_ACT_UNSPEC
}

/// Varies the frame and no more: what is not the filter's in the programs below.
#[xdp(frags)]
pub fn bench_xdp_vary(ctx: XdpContext) -> u32 {
    vary(ctx.data(), ctx.data_end());
    XDP_PASS
}

/// Varies the frame and no more.
#[classifier]
pub fn bench_tc_vary(ctx: TcContext) -> i32 {
    vary(ctx.data(), ctx.data_end());
    TC_ACT_UNSPEC
}

/// `sg_xdp` on frames that vary.
#[xdp(frags)]
pub fn bench_xdp(ctx: XdpContext) -> u32 {
    vary(ctx.data(), ctx.data_end());
    xdp_action(judge::<_, false>(&XdpPacket::new(&ctx)))
}

/// `sg_tc_egress` on frames that vary.
#[classifier]
pub fn bench_tc_egress(ctx: TcContext) -> i32 {
    vary(ctx.data(), ctx.data_end());
    tc_action(judge::<_, true>(&TcPacket::<false>::new(&ctx)))
}

/// [`bench_xdp`] with the kernel's LRU hash and LPM trie.
#[xdp(frags)]
pub fn bench_xdp_kernel(ctx: XdpContext) -> u32 {
    vary(ctx.data(), ctx.data_end());
    let packet = XdpPacket::new(&ctx);
    xdp_action(KernelTables::<false>::new().map(|tables| tables.judge(&packet)))
}

/// [`bench_tc_egress`] with the kernel's LRU hash and LPM trie.
#[classifier]
pub fn bench_tc_kernel(ctx: TcContext) -> i32 {
    vary(ctx.data(), ctx.data_end());
    let packet = TcPacket::<false>::new(&ctx);
    tc_action(KernelTables::<true>::new().map(|tables| tables.judge(&packet)))
}

#[inline(always)]
fn xdp_action(verdict: Option<Verdict>) -> u32 {
    match verdict {
        Some(Verdict::Pass) => XDP_PASS,
        Some(Verdict::Drop) | None => XDP_DROP,
    }
}

#[inline(always)]
fn tc_action(verdict: Option<Verdict>) -> i32 {
    match verdict {
        Some(Verdict::Pass) => TC_ACT_UNSPEC,
        Some(Verdict::Drop) | None => TC_ACT_SHOT,
    }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Never reached: the verifier refuses programs in which it could be.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
