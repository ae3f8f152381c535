//! The images in force, as the programs read them.

use sg_common::image::{SIZE_CLASSES, Words};

use crate::maps;

/// The memory of one image: `mask + 1` words, a power of two.
pub(crate) struct Image {
    base: *const u32,
    mask: u32,
}

impl Image {
    /// Finds an image, `CURRENT` or `PREVIOUS`, where it mostly is.
    #[inline(always)]
    pub(crate) fn named(image: u32) -> Option<Self> {
        match *maps::SELECTOR.get(image)? {
            0 => Self::small(image),
            1 => Self::large(image),
            _ => Self::huge(image),
        }
    }

    /// Finds an image.
    #[inline(always)]
    pub(crate) fn find(image: u32) -> Option<Self> {
        // While a swap changes the size class, the selector may name a class that has just been
        // emptied: then the only other one that is not empty is in force.
        Self::named(image)
            .or_else(|| Self::small(image))
            .or_else(|| Self::large(image))
            .or_else(|| Self::huge(image))
    }

    #[inline(always)]
    fn small(image: u32) -> Option<Self> {
        let words = maps::IMAGE_SMALL.get_value(image, &0)?;
        Some(Self::of(words.as_ptr(), SIZE_CLASSES[0]))
    }

    #[inline(always)]
    fn large(image: u32) -> Option<Self> {
        let words = maps::IMAGE_LARGE.get_value(image, &0)?;
        Some(Self::of(words.as_ptr(), SIZE_CLASSES[1]))
    }

    #[inline(always)]
    fn huge(image: u32) -> Option<Self> {
        let words = maps::IMAGE_HUGE.get_value(image, &0)?;
        Some(Self::of(words.as_ptr(), SIZE_CLASSES[2]))
    }

    #[inline(always)]
    const fn of(base: *const u32, words: usize) -> Self {
        Self {
            base,
            mask: words as u32 - 1,
        }
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
