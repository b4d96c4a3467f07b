//! How much of a publisher's media was lost lately: over the last measurements, so that a bad
//! minute is seen while it lasts and forgotten when it is over.

use std::collections::VecDeque;

/// Measurements that are looked back over; there is one a second.
const LOOKED_BACK: usize = 5;

/// Loss over the last [`LOOKED_BACK`] measurements.
#[derive(Debug, Default)]
pub(crate) struct RecentLoss {
    /// Packets received and lost so far, oldest first; the first is where the looking back ends.
    sums: VecDeque<(u64, u64)>,
}

impl RecentLoss {
    /// Takes the sums of this moment, which only grow.
    pub(crate) fn measure(&mut self, received: u64, lost: u64) {
        if self.sums.len() > LOOKED_BACK {
            self.sums.pop_front();
        }
        self.sums.push_back((received, lost));
    }

    /// Share of the packets that were lost, 0.0 to 1.0.
    pub(crate) fn ratio(&self) -> f64 {
        let (Some(first), Some(last)) = (self.sums.front(), self.sums.back()) else {
            return 0.0;
        };
        let received = last.0.saturating_sub(first.0);
        let lost = last.1.saturating_sub(first.1);
        match received + lost {
            0 => 0.0,
            sent => lost as f64 / sent as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_moment_is_seen_and_forgotten() {
        let mut loss = RecentLoss::default();
        assert!(loss.ratio() < f64::EPSILON);
        // An hour without loss does not hide what comes after it.
        loss.measure(1_000_000, 0);
        assert!(loss.ratio() < f64::EPSILON);
        loss.measure(1_000_075, 25);
        assert!((loss.ratio() - 0.25).abs() < 1e-9);
        for second in 1..LOOKED_BACK as u64 {
            loss.measure(1_000_075 + 100 * second, 25);
            assert!(loss.ratio() > 0.0);
        }
        loss.measure(1_000_575, 25);
        assert!(loss.ratio() < f64::EPSILON, "{loss:?}");
    }
}
