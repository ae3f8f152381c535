//! The programs' clock: jiffies, and how many of them make a second.

use std::time::Duration;
use std::{fs, io};

use nix::time::{ClockId, clock_getres, clock_gettime};
use sg_common::names::PROGRAM_CLOCK;

use super::error::DataplaneError;
use super::maps::system_error;
use super::pins::PinDir;
use super::sys;

/// The time as the programs see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Jiffies per second.
    pub hz: u64,
    /// Jiffies now.
    pub now: u64,
}

impl Clock {
    /// The time from `then` to now, zero for times to come.
    pub fn since(&self, then: u64) -> Duration {
        self.duration(self.now.saturating_sub(then))
    }

    /// The time from now to `then`, zero for times gone by.
    pub fn until(&self, then: u64) -> Duration {
        self.duration(then.saturating_sub(self.now))
    }

    fn duration(&self, jiffies: u64) -> Duration {
        Duration::from_millis(jiffies.saturating_mul(1000) / self.hz)
    }
}

/// The kernel's monotonic clock, which is that of events. In a time namespace (containers that were
/// restored from a checkpoint have one) processes are shown another.
///
/// # Errors
/// When the kernel does not give the time.
pub fn monotonic() -> io::Result<Duration> {
    let shown = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    // A kernel without time namespaces has no such file.
    let offsets = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    let nanoseconds = i128::from(shown.tv_sec()) * NANOSECONDS + i128::from(shown.tv_nsec());
    let since_boot = nanoseconds - monotonic_offset(&offsets);
    Ok(Duration::from_nanos(u64::try_from(since_boot).unwrap_or(0)))
}

/// Nanoseconds of a second.
const NANOSECONDS: i128 = 1_000_000_000;

/// What a time namespace adds to the monotonic clock, in nanoseconds, by its `timens_offsets`
/// (`time_namespaces(7)`): lines of clock, seconds and nanoseconds.
fn monotonic_offset(offsets: &str) -> i128 {
    let fields = |line: &str| {
        let mut words = line.split_whitespace();
        let (clock, seconds, nanoseconds) = (words.next()?, words.next()?, words.next()?);
        // The clock's number or name.
        let offset =
            seconds.parse::<i128>().ok()? * NANOSECONDS + nanoseconds.parse::<i128>().ok()?;
        matches!(clock, "monotonic" | "1").then_some(offset)
    };
    offsets.lines().find_map(fields).unwrap_or(0)
}

/// Returns HZ: the coarse clocks advance once a tick, and the kernel tells by how much
/// (`KTIME_LOW_RES` is `TICK_NSEC`, `include/linux/hrtimer_defs.h`, v6.18).
pub(super) fn hz() -> Result<u64, DataplaneError> {
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE)
        .map_err(|errno| system_error("read the clock's resolution")(errno.into()))?;
    let tick_ns = Duration::from(tick).as_nanos().max(1) as u64;
    Ok((1_000_000_000 + tick_ns / 2) / tick_ns)
}

/// Reads the clock through the pinned program.
pub(super) fn read(pins: &PinDir) -> Result<Clock, DataplaneError> {
    let hz = hz()?;
    // A frame of the least length that the kernel runs XDP programs with.
    let run = sys::open_pin(&pins.clock())
        .and_then(|program| sys::run(&program, &[0; 14], 1, None))
        .map_err(|source| DataplaneError::Run {
            program: PROGRAM_CLOCK,
            source,
        })?;
    let uptime = monotonic().map_err(system_error("read the clock"))?;
    let estimate = first_jiffy(hz) + uptime.as_secs() * hz;
    Ok(Clock {
        hz,
        now: nearest(estimate, run.code),
    })
}

/// Jiffies at boot: the kernel begins five minutes before its low 32 bits overflow
/// (`INITIAL_JIFFIES`, `include/linux/jiffies.h`, v6.18).
const fn first_jiffy(hz: u64) -> u64 {
    (1 << 32) - 300 * hz
}

/// The number with the given low 32 bits that is nearest to an estimate. The estimate by uptime is
/// good to seconds; 2^31 jiffies are 24 days and more.
const fn nearest(estimate: u64, low: u32) -> u64 {
    let ahead = low.wrapping_sub(estimate as u32).cast_signed();
    estimate.wrapping_add_signed(ahead as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hz_is_one_that_kernels_are_built_with() {
        assert!([100, 250, 300, 1000].contains(&hz().unwrap()));
    }

    #[test]
    fn a_time_namespace_adds_its_offset_to_the_monotonic_clock() {
        for (text, seconds) in [
            (
                "monotonic           0         0\nboottime            0         0\n",
                0,
            ),
            (
                "monotonic      864000         0\nboottime       864000         0\n",
                864_000,
            ),
            (
                "boottime            7         0\nmonotonic          -5         0\n",
                -5,
            ),
            ("", 0),
        ] {
            assert_eq!(monotonic_offset(text), seconds * NANOSECONDS, "{text}");
        }
    }

    #[test]
    fn the_upper_half_of_jiffies_comes_from_the_uptime() {
        let boundary = 1 << 32;
        assert_eq!(nearest(boundary - 10, (boundary - 5) as u32), boundary - 5);
        assert_eq!(nearest(boundary - 10, 7), boundary + 7);
        assert_eq!(nearest(boundary + 3, u32::MAX), boundary - 1);
        assert_eq!(nearest(5 * boundary + 3, 3), 5 * boundary + 3);
    }
}
