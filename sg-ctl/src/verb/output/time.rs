//! Moments and spans of time.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sg_ctl::host::dataplane;

/// Turns the kernel's monotonic time, or that of captures, into the time of day.
///
/// Both clocks are compared once, so times keep their distances; a correction of the time of day
/// made later does not show.
#[derive(Clone, Debug)]
pub(crate) struct WallClock {
    boot: Timestamp,
    zone: TimeZone,
    format: &'static str,
}

/// RFC 3339 with milliseconds.
const MILLISECONDS: &str = "%Y-%m-%dT%H:%M:%S%.3f%:z";
/// RFC 3339 with microseconds, as captures have them.
const MICROSECONDS: &str = "%Y-%m-%dT%H:%M:%S%.6f%:z";

impl WallClock {
    /// Compares the clocks.
    ///
    /// # Errors
    /// When the kernel does not give the time.
    pub(crate) fn now() -> anyhow::Result<Self> {
        let monotonic = SignedDuration::try_from(dataplane::monotonic()?)?;
        let boot = Timestamp::now().checked_sub(monotonic)?;
        Ok(Self {
            boot,
            zone: TimeZone::system(),
            format: MILLISECONDS,
        })
    }

    /// The clock of captures: nanoseconds since 1970.
    pub(crate) fn of_captures() -> Self {
        Self {
            boot: Timestamp::UNIX_EPOCH,
            zone: TimeZone::system(),
            format: MICROSECONDS,
        }
    }

    /// A clock for tests: monotonic time began at `boot`, the zone is UTC.
    #[cfg(test)]
    pub(crate) fn starting_at(boot: &str) -> Self {
        Self {
            boot: boot.parse().expect("timestamp"),
            zone: TimeZone::UTC,
            format: MILLISECONDS,
        }
    }

    /// The time of day now, in the same form.
    pub(crate) fn now_text(&self) -> String {
        self.zoned_text(Timestamp::now())
    }

    /// The time of day so long ago, in the same form.
    pub(crate) fn ago_text(&self, ago: Duration) -> String {
        let moment = Timestamp::now().checked_sub(ago);
        moment.map_or_else(
            |_out_of_range| String::new(),
            |moment| self.zoned_text(moment),
        )
    }

    /// The time of day at `time_ns` of the clock: RFC 3339, local.
    pub(crate) fn text(&self, time_ns: u64) -> String {
        self.boot
            .saturating_add(SignedDuration::from_nanos_i128(i128::from(time_ns)))
            .map_or_else(
                |_out_of_range| String::new(),
                |moment| self.zoned_text(moment),
            )
    }

    /// Nanoseconds since 1970 at `time_ns` of the kernel's monotonic clock.
    pub(crate) fn unix_ns(&self, time_ns: u64) -> u64 {
        let boot = self.boot.as_nanosecond().cast_unsigned() as u64;
        boot.saturating_add(time_ns)
    }

    fn zoned_text(&self, moment: Timestamp) -> String {
        moment
            .to_zoned_datetime(self.zone.clone())
            .strftime(self.format)
            .to_string()
    }
}

/// A span as JSON has it: whole milliseconds, in a field whose name ends in `_ms`.
pub(crate) const fn milliseconds(span: Duration) -> u64 {
    span.as_millis() as u64
}

/// A span in the two largest units that it has: `350ms`, `12s`, `4m05s`, `2h03m`, `5d04h`.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0 => format!("{}ms", span.subsec_millis()),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_becomes_the_time_of_day() {
        let clock = WallClock::starting_at("2026-03-01T12:00:00Z");
        assert_eq!(clock.text(61_250_999_999), "2026-03-01T12:01:01.250+00:00");
    }

    #[test]
    fn the_time_of_now_is_now() {
        let clock = WallClock::now().expect("clock");
        let text = clock.text(dataplane::monotonic().expect("time").as_nanos() as u64);
        let then: Timestamp = text.parse().expect("RFC 3339");
        assert!((Timestamp::now() - then).as_secs().abs() < 60, "{text}");
    }

    #[test]
    fn spans_show_two_units() {
        for (milliseconds, text) in [
            (0, "0ms"),
            (350, "350ms"),
            (12_999, "12s"),
            (245_000, "4m05s"),
            (7_380_000, "2h03m"),
            (446_400_000, "5d04h"),
        ] {
            assert_eq!(span(Duration::from_millis(milliseconds)), text);
        }
    }
}
