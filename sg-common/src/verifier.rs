//! Hints that keep LLVM from rewriting checks into forms the BPF verifier cannot follow.

/// Returns `value` while hiding where it came from.
///
/// Without it LLVM turns arithmetic selects back into branches (each one doubles the states the
/// verifier explores) and folds bounds that were checked on one register into another.
#[inline(always)]
pub fn opaque(value: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut hidden = value;
        #[expect(unsafe_code, reason = "assembly is the only optimisation barrier")]
        // SAFETY: moves a register to itself. (The kernel refuses line information of two lines at
        // one instruction, so the block must not be empty.)
        unsafe {
            core::arch::asm!("{0} = {0}", inout(reg) hidden, options(nomem, nostack, preserves_flags));
        }
        hidden
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        value
    }
}

/// Returns `value` while the verifier forgets what it knows of it: flips it twice with `noise`, a
/// number that the verifier knows nothing of.
///
/// Paths that differ only in what is known of a value then count as one.
#[inline(always)]
pub fn forget(value: u64, noise: u64) -> u64 {
    opaque(value ^ noise) ^ noise
}

/// Returns 1 when `bound <= value`, else 0, without a branch.
#[inline(always)]
pub fn at_or_below(bound: u64, value: u64) -> u64 {
    1 ^ borrow(value, bound)
}

/// Returns 1 when the two are different, else 0, without a branch.
#[inline(always)]
pub fn differs(one: u64, other: u64) -> u64 {
    let difference = one ^ other;
    opaque(difference | difference.wrapping_neg()) >> 63
}

/// 1 when `a - b` needs a borrow (Hacker's Delight §2-13).
#[inline(always)]
fn borrow(a: u64, b: u64) -> u64 {
    // Hidden twice: LLVM knows this idiom, and would compare and branch.
    opaque(((!a & b) | ((!a | b) & opaque(a.wrapping_sub(b)))) >> 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGES: [u64; 7] = [0, 1, 2, u64::MAX >> 1, 1 << 63, u64::MAX - 1, u64::MAX];

    #[test]
    fn what_differs_is_not_equal() {
        for one in EDGES {
            for other in EDGES {
                assert_eq!(
                    differs(one, other),
                    u64::from(one != other),
                    "{one} {other}"
                );
            }
        }
    }

    #[test]
    fn at_or_below_is_less_or_equal() {
        for bound in EDGES {
            for value in EDGES {
                assert_eq!(
                    at_or_below(bound, value),
                    u64::from(bound <= value),
                    "{bound} {value}"
                );
            }
        }
    }
}
