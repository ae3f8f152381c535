//! Gives each frame another remote end, as [`Traffic`] says.

use core::arch::asm;
use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::btf_maps::Array;
use aya_ebpf::macros::btf_map;
use sg_common::verifier::opaque;

use crate::traffic::Traffic;

/// 0 → what the frames become. Written by the benchmark; its state by [`vary`].
#[btf_map]
static TRAFFIC: Array<Traffic, 1> = Array::new();

/// Offsets are below this, a power of two; no frame of the benchmark is shorter.
const OFFSETS: u32 = 64;

/// Writes the next remote end into the frame from `data` to `end`.
#[inline(always)]
pub(crate) fn vary(data: usize, end: usize) {
    let Some(traffic) = TRAFFIC.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: a map value, which only this program writes while it runs.
    let now = unsafe { read_volatile(traffic) };
    if now.numbers == 0 {
        return;
    }
    // SAFETY: as above.
    unsafe { write_volatile(&raw mut (*traffic).state, now.next(now.state)) };
    let remote = now.end(now.number(now.state));
    let at = |offset: u32| opaque((data + (offset & (OFFSETS - 1)) as usize) as u64) as usize;
    let address = at(now.address_at);
    if address + 4 <= end {
        // SAFETY: inside the frame. One store, whose bytes the parser's load finds together.
        unsafe {
            asm!("*(u32 *)({at} + 0) = {value}", at = in(reg) address,
                value = in(reg) u64::from(remote.address.to_be()), options(nostack));
        }
    }
    if let Some(port) = remote.port {
        let place = at(now.port_at);
        if place + 2 <= end {
            // SAFETY: as above.
            unsafe {
                asm!("*(u16 *)({at} + 0) = {value}", at = in(reg) place,
                    value = in(reg) u64::from(port.to_be()), options(nostack));
            }
        }
    }
}
