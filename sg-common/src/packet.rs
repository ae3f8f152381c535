//! Reading frames: the one door through which packet bytes reach the shared code.

use crate::event::SNAP;

/// A frame, from the header of its link on, if it has one.
pub trait Packet {
    /// A checked window into the frame.
    type View: View;

    /// Length of the whole frame in bytes. On XDP a helper call: see [`Self::has`].
    fn len(&self) -> u32;

    /// Bytes that are surely there, without asking: at most [`Self::len`].
    fn readable_len(&self) -> u32;

    /// A number of which the verifier knows nothing, see [`forget`](crate::verifier::forget).
    #[inline(always)]
    fn noise(&self) -> u64 {
        u64::from(self.readable_len())
    }

    /// Whether the frame is empty.
    fn is_empty(&self) -> bool {
        self.readable_len() == 0
    }

    /// Whether the frame is at least `end` bytes long.
    #[inline(always)]
    fn has(&self, end: u32) -> bool {
        end <= self.readable_len() || end <= self.len()
    }

    /// The `N` bytes at `offset`, `None` when the frame ends before.
    ///
    /// A view is good until the next call of `view`: making room for the next one may move the
    /// frame.
    fn view<const N: usize>(&self, offset: u32) -> Option<Self::View>;

    /// Copies the beginning of the frame; returns how many bytes of it.
    fn copy_start(&self, to: &mut [u8; SNAP]) -> u32;

    /// The protocol (`EtherType`) of a frame that has no header of its link and begins with that
    /// protocol's, as tunnels have them; `None` for Ethernet.
    #[inline(always)]
    fn bare(&self) -> Option<u16> {
        None
    }

    /// The VLAN tag that the hook carries beside the frame (VLAN id, 0 = none).
    fn vlan_beside(&self) -> u16;

    /// Bytes of data in each packet that the frame is to be cut into later (GSO); 0 = none, it is one
    /// packet.
    fn segment_data(&self) -> u32;

    /// How many packets those are, as far as the kernel has counted them; 0 = it has not.
    fn segments(&self) -> u32;

    /// Whether the frame is to be segmented later: its IP length field may then be 0 for frames
    /// beyond 64 KiB (BIG TCP).
    #[inline(always)]
    fn is_segmented(&self) -> bool {
        self.segment_data() != 0
    }
}

/// Bytes whose presence has been checked. Offsets must lie inside the window.
pub trait View: Copy {
    /// The byte at `at`.
    fn u8(self, at: usize) -> u8;
    /// The big-endian 16-bit number at `at`, in host order.
    fn be16(self, at: usize) -> u16;
    /// The four bytes at `at` as they lie on the wire.
    fn wire32(self, at: usize) -> u32;
    /// The eight bytes at `at` as they lie on the wire.
    #[inline(always)]
    fn wire64(self, at: usize) -> u64 {
        u64::from(self.wire32(at)) | u64::from(self.wire32(at + 4)) << 32
    }
}

/// A frame in user-space memory.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a>(pub &'a [u8]);

impl<'a> Packet for Slice<'a> {
    type View = Slice<'a>;

    fn len(&self) -> u32 {
        self.0.len() as u32
    }

    fn readable_len(&self) -> u32 {
        self.len()
    }

    fn view<const N: usize>(&self, offset: u32) -> Option<Slice<'a>> {
        let start = offset as usize;
        self.0.get(start..start.checked_add(N)?).map(Slice)
    }

    fn copy_start(&self, to: &mut [u8; SNAP]) -> u32 {
        let start = &self.0[..self.0.len().min(SNAP)];
        to[..start.len()].copy_from_slice(start);
        start.len() as u32
    }

    fn vlan_beside(&self) -> u16 {
        0
    }

    fn segment_data(&self) -> u32 {
        0
    }

    fn segments(&self) -> u32 {
        0
    }
}

/// A frame without a header of its link, in user-space memory: its protocol, its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Bare<'a>(pub u16, pub &'a [u8]);

impl<'a> Packet for Bare<'a> {
    type View = Slice<'a>;

    fn len(&self) -> u32 {
        self.1.len() as u32
    }

    fn readable_len(&self) -> u32 {
        self.len()
    }

    fn view<const N: usize>(&self, offset: u32) -> Option<Slice<'a>> {
        Slice(self.1).view::<N>(offset)
    }

    fn copy_start(&self, to: &mut [u8; SNAP]) -> u32 {
        Slice(self.1).copy_start(to)
    }

    fn bare(&self) -> Option<u16> {
        Some(self.0)
    }

    fn vlan_beside(&self) -> u16 {
        0
    }

    fn segment_data(&self) -> u32 {
        0
    }

    fn segments(&self) -> u32 {
        0
    }
}

impl View for Slice<'_> {
    #[inline]
    fn u8(self, at: usize) -> u8 {
        self.0[at]
    }

    #[inline]
    fn be16(self, at: usize) -> u16 {
        u16::from_be_bytes([self.0[at], self.0[at + 1]])
    }

    #[inline]
    fn wire32(self, at: usize) -> u32 {
        u32::from_ne_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }
}
