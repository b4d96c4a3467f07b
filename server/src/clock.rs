//! The one clock of the server. It never runs backwards, even if the machine's clock is set back,
//! and a test may move it forward. Nobody else reads the time of day.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use vetrina_protocol::time::UnixMs;

/// Clones share one clock.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Latest answer: later ones are not earlier.
    latest_ms: AtomicI64,
    /// How far a test moved the clock forward.
    ahead_ms: AtomicI64,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// This moment.
    #[must_use]
    pub fn now(&self) -> UnixMs {
        let machine_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            });
        let now_ms = machine_ms.saturating_add(self.inner.ahead_ms.load(Ordering::Relaxed));
        let latest_ms = self.inner.latest_ms.fetch_max(now_ms, Ordering::Relaxed);
        UnixMs(now_ms.max(latest_ms))
    }

    /// Moves this clock forward, for tests that must not wait.
    pub fn advance_ms(&self, ms: u32) {
        self.inner
            .ahead_ms
            .fetch_add(i64::from(ms), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_moves_forward_only() {
        let clock = Clock::system();
        let start = clock.now();
        clock.advance_ms(60_000);
        assert!(clock.now().since(start) >= 60_000);
        clock.inner.ahead_ms.store(0, Ordering::Relaxed);
        assert!(
            clock.now().since(start) >= 60_000,
            "set back, yet not earlier"
        );
    }
}
