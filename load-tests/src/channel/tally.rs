//! What one stretch of comments looked like to everybody: how late each was, and who missed which.

use std::collections::BTreeMap;
use std::ops::Range;

use hdrhistogram::Histogram;
use vetrina_protocol::server::ServerMessage;

use super::crowd::Ear;
use super::known::{Kind, Shared};

/// Longest latency that is told apart, microseconds.
const LATENCY_US_MAX: u64 = 120_000_000;

/// A histogram of microseconds with three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("two sane bounds and three digits")
}

/// The value below which so many per cent are, in milliseconds.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn percentile_ms(histogram: &Histogram<u64>, percent: f64) -> f64 {
    histogram.value_at_percentile(percent) as f64 / 1e3
}

/// Counts comments whose numbers are from `first` on.
pub(crate) struct Tally {
    first: u32,
    /// Clients that count; what others are told is passed over.
    counted: Range<usize>,
    pub(crate) latency: Histogram<u64>,
    pub(crate) delivered: u64,
    /// When the last of them came.
    pub(crate) last_us: u64,
    clients: Vec<Heard>,
    /// By number: somebody was told, or the server said that it is in the log.
    existing: Vec<bool>,
    pub(crate) refused: BTreeMap<&'static str, u32>,
}

/// How many comments one client was told, and the sum of their numbers.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    count: u64,
    sum: u64,
}

/// What was missed and told twice, over all clients that are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Missed {
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
}

impl Tally {
    pub(crate) fn new(clients: usize, first: u32, count: u32) -> Self {
        Self {
            first,
            counted: 0..clients,
            latency: histogram(),
            delivered: 0,
            last_us: 0,
            clients: vec![Heard::default(); clients],
            existing: vec![false; count as usize],
            refused: BTreeMap::new(),
        }
    }

    /// Only these clients count.
    pub(crate) fn of(mut self, counted: Range<usize>) -> Self {
        self.counted = counted;
        self
    }

    /// Every one of the first `said` comments must arrive: a peer says nothing about them.
    pub(crate) fn expect_all(&mut self, said: u32) {
        let said = self.existing.len().min(said as usize);
        self.existing[..said].fill(true);
    }

    /// Comments that everybody must be told.
    pub(crate) fn expected(&self) -> u64 {
        self.existing.iter().filter(|exists| **exists).count() as u64
    }

    /// Clients that were told at least one.
    pub(crate) fn reached(&self) -> usize {
        self.clients.iter().filter(|heard| heard.count > 0).count()
    }

    pub(crate) fn refusals(&self) -> u32 {
        self.refused.values().sum()
    }

    /// What the clients that `counts` picks were not told, or twice.
    pub(crate) fn missed(&self, counts: impl Fn(usize) -> bool) -> Missed {
        let numbers = (0_u64..).zip(&self.existing);
        let sum: u64 = numbers.filter(|(_, exists)| **exists).map(|(n, _)| n).sum();
        let expected = self.expected();
        let mut missed = Missed::default();
        for (_, heard) in self
            .clients
            .iter()
            .enumerate()
            .filter(|(at, _)| counts(*at))
        {
            missed.lost += expected.saturating_sub(heard.count);
            missed.doubled += heard.count.saturating_sub(expected);
            if heard.count == expected && heard.sum != sum {
                missed.lost += 1;
                missed.doubled += 1;
            }
        }
        missed
    }

    fn number(&self, number: u32) -> Option<usize> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        (at < self.existing.len()).then_some(at)
    }
}

impl Ear for Tally {
    fn shared(&mut self, client: usize, now_us: u64, shared: &Shared) {
        if !self.counted.contains(&client) {
            return;
        }
        let mut heard = self.clients[client];
        for told in shared.batches.iter().flat_map(|batch| &batch.events) {
            let Some(mark) = told.mark.filter(|_| told.kind == Kind::Comment) else {
                continue;
            };
            let Some(at) = self.number(mark.number) else {
                continue;
            };
            self.existing[at] = true;
            heard.count += 1;
            heard.sum += at as u64;
            self.delivered += 1;
            self.last_us = now_us;
            self.latency
                .saturating_record(now_us.saturating_sub(mark.due_us).max(1));
        }
        self.clients[client] = heard;
    }

    fn own(&mut self, _client: usize, _now_us: u64, message: &ServerMessage) {
        match message {
            ServerMessage::Ok(done) if done.comment.is_some() => {
                if let Some(at) = self.number(done.id) {
                    self.existing[at] = true;
                }
            }
            ServerMessage::Refused {
                id: Some(id), code, ..
            } if self.number(*id).is_some() => {
                *self.refused.entry(code.as_str()).or_default() += 1;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::known::{Batch, Mark, Told};

    fn comments(numbers: &[u32]) -> Shared {
        let told = |number: &u32| Told {
            kind: Kind::Comment,
            offset: 1,
            at_ms: 0,
            mark: Some(Mark {
                number: *number,
                due_us: 1_000,
            }),
        };
        let events = numbers.iter().map(told).collect();
        let batch = Batch {
            from: 1,
            to: 9,
            events,
        };
        Shared {
            batches: vec![batch],
            reactions: None,
        }
    }

    #[test]
    fn who_missed_what_is_counted() {
        let mut tally = Tally::new(4, 10, 3);
        tally.shared(0, 3_000, &comments(&[10, 11, 12]));
        tally.shared(1, 4_000, &comments(&[9, 10, 11]));
        tally.shared(2, 4_000, &comments(&[10, 10, 12]));
        assert_eq!(tally.delivered, 8, "9 was said before");
        assert_eq!(tally.expected(), 3);
        assert_eq!(tally.reached(), 3);
        assert_eq!(tally.missed(|client| client == 0), Missed::default());
        let one = |client| tally.missed(|at| at == client);
        let lost = |lost, doubled| Missed { lost, doubled };
        assert_eq!(one(1), lost(1, 0));
        assert_eq!(one(2), lost(1, 1), "one twice instead of another");
        assert_eq!(one(3), lost(3, 0));
        assert_eq!(tally.missed(|_| true), lost(5, 1));
        let mut others = Tally::new(4, 10, 3).of(1..4);
        others.shared(0, 9_000, &comments(&[10]));
        assert_eq!((others.delivered, others.expected()), (0, 0));
        assert!((percentile_ms(&tally.latency, 25.0) - 2.0).abs() < 0.1);
        assert!((percentile_ms(&tally.latency, 99.0) - 3.0).abs() < 0.1);
    }

    #[test]
    fn a_peer_must_deliver_whatever_was_said() {
        let mut tally = Tally::new(1, 0, 5);
        tally.shared(0, 1_000, &comments(&[0]));
        assert_eq!(tally.missed(|_| true).lost, 0);
        tally.expect_all(4);
        assert_eq!(tally.missed(|_| true).lost, 3);
    }
}
