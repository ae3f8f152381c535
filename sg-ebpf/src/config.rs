//! Constants of the loaded programs: written by the loader, frozen before the verifier sees them.

use core::ptr::read_volatile;

use aya_ebpf::Global;
use sg_common::flow::FlowKey;
use sg_common::settings::ProgramConfig;

/// What stands in the constants until the loader overwrites them: a value that no other constant
/// has. LLVM merges equal constants, so that a plain 0 elsewhere could become one of these, and
/// change with it.
const UNSET: u64 = 0x7367_5f75_6e73_6574;

#[unsafe(no_mangle)]
static CONFIG: Global<ProgramConfig> = Global::new(ProgramConfig {
    test_clock: UNSET as u32,
    hz: UNSET as u32,
});

#[unsafe(no_mangle)]
static FLOW_BUCKETS: Global<u32> = Global::new(UNSET as u32);

#[unsafe(no_mangle)]
static HASH_SEED: [Global<u64>; FlowKey::WORDS] = [const { Global::new(UNSET) }; FlowKey::WORDS];

/// Reads one field: a whole copy would cost stack.
macro_rules! config {
    ($field:ident) => {{
        let config: *const ProgramConfig = (&raw const CONFIG).cast();
        // SAFETY: `Global` is transparent over its value, which is initialised.
        unsafe { read_volatile(&raw const (*config).$field) }
    }};
}

/// Whether time is read from `TEST_CLOCK`.
#[inline(always)]
pub(crate) fn test_clock() -> bool {
    config!(test_clock) != 0
}

/// Jiffies per second.
#[inline(always)]
pub(crate) fn hz() -> u64 {
    u64::from(config!(hz))
}

/// Buckets of the flow table.
#[inline(always)]
pub(crate) fn flow_buckets() -> u32 {
    FLOW_BUCKETS.load()
}

/// A word of the flow table's seed.
#[inline(always)]
pub(crate) fn hash_secret(word: usize) -> u64 {
    HASH_SEED[word].load()
}
