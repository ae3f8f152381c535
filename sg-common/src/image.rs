//! The policy image: all policies of a host as one immutable array of 32-bit words.
//!
//! User space compiles it (`sg_ctl::compile`), the kernel reads it, both through this layout.
//! A decision takes three look-ups, each with a fixed number of steps:
//!
//! ```text
//!  remote address ──► peer class     a direct step and a short search, see [`classes`]
//!  policy, class  ──► row            three loads: class table, page, row
//!  row, service   ──► cell           binary search over the service ranges of the row
//! ```
//!
//! A *peer class* is a set of addresses that every rule of the host treats alike. A *row* says what
//! one policy admits from one class: ranges of [service keys](crate::service), each with a
//! [`Cell`]. Rules only allow, so a cell is found or it is not; nothing has an order.
//!
//! Words are in host byte order; offsets count words from the start of the image. Reading a word
//! beyond the end returns 0, which every look-up takes as "no rule".

pub mod classes;
pub mod search;

use crate::flow::Direction;
use crate::settings::MAX_ZONES;
use crate::verifier::opaque;
use search::Search;

/// First word of every image: "sg1\0".
pub const MAGIC: u32 = 0x0031_6773;
/// Version of the layout below. Programs do not judge by an image of another version.
pub const FORMAT_VERSION: u32 = 5;

/// Offsets of the header words.
pub mod header {
    /// [`MAGIC`](super::MAGIC).
    pub const MAGIC: u32 = 0;
    /// [`FORMAT_VERSION`](super::FORMAT_VERSION).
    pub const FORMAT: u32 = 1;
    /// Lower half of the generation number.
    pub const GENERATION_LOW: u32 = 2;
    /// Upper half of the generation number.
    pub const GENERATION_HIGH: u32 = 3;
    /// Number of words of the image.
    pub const WORDS: u32 = 4;
    /// Checksum of all words after the header.
    pub const CHECKSUM: u32 = 5;
    /// Number of address ranges.
    pub const RANGES: u32 = 6;
    /// Number of classes.
    pub const CLASSES: u32 = 7;
    /// The [`index`](super::classes::index) of IPv4 addresses.
    pub const IPV4: u32 = 16;
    /// The [`index`](super::classes::index) of the upper halves of IPv6 addresses.
    pub const IPV6: u32 = 24;
    /// Words of the header.
    pub const LEN: u32 = 32;
}

/// Offset of the policy directory: two words for each zone that there can be, the offset of the class
/// table of its inbound and of its outbound policy; 0 = no policy.
///
/// A class table holds the offset of each page of [`CLASS_PAGE`] classes, a page the offset of the
/// row of each class, 0 = no rule. A row holds the number of its ranges, their first service keys
/// (ascending, the first one zero), and their cells.
pub const DIRECTORY: u32 = header::LEN;
/// Words of the policy directory.
pub const DIRECTORY_LEN: u32 = MAX_ZONES * 2;
/// Classes of one page. Most policies speak of few classes, and equal pages are one.
pub const CLASS_PAGE: u32 = 1 << 8;

/// Limit of service ranges in one row: 2^12, for a thousand rules.
pub const MAX_ROW: u32 = 1 << 12;

/// The image in force.
pub const CURRENT: u32 = 0;
/// The image that comes back when a change on trial is not confirmed by its deadline.
pub const PREVIOUS: u32 = 1;
/// Images that there can be at a time.
pub const IMAGES: u32 = 2;

/// Words of the images of each size class (1 MiB, 16 MiB, 128 MiB), powers of two: the kernel
/// replaces a whole image in place, and for that its size must be one of a few.
pub const SIZE_CLASSES: [usize; 3] = [1 << 18, 1 << 22, 1 << 25];

/// What a policy says about one class and service.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cell(pub u32);

impl Cell {
    /// No rule admits it.
    pub const NONE: Self = Self(0);
    /// Set when the flow needs no tracking.
    const UNTRACKED: u32 = 1 << 31;
    /// The largest rule number.
    pub const MAX_RULE: u32 = Self::UNTRACKED - 1;

    /// Admitted by rule number `rule` (1 to [`Self::MAX_RULE`]).
    pub const fn new(rule: u32, untracked: bool) -> Self {
        Self(rule & Self::MAX_RULE | if untracked { Self::UNTRACKED } else { 0 })
    }

    /// Number of the deciding rule, 0 when none admits.
    #[inline(always)]
    pub const fn rule(self) -> u32 {
        self.0 & Self::MAX_RULE
    }

    /// Whether a rule admits.
    #[inline(always)]
    pub const fn is_admitted(self) -> bool {
        self.rule() != 0
    }

    /// Whether the flow needs no tracking.
    #[inline(always)]
    pub const fn is_untracked(self) -> bool {
        self.0 & Self::UNTRACKED != 0
    }
}

/// Read access to the words of an image.
pub trait Words {
    /// The word at `offset`, 0 beyond the end.
    fn word(&self, offset: u32) -> u32;

    /// The 64-bit number at `offset`, which is even: two words, lower half first.
    #[inline(always)]
    fn wide(&self, offset: u32) -> u64 {
        u64::from(self.word(offset)) | u64::from(self.word(offset.wrapping_add(1))) << 32
    }
}

impl Words for [u32] {
    fn word(&self, offset: u32) -> u32 {
        self.get(offset as usize).copied().unwrap_or(0)
    }
}

/// Whether the programs of this version can judge by the image.
#[inline(always)]
pub fn is_readable<W: Words + ?Sized>(image: &W) -> bool {
    image.word(header::MAGIC) == MAGIC && image.word(header::FORMAT) == FORMAT_VERSION
}

/// The generation number of an image.
#[inline(always)]
pub fn generation<W: Words + ?Sized>(image: &W) -> u64 {
    u64::from(image.word(header::GENERATION_HIGH)) << 32
        | u64::from(image.word(header::GENERATION_LOW))
}

/// What one policy says about one peer: the result of the first two look-ups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row(u32);

/// Finds the row of a zone's policy for a class, `None` when the zone has no policy.
#[inline(always)]
pub fn row<W: Words + ?Sized>(
    image: &W,
    zone: u32,
    direction: Direction,
    class: u32,
) -> Option<Row> {
    if zone >= MAX_ZONES {
        return None;
    }
    // Hidden: LLVM knows that it lies in the image and would leave out the mask, without which the
    // verifier of Linux 6.1 sees no bounds.
    let place = opaque(u64::from(DIRECTORY + zone * 2 + direction as u32)) as u32;
    match image.word(place) {
        0 => None,
        table => {
            let page = image.word(table.wrapping_add(class / CLASS_PAGE));
            Some(Row(image.word(page.wrapping_add(class % CLASS_PAGE))))
        }
    }
}

/// Finds the cell of a service in a row; `None` if the row is too long for this way to search.
#[inline(always)]
pub fn cell<W: Words + ?Sized, S: Search>(image: &W, row: Row, service: u32) -> Option<Cell> {
    let ranges = image.word(row.0);
    if row.0 == 0 || ranges == 0 {
        return Some(Cell::NONE);
    }
    let starts = row.0.wrapping_add(1);
    let start = |number: u32| u64::from(image.word(starts.wrapping_add(number)));
    let last = S::last::<{ MAX_ROW.ilog2() }>(ranges, start, service.into())?;
    let cells = starts.wrapping_add(ranges);
    Some(Cell(image.word(cells.wrapping_add(last))))
}

/// The checksum of an image's body, against torn or stray writes, not against malice: a 64-bit FNV-1a
/// over pairs of words, in four lanes, as one multiplication would wait for the other; then over their
/// sums and the words that are left.
pub fn checksum(body: &[u32]) -> u32 {
    const BEGIN: u64 = 0xcbf2_9ce4_8422_2325;
    let step = |sum: u64, words: u64| (sum ^ words).wrapping_mul(0x0100_0000_01b3);
    let mut sums = [BEGIN; 4];
    let (blocks, rest) = body.as_chunks::<8>();
    for block in blocks {
        for (sum, [low, high]) in sums.iter_mut().zip(block.as_chunks().0) {
            *sum = step(*sum, u64::from(*low) | u64::from(*high) << 32);
        }
    }
    let rest = rest.iter().map(|word| u64::from(*word));
    let sum = sums.into_iter().chain(rest).fold(BEGIN, step);
    (sum ^ sum >> 32) as u32
}
