//! How much one key may ask for, and how often signatures may fail.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Requests of one key in a second, over longer times.
const RATE: f64 = 200.0;
/// Requests that may come at once.
const BURST: f64 = 1000.0;
/// Keys that are counted apart; no more are ever known.
const KEYS: usize = 1024;

/// What is left of one key's allowance.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// The allowances of all keys.
#[derive(Debug, Default)]
pub struct Rates {
    buckets: HashMap<String, Bucket>,
}

impl Rates {
    /// Takes one request from a key's allowance; `false` when nothing is left.
    pub fn take(&mut self, key: &str, now: Instant) -> bool {
        if self.buckets.len() >= KEYS && !self.buckets.contains_key(key) {
            self.buckets.clear();
        }
        let bucket = self.buckets.entry(key.to_owned()).or_insert(Bucket {
            left: BURST,
            at: now,
        });
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.left = (bucket.left + passed * RATE).min(BURST);
        bucket.at = now;
        let is_left = bucket.left >= 1.0;
        if is_left {
            bucket.left -= 1.0;
        }
        is_left
    }
}

/// Counts what goes wrong, and lets it be told once in a while.
#[derive(Debug, Default)]
pub struct Failures {
    count: u64,
    told: Option<Instant>,
}

impl Failures {
    /// Counts one; returns how many there were when it is time to tell.
    pub fn count(&mut self, now: Instant) -> Option<u64> {
        const EVERY: Duration = Duration::from_mins(1);
        self.count += 1;
        let is_due = self
            .told
            .is_none_or(|told| now.saturating_duration_since(told) >= EVERY);
        is_due.then(|| {
            self.told = Some(now);
            std::mem::take(&mut self.count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_allowance_and_gets_it_back() {
        let (mut rates, now) = (Rates::default(), Instant::now());
        let taken = (0..5000).filter(|_| rates.take("a", now)).count();
        assert_eq!(taken, 1000);
        assert!(rates.take("b", now), "another key has its own");
        let later = now + Duration::from_secs(1);
        assert_eq!((0..5000).filter(|_| rates.take("a", later)).count(), 200);
    }

    #[test]
    fn failures_are_told_once_a_minute_with_their_number() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        assert_eq!(failures.count(now), Some(1));
        assert_eq!(failures.count(now), None);
        assert_eq!(failures.count(now + Duration::from_secs(61)), Some(2));
    }
}
