//! The only place that touches packet memory.
//!
//! Each view checks its bounds once, against the `data_end` of the context, and hands out reads
//! inside them.

use core::arch::asm;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{__sk_buff, xdp_md};
use aya_ebpf::helpers::{
    bpf_skb_load_bytes, bpf_skb_pull_data, bpf_xdp_get_buff_len, bpf_xdp_load_bytes,
};
use aya_ebpf::programs::{TcContext, XdpContext};
use sg_common::event::SNAP;
use sg_common::packet::{Packet, View};
use sg_common::parse::MAX_HEADER_OFFSET;
use sg_common::verifier::opaque;

/// Loads a 32-bit field of a context as the 64-bit register that it is.
///
/// `data` and `data_end` are declared as 32-bit numbers but load as pointers, which LLVM, not
/// knowing that, would shift to clear their upper half.
macro_rules! context_field {
    ($context:expr, $type:ty, $field:ident) => {{
        let context: *mut $type = $context;
        let value: u64;
        // SAFETY: a load from the context that the kernel called the program with.
        unsafe {
            asm!("{value} = *(u32 *)({context} + {offset})", value = out(reg) value,
                context = in(reg) context, offset = const core::mem::offset_of!($type, $field),
                options(readonly, nostack, preserves_flags));
        }
        value as usize
    }};
}

/// A checked window into packet memory.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    start: usize,
}

impl Window {
    /// The `N` bytes at `offset` of the memory from `data` to `end`, if they are inside.
    #[inline(always)]
    fn new<const N: usize>(data: usize, end: usize, offset: u32) -> Option<Self> {
        let start = opaque((data + (offset & MAX_HEADER_OFFSET) as usize) as u64) as usize;
        (start + N <= end).then_some(Self { start })
    }
}

impl Window {
    /// The value at `at`, whatever its alignment: one load on the CPUs that are supported.
    #[inline(always)]
    fn read<T: Copy>(self, at: usize) -> T {
        // SAFETY: `at` is inside the window, whose bounds were checked when it was made.
        unsafe { ((self.start + at) as *const T).read_unaligned() }
    }
}

impl View for Window {
    #[inline(always)]
    fn u8(self, at: usize) -> u8 {
        self.read(at)
    }

    #[inline(always)]
    fn be16(self, at: usize) -> u16 {
        u16::from_be(self.read(at))
    }

    #[inline(always)]
    fn wire32(self, at: usize) -> u32 {
        self.read(at)
    }

    #[inline(always)]
    fn wire64(self, at: usize) -> u64 {
        self.read(at)
    }
}

/// Longer than any frame that is read in place.
const MAX_FRAME: u64 = 0x7fff_ffff;

/// What to copy of a frame of so many bytes, in a form in which the verifier sees that it is neither
/// nothing nor too much: no Ethernet frame is shorter than its header.
#[inline(always)]
fn start_length(readable: u32) -> Option<u32> {
    const LEAST: u64 = 14;
    let length = opaque(u64::from(readable.min(SNAP as u32)));
    if length > SNAP as u64 {
        return None;
    }
    // Hidden, else LLVM makes one comparison of both, of another register.
    let length = opaque(length);
    (length >= LEAST).then_some(length as u32)
}

/// A frame at the XDP hook.
pub(crate) struct XdpPacket<'a> {
    ctx: &'a XdpContext,
    noise: u64,
}

/// Bytes of a frame that lie from `data` to `end`.
#[inline(always)]
fn readable(data: usize, end: usize) -> u64 {
    // The mask tells LLVM that it fits in 32 bits.
    opaque((end - data) as u64) & MAX_FRAME
}

impl<'a> XdpPacket<'a> {
    #[inline(always)]
    pub(crate) fn new(ctx: &'a XdpContext) -> Self {
        let data = context_field!(ctx.ctx, xdp_md, data);
        let end = context_field!(ctx.ctx, xdp_md, data_end);
        Self {
            ctx,
            noise: opaque((end - data) as u64),
        }
    }

    #[inline(always)]
    fn data(&self) -> usize {
        context_field!(self.ctx.ctx, xdp_md, data)
    }

    #[inline(always)]
    fn end(&self) -> usize {
        context_field!(self.ctx.ctx, xdp_md, data_end)
    }
}

impl Packet for XdpPacket<'_> {
    type View = Window;

    #[inline(always)]
    fn len(&self) -> u32 {
        // SAFETY: the context is the one the kernel called the program with.
        unsafe { bpf_xdp_get_buff_len(self.ctx.ctx) as u32 }
    }

    /// Read from the context each time: what the verifier learns of one number, asked again and again,
    /// would tell paths apart all the way to the verdict.
    #[inline(always)]
    fn readable_len(&self) -> u32 {
        readable(self.data(), self.end()) as u32
    }

    #[inline(always)]
    fn noise(&self) -> u64 {
        self.noise
    }

    #[inline(always)]
    fn view<const N: usize>(&self, offset: u32) -> Option<Window> {
        Window::new::<N>(self.data(), self.end(), offset)
    }

    #[inline(always)]
    fn copy_start(&self, to: &mut [u8; SNAP]) -> u32 {
        let Some(length) = start_length(self.readable_len()) else {
            return 0;
        };
        // SAFETY: the context that the kernel called the program with, and room for so many bytes.
        match unsafe { bpf_xdp_load_bytes(self.ctx.ctx, 0, to.as_mut_ptr().cast(), length) } {
            0 => length,
            _ => 0,
        }
    }

    #[inline(always)]
    fn vlan_beside(&self) -> u16 {
        0
    }

    #[inline(always)]
    fn segment_data(&self) -> u32 {
        0
    }

    #[inline(always)]
    fn segments(&self) -> u32 {
        0
    }
}

/// A frame at a TC hook; `BARE` if links have no header there.
pub(crate) struct TcPacket<'a, const BARE: bool> {
    ctx: &'a TcContext,
}

impl<'a, const BARE: bool> TcPacket<'a, BARE> {
    #[inline(always)]
    pub(crate) const fn new(ctx: &'a TcContext) -> Self {
        Self { ctx }
    }

    #[inline(always)]
    fn data(&self) -> usize {
        context_field!(self.ctx.skb.skb, __sk_buff, data)
    }

    #[inline(always)]
    fn end(&self) -> usize {
        context_field!(self.ctx.skb.skb, __sk_buff, data_end)
    }
}

impl<const BARE: bool> Packet for TcPacket<'_, BARE> {
    type View = Window;

    #[inline(always)]
    fn len(&self) -> u32 {
        self.ctx.len()
    }

    #[inline(always)]
    fn readable_len(&self) -> u32 {
        self.ctx.len()
    }

    #[inline(always)]
    fn view<const N: usize>(&self, offset: u32) -> Option<Window> {
        if let Some(window) = Window::new::<N>(self.data(), self.end(), offset) {
            return Some(window);
        }
        // The bytes may be in a page of the socket buffer that is not mapped yet.
        let needed = (offset & MAX_HEADER_OFFSET) + N as u32;
        if needed > self.ctx.len() {
            return None;
        }
        // SAFETY: the context is the one the kernel called the program with. Earlier windows end
        // here: the parser keeps none across views.
        if unsafe { bpf_skb_pull_data(self.ctx.as_ptr().cast(), needed) } != 0 {
            return None;
        }
        Window::new::<N>(self.data(), self.end(), offset)
    }

    #[inline(always)]
    fn copy_start(&self, to: &mut [u8; SNAP]) -> u32 {
        let Some(length) = start_length(self.readable_len()) else {
            return 0;
        };
        // SAFETY: the context that the kernel called the program with, and room for so many bytes.
        match unsafe {
            bpf_skb_load_bytes(self.ctx.as_ptr().cast(), 0, to.as_mut_ptr().cast(), length)
        } {
            0 => length,
            _ => 0,
        }
    }

    #[inline(always)]
    fn bare(&self) -> Option<u16> {
        // SAFETY: a read of the context, which lives as long as the program runs.
        BARE.then(|| u16::from_be(unsafe { (*self.ctx.skb.skb).protocol } as u16))
    }

    #[inline(always)]
    fn vlan_beside(&self) -> u16 {
        if BARE {
            return 0;
        }
        // SAFETY: reads of the context, which lives as long as the program runs.
        unsafe {
            let skb = self.ctx.skb.skb;
            if (*skb).vlan_present == 0 {
                0
            } else {
                (*skb).vlan_tci as u16 & 0x0fff
            }
        }
    }

    #[inline(always)]
    fn segment_data(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.ctx.skb.skb).gso_size }
    }

    #[inline(always)]
    fn segments(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.ctx.skb.skb).gso_segs }
    }
}
