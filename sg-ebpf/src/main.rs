//! sg's kernel programs: entry points only. The pipeline is `sg_common::pipeline`; everything here
//! joins it to the kernel's hooks, maps and helpers.
//!
//! They are loaded once for all interfaces. What an interface has at its hook is a gate, a few
//! instructions that sg-ctl writes (`gate.rs`): it notes the zone and goes on to the program here.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod config;
#[macro_use]
mod datapath;
mod flows;
mod image;
mod judge;
mod maps;
mod packet;
mod settings;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::helpers::bpf_jiffies64;
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use aya_log_ebpf::error;
use sg_common::reason::Verdict;

use crate::judge::judge;
use crate::packet::{TcPacket, XdpPacket};

/// XDP, native or generic: what a host receives.
#[xdp(frags)]
#[inline(always)]
pub fn sg_xdp_inbound(ctx: XdpContext) -> u32 {
    xdp_verdict::<false>(&ctx)
}

/// XDP, native or generic: what a host receives from its workload.
#[xdp(frags)]
#[inline(always)]
pub fn sg_xdp_outbound(ctx: XdpContext) -> u32 {
    xdp_verdict::<true>(&ctx)
}

/// TC: what a host receives, or sends to its workload.
#[classifier]
#[inline(always)]
pub fn sg_tc_inbound(ctx: TcContext) -> i32 {
    tc_verdict::<false, false>(&ctx)
}

/// TC: what a host sends, or receives from its workload.
#[classifier]
#[inline(always)]
pub fn sg_tc_outbound(ctx: TcContext) -> i32 {
    tc_verdict::<false, true>(&ctx)
}

/// TC, on a link without a header: what a host receives, or sends to its workload.
#[classifier]
#[inline(always)]
pub fn sg_ip_inbound(ctx: TcContext) -> i32 {
    tc_verdict::<true, false>(&ctx)
}

/// TC, on a link without a header: what a host sends, or receives from its workload.
#[classifier]
#[inline(always)]
pub fn sg_ip_outbound(ctx: TcContext) -> i32 {
    tc_verdict::<true, true>(&ctx)
}

/// Returns the low 32 bits of jiffies, for user space to read the clock by.
#[xdp]
pub fn sg_clock(_ctx: XdpContext) -> u32 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_jiffies64() as u32 }
}

/// Opens the flow that the frame describes, a [`FlowSeed`](sg_common::flow::FlowSeed). Run by user
/// space alone: here, and not there, because a process can be killed while it holds the lock of a
/// bucket. Returns the code of `New`, of `Established` for a flow that is known already, or of the
/// reason why there is no slot for it.
#[xdp]
pub fn sg_seed(ctx: XdpContext) -> u32 {
    datapath::seed(&XdpPacket::new(&ctx))
}

#[inline(always)]
fn xdp_verdict<const OUTBOUND: bool>(ctx: &XdpContext) -> u32 {
    match judge::<_, OUTBOUND>(&XdpPacket::new(ctx)) {
        Some(Verdict::Pass) => XDP_PASS,
        Some(Verdict::Drop) => XDP_DROP,
        None => {
            report_no_settings(ctx);
            XDP_DROP
        }
    }
}

#[inline(always)]
fn tc_verdict<const BARE: bool, const OUTBOUND: bool>(ctx: &TcContext) -> i32 {
    match judge::<_, OUTBOUND>(&TcPacket::<BARE>::new(ctx)) {
        // "No opinion" lets the programs behind this one have theirs (TCX_NEXT is the same number).
        Some(Verdict::Pass) => TC_ACT_UNSPEC,
        Some(Verdict::Drop) => TC_ACT_SHOT,
        None => {
            report_no_settings(ctx);
            TC_ACT_SHOT
        }
    }
}

/// Says why everything drops: the interface's slot is empty, which sg-ctl never leaves so.
#[inline(never)]
fn report_no_settings<C: EbpfContext>(ctx: &C) {
    error!(
        ctx,
        "zone {} has no settings: packet dropped",
        datapath::zone_in_hand()
    );
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
