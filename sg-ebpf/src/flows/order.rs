//! The order of loads, on processors that keep it and on those that do not.
//!
//! x86 loads in program order, and volatile access keeps LLVM to it. arm64 loads as it likes, but for
//! a load whose address is computed from what an earlier one returned: that comes later, whatever the
//! computation comes to (Arm ARM, B2.3: address dependency). Here it comes to the same address, by
//! three instructions that LLVM does not look into; the kernel's compilers translate one by one.

#[cfg(bpf_target_arch = "aarch64")]
use core::arch::asm;

#[cfg(not(any(bpf_target_arch = "x86_64", bpf_target_arch = "aarch64")))]
compile_error!(
    "the flow table knows how x86-64 and arm64 order loads; this architecture is neither"
);

/// Returns `target`; what is loaded through it is loaded after what returned `read`.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub(super) fn after<T>(target: *mut T, _read: u64) -> *mut T {
    target
}

/// Returns `target`; what is loaded through it is loaded after what returned `read`.
#[cfg(bpf_target_arch = "aarch64")]
#[expect(
    clippy::pointers_in_nomem_asm_block,
    reason = "computes an address, and loads nothing through it"
)]
#[inline(always)]
pub(super) fn after<T>(target: *mut T, read: u64) -> *mut T {
    let mut address = target;
    // Not `pure`: LLVM would move it behind comparisons of `read`, and then put in what they found.
    // SAFETY: adds 0 to a pointer.
    unsafe {
        asm!("{nothing} = {read}", "{nothing} &= 0", "{address} += {nothing}",
            nothing = out(reg) _, read = in(reg) read, address = inout(reg) address,
            options(nomem, nostack));
    }
    address
}

/// Whether all of `words` words are the same on both sides, and `target`; what is loaded through it is
/// loaded after `theirs`.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub(super) fn after_comparison<T>(
    target: *mut T,
    words: usize,
    ours: impl Fn(usize) -> u64,
    theirs: impl Fn(usize) -> u64,
) -> (bool, *mut T) {
    ((0..words).all(|i| ours(i) == theirs(i)), target)
}

/// Whether all of `words` words are the same on both sides, and `target`; what is loaded through it is
/// loaded after `theirs`.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
pub(super) fn after_comparison<T>(
    target: *mut T,
    words: usize,
    ours: impl Fn(usize) -> u64,
    theirs: impl Fn(usize) -> u64,
) -> (bool, *mut T) {
    let differences = (0..words).fold(0, |found, i| found | (ours(i) ^ theirs(i)));
    let target = after(target, differences);
    (differences == 0, target)
}

/// Has what is loaded from now on be loaded after all that was loaded before.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub(super) fn catch_up(_word: impl Fn() -> Option<*mut u64>) {}

/// Has what is loaded from now on be loaded after all that was loaded before: a full barrier, for
/// which BPF has no instruction but an atomic operation that returns something. It needs some word of
/// a map, and changes nothing in it.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
pub(super) fn catch_up(word: impl Fn() -> Option<*mut u64>) {
    if let Some(word) = word() {
        // SAFETY: a map value.
        unsafe {
            asm!("{bits} = atomic_fetch_or((u64 *)({word} + 0), {bits})", word = in(reg) word,
                bits = inout(reg) 0_u64 => _, options(nostack));
        }
    }
}
