//! A frame that panics when it is read otherwise than the kernel's frames may be.

use std::cell::Cell;

use sg_common::{
    event::SNAP,
    packet::{Packet, Slice, View},
    parse::MAX_HEADER_OFFSET,
};

/// A frame that insists on its contract: nothing is read beyond a view, nor by a view when the next
/// one has been taken (the frame may then have moved), nor from where the hooks cannot look.
pub(super) struct Strict<'a> {
    frame: &'a [u8],
    vlan_beside: u16,
    /// Views taken.
    views: Cell<u64>,
}

/// A window into a [`Strict`] frame.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    bytes: &'a [u8],
    /// Which view it is.
    number: u64,
    views: &'a Cell<u64>,
}

impl<'a> Strict<'a> {
    /// A frame with the VLAN id that the hook has beside it, 0 for none.
    pub(super) const fn new(frame: &'a [u8], vlan_beside: u16) -> Self {
        Self {
            frame,
            vlan_beside,
            views: Cell::new(0),
        }
    }
}

impl<'a> Packet for &'a Strict<'a> {
    type View = Window<'a>;

    fn len(&self) -> u32 {
        self.frame.len() as u32
    }

    fn readable_len(&self) -> u32 {
        self.len()
    }

    fn view<const N: usize>(&self, offset: u32) -> Option<Window<'a>> {
        assert!(offset <= MAX_HEADER_OFFSET, "hooks would look elsewhere");
        let start = offset as usize;
        let bytes = self.frame.get(start..start + N)?;
        self.views.set(self.views.get() + 1);
        Some(Window {
            bytes,
            number: self.views.get(),
            views: &self.views,
        })
    }

    fn copy_start(&self, to: &mut [u8; SNAP]) -> u32 {
        Slice(self.frame).copy_start(to)
    }

    fn vlan_beside(&self) -> u16 {
        self.vlan_beside
    }

    fn segment_data(&self) -> u32 {
        0
    }

    fn segments(&self) -> u32 {
        0
    }
}

impl<'a> Window<'a> {
    fn read<const N: usize>(self, at: usize) -> [u8; N] {
        assert_eq!(self.number, self.views.get(), "a view read after the next");
        let bytes: &'a [u8] = &self.bytes[at..at + N];
        bytes.try_into().expect("as long as asked for")
    }
}

impl View for Window<'_> {
    fn u8(self, at: usize) -> u8 {
        self.read::<1>(at)[0]
    }

    fn be16(self, at: usize) -> u16 {
        u16::from_be_bytes(self.read(at))
    }

    fn wire32(self, at: usize) -> u32 {
        u32::from_ne_bytes(self.read(at))
    }
}
