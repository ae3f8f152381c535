//! The image in force, as the programs read it.

use sg_common::image::{SIZE_CLASSES, Words};

use crate::maps;

/// The memory of one image: `mask + 1` words, a power of two.
pub(crate) struct Image {
    base: *const u32,
    mask: u32,
}

impl Image {
    /// Finds the image in force.
    #[inline(always)]
    pub(crate) fn current() -> Option<Self> {
        // While a swap changes the size class, the selector may name a class that has just been
        // emptied: then the other one is in force.
        match *maps::SELECTOR.get(0)? {
            0 => Self::small().or_else(Self::large),
            _ => Self::large().or_else(Self::small),
        }
    }

    #[inline(always)]
    fn small() -> Option<Self> {
        Some(Self {
            base: maps::IMAGE_SMALL.get_value(0, &0)?.as_ptr(),
            mask: SIZE_CLASSES[0] as u32 - 1,
        })
    }

    #[inline(always)]
    fn large() -> Option<Self> {
        Some(Self {
            base: maps::IMAGE_LARGE.get_value(0, &0)?.as_ptr(),
            mask: SIZE_CLASSES[1] as u32 - 1,
        })
    }
}

impl Words for Image {
    #[inline(always)]
    fn word(&self, offset: u32) -> u32 {
        // SAFETY: the mask keeps the offset inside the map value, which has `mask + 1` words. An
        // image is written before it is put in place and never after.
        unsafe { *self.base.add((offset & self.mask) as usize) }
    }

    #[inline(always)]
    fn wide(&self, offset: u32) -> u64 {
        // SAFETY: as above; an even offset is not the last one, and the value is aligned to pages.
        unsafe { *self.base.add((offset & self.mask & !1) as usize).cast() }
    }
}
