//! sg's kernel programs.
#![no_std]
#![no_main]

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};

/// Ingress hook on XDP.
#[xdp]
pub fn sg_xdp(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Read by the loader: the helpers in use are open to GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

// Never `unreachable`: the verifier must be able to reject a reachable panic.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
