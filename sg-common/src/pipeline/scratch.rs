//! The working memory of one run.

use crate::flow::{FlowKey, FragmentKey};
use crate::parse::Parsed;
use crate::policy::Question;

/// Working memory of one run. On the kernel's stack, of 512 bytes, there is no room for it; in a
/// map value there is, and what the verifier knows of values that went through one is little, which
/// keeps the number of paths that it follows low.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Scratch {
    pub(super) parsed: Parsed,
    pub(super) quoted: Parsed,
    pub(super) key: FlowKey,
    pub(super) question: Question,
    pub(super) fragment: FragmentKey,
}

impl Scratch {
    /// Nothing yet.
    pub const EMPTY: Self = Self {
        parsed: Parsed::NOTHING,
        quoted: Parsed::NOTHING,
        key: FlowKey::NONE,
        question: Question::NONE,
        fragment: FragmentKey::NONE,
    };
}
