//! A token bucket per key, in bounded memory. It refuses to know who is counted and what for.

use std::collections::HashMap;
use std::hash::Hash;

use vetrina_core::limits::{Rate, TokenBucket};
use vetrina_protocol::time::UnixMs;

/// A bucket that nobody touched for so long is full, or nearly: then it may be forgotten.
const GENERATION_MS: i64 = 60_000;

/// Two generations of maps bound the memory without a sweep: at most twice `most` keys are
/// remembered, and forgetting one only ever lets more in.
#[derive(Debug)]
pub struct Buckets<K> {
    most: usize,
    young: HashMap<K, TokenBucket>,
    old: HashMap<K, TokenBucket>,
    since: UnixMs,
}

impl<K: Hash + Eq> Buckets<K> {
    /// None yet; at most so many keys in a generation.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            young: HashMap::new(),
            old: HashMap::new(),
            since: UnixMs(0),
        }
    }

    /// Takes `tokens` from the bucket of `key`, which is full at first; all of them or none.
    ///
    /// # Errors
    /// Milliseconds until they are there.
    pub fn take(&mut self, key: K, rate: Rate, tokens: u32, now: UnixMs) -> Result<(), u64> {
        if now.since(self.since) >= GENERATION_MS || self.young.len() >= self.most {
            self.old = std::mem::take(&mut self.young);
            self.since = now;
        }
        let kept = self.old.remove(&key);
        self.young
            .entry(key)
            .or_insert_with(|| kept.unwrap_or_else(|| TokenBucket::new(rate, now)))
            .take_many(now, tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Rate = Rate {
        burst: 2,
        per_minute: 2,
    };

    #[test]
    fn a_new_generation_does_not_forget_who_was_busy_a_moment_ago() {
        let mut buckets = Buckets::new(10);
        let mut take = |key, ms| buckets.take(key, TWO, 1, UnixMs(ms));
        assert_eq!((take(1, 0), take(1, 0)), (Ok(()), Ok(())));
        assert_eq!(take(1, 0), Err(30_000));
        assert_eq!(take(2, 0), Ok(()), "another key, another bucket");
        assert_eq!(take(1, 30_000), Ok(()));
        assert_eq!(take(1, 60_000), Ok(()));
        assert!(take(1, 60_001).is_err());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut buckets = Buckets::new(10);
        for key in 0..1_000_u32 {
            assert!(buckets.take(key, TWO, 1, UnixMs(0)).is_ok());
        }
        assert!(buckets.young.len() + buckets.old.len() <= 20);
    }
}
