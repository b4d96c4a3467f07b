//! Which packets of a source are missing and should be asked for again. Knows no RTCP syntax.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::limits;

#[derive(Debug, Clone, Copy)]
struct Missing {
    sequence: u64,
    since: Instant,
    asked: Option<Instant>,
    tries: u8,
}

/// The gaps of one source, bounded in number and age.
#[derive(Debug, Default)]
pub(crate) struct MissingList {
    newest: Option<u64>,
    missing: VecDeque<Missing>,
    lost: u64,
}

impl MissingList {
    /// Packets that were given up.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Notes an arrival: closes its gap, or opens gaps for what was skipped.
    pub(crate) fn arrived(&mut self, sequence: u64, now: Instant) {
        let newest = *self.newest.get_or_insert(sequence);
        if sequence <= newest {
            if let Ok(at) = self
                .missing
                .binary_search_by_key(&sequence, |gap| gap.sequence)
            {
                self.missing.remove(at);
            }
            return;
        }
        let skipped = sequence - newest - 1;
        let kept = skipped.min(limits::MISSING as u64);
        self.lost += skipped - kept;
        for sequence in sequence - kept..sequence {
            if self.missing.len() == limits::MISSING {
                self.missing.pop_front();
                self.lost += 1;
            }
            self.missing.push_back(Missing {
                sequence,
                since: now,
                asked: None,
                tries: 0,
            });
        }
        self.newest = Some(sequence);
    }

    /// The sequence numbers to ask for now. A packet is asked for once it is a tick late (so that
    /// mere reordering costs nothing), then once per round trip.
    pub(crate) fn due(&mut self, now: Instant, round_trip: Duration) -> Vec<u16> {
        let before = self.missing.len();
        self.missing.retain(|gap| {
            gap.tries < limits::NACK_TRIES && now.duration_since(gap.since) < limits::NACK_AGE
        });
        self.lost += (before - self.missing.len()) as u64;
        let pause = round_trip.max(3 * limits::TICK);
        let mut due = Vec::new();
        for gap in &mut self.missing {
            let ripe = match gap.asked {
                None => now.duration_since(gap.since) >= limits::TICK,
                Some(asked) => now.duration_since(asked) >= pause,
            };
            if ripe {
                gap.asked = Some(now);
                gap.tries += 1;
                due.push(gap.sequence as u16);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Duration = Duration::from_millis(60);

    #[test]
    fn a_gap_is_asked_for_once_per_round_trip_until_it_closes() {
        let (mut list, start) = (MissingList::default(), Instant::now());
        list.arrived(65_600, start);
        list.arrived(65_603, start);
        assert!(list.due(start, TRIP).is_empty(), "perhaps only reordered");
        let soon = start + limits::TICK;
        assert_eq!(list.due(soon, TRIP), [65, 66]);
        assert!(list.due(soon + TRIP / 2, TRIP).is_empty());
        list.arrived(65_601, soon + TRIP / 2);
        assert_eq!(list.due(soon + TRIP, TRIP), [66]);
        assert_eq!(list.lost(), 0);
    }

    #[test]
    fn it_gives_up_in_time_and_counts_what_was_lost() {
        let (mut list, start) = (MissingList::default(), Instant::now());
        list.arrived(1, start);
        list.arrived(4, start);
        let mut asked = 0;
        for step in 0..200 {
            asked += list.due(start + step * limits::TICK, TRIP).len();
        }
        assert_eq!(asked, 2 * usize::from(limits::NACK_TRIES));
        assert_eq!(list.lost(), 2);
    }

    #[test]
    fn a_huge_gap_is_bounded() {
        let (mut list, start) = (MissingList::default(), Instant::now());
        list.arrived(1, start);
        list.arrived(1_000_000, start);
        assert_eq!(list.due(start + limits::TICK, TRIP).len(), limits::MISSING);
        assert_eq!(list.lost(), 999_998 - limits::MISSING as u64);
    }
}
