//! The limit on what an interface logs: a bucket of tokens, kept in one word.
//!
//! The word is the time at which the bucket will be full again, in fractions of a jiffy; an event moves
//! it on by what a token takes to come. So nobody fills the bucket, an empty one is only read, and two
//! CPUs need one compare-and-swap.

/// Binary digits of the fractions of a jiffy in which times of tokens are kept.
pub const FRACTION: u32 = 20;

/// Tries to take a token before the event counts as suppressed.
pub const TAKE_TRIES: u32 = 4;

/// The memory of one bucket, alone in its cache line: 64 bytes. Zero is a full bucket.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogBucket {
    /// Jiffies × 2^[`FRACTION`] at which the bucket will be full again.
    pub full_at: u64,
    /// Explicit padding, zero.
    pub pad: [u64; 7],
}

/// What one token takes to come, in jiffies × 2^[`FRACTION`], for so many events per second on
/// average; 0 = no limit.
pub const fn interval(per_second: u32, hz: u64) -> u64 {
    match per_second {
        0 => 0,
        // Rounded up, so that there are no more than asked for, and never to "no limit".
        limit => (hz << FRACTION).div_ceil(limit as u64),
    }
}

/// Takes a token from a bucket that holds those of one second: the word to replace `full_at` with,
/// `None` when it is empty.
#[inline(always)]
pub fn take(full_at: u64, now: u64, interval: u64, hz: u64) -> Option<u64> {
    let now = now << FRACTION;
    let next = full_at.max(now) + interval;
    (next <= now + (hz << FRACTION)).then_some(next)
}

const _: () = assert!(size_of::<LogBucket>() == 64);

#[cfg(test)]
mod tests {
    use super::*;

    const HZ: u64 = 250;

    /// Events that pass of `each` that come in every jiffy of `seconds`.
    fn passed(limit: u32, each: u32, seconds: u64) -> u64 {
        let (mut full_at, mut passed) = (0, 0);
        let begin = 1 << 32;
        for now in begin..begin + seconds * HZ {
            for _ in 0..each {
                if let Some(next) = take(full_at, now, interval(limit, HZ), HZ) {
                    full_at = next;
                    passed += 1;
                }
            }
        }
        passed
    }

    #[test]
    fn a_burst_of_a_second_passes_at_once_and_then_the_limit() {
        for limit in [1, 7, 1000, 10_000, 1_000_000] {
            let expected = u64::from(limit);
            // What rounding costs: less than a token in a thousand.
            let slack = 1 + expected / 1000;
            let burst = passed(limit, limit + 10, 1);
            let seconds = passed(limit, limit.div_ceil(100), 10);
            assert!(
                burst <= 2 * expected && burst + slack >= expected,
                "{burst} of {limit}"
            );
            assert!(seconds <= 11 * expected, "{seconds} of {limit}");
            assert!(
                seconds + 10 * slack >= 10 * expected.min(250 * 2),
                "{seconds} of {limit}"
            );
        }
    }

    #[test]
    fn what_stays_below_the_limit_passes_whole() {
        assert_eq!(passed(1000, 4, 10), 10_000);
    }

    #[test]
    fn no_limit_takes_no_time() {
        assert_eq!(interval(0, HZ), 0);
        assert_eq!(passed(0, 100_000, 1), 25_000_000);
    }
}
