//! One show's log in memory: a ring of the newest events. What is not archived yet is never
//! dropped; how much that may be is the caller's to bound ([`Log::waiting`]). It refuses to know
//! what the events mean and where they are archived.

use std::collections::VecDeque;
use std::sync::Arc;

use vetrina_protocol::event::{Event, LoggedEvent};
use vetrina_protocol::server::ResetReason;
use vetrina_protocol::time::{Epoch, Offset, UnixMs};

use super::hot::{Position, RESUME_EVENTS_MAX};
use super::ledger::EpochStart;

/// Archived events that stay in memory: a viewer who was away for a minute of a busy show resumes
/// without the disk.
pub(super) const RING_EVENTS: usize = 4_096;
/// Events that may wait for the archive: about 20 MB, and minutes of a busy show.
pub(super) const WAITING_EVENTS_MAX: usize = 65_536;

/// See the module's words.
#[derive(Debug)]
pub(super) struct Log {
    epochs: Vec<EpochStart>,
    ring: VecDeque<Arc<LoggedEvent>>,
    end: Offset,
    archived: Offset,
    last_at: UnixMs,
}

/// Where the events after a position are.
#[derive(Debug)]
pub(super) enum Found {
    /// Here.
    Events(Vec<Arc<LoggedEvent>>),
    /// At least this many of them are in the archive, and only there.
    Archived(u64),
    /// Nowhere.
    Reset(ResetReason),
}

impl Log {
    /// An epoch that starts after the last archived event.
    pub(super) fn new(epochs: Vec<EpochStart>, archived: Offset) -> Self {
        Self {
            epochs,
            ring: VecDeque::new(),
            end: archived,
            archived,
            last_at: UnixMs::default(),
        }
    }

    /// The newest event.
    pub(super) fn position(&self) -> Position {
        Position {
            epoch: self.epochs.last().map_or(Epoch(0), |last| last.epoch),
            offset: self.end,
        }
    }

    /// The last event that is archived.
    pub(super) fn archived(&self) -> Offset {
        self.archived
    }

    /// Events that wait for the archive.
    pub(super) fn waiting(&self) -> usize {
        usize::try_from(self.end.0 - self.archived.0).unwrap_or(usize::MAX)
    }

    /// Numbers an event. Its moment is not before the one of the event before.
    pub(super) fn push(&mut self, now: UnixMs, event: Event) -> Arc<LoggedEvent> {
        self.end = self.end.next();
        self.last_at = self.last_at.max(now);
        let logged = Arc::new(LoggedEvent {
            offset: self.end,
            at_ms: self.last_at,
            event,
        });
        self.ring.push_back(Arc::clone(&logged));
        self.trim();
        logged
    }

    /// An event that somebody else numbered: the one after the last, or it is a bug.
    pub(super) fn take(&mut self, event: Arc<LoggedEvent>) {
        debug_assert_eq!(event.offset, self.end.next(), "the caller looks for gaps");
        self.end = event.offset;
        self.last_at = self.last_at.max(event.at_ms);
        self.ring.push_back(event);
        self.trim();
    }

    /// What waits for the archive.
    pub(super) fn unarchived(&self) -> Vec<Arc<LoggedEvent>> {
        let first = self.ring.len() - self.waiting().min(self.ring.len());
        self.ring.range(first..).cloned().collect()
    }

    /// Everything up to `offset` is on disk.
    pub(super) fn set_archived(&mut self, offset: Offset) {
        self.archived = self.archived.max(offset.min(self.end));
        self.trim();
    }

    /// The events after a position, as far as they are here.
    pub(super) fn after(&self, after: Position, limit: usize) -> Found {
        if let Some(reason) = self.refuse(after) {
            return Found::Reset(reason);
        }
        let first = self.end.0 + 1 - self.ring.len() as u64;
        let wanted = after.offset.0 + 1;
        if wanted < first {
            return Found::Archived(first - wanted);
        }
        let start = usize::try_from(wanted - first)
            .unwrap_or(usize::MAX)
            .min(self.ring.len());
        Found::Events(self.ring.range(start..).take(limit).cloned().collect())
    }

    /// Why one cannot continue from there.
    fn refuse(&self, after: Position) -> Option<ResetReason> {
        let place = self
            .epochs
            .iter()
            .position(|start| start.epoch == after.epoch);
        let Some(place) = place else {
            return Some(ResetReason::Unknown);
        };
        match self.epochs.get(place + 1) {
            // Everything before the next epoch's first event is archived; what that epoch had
            // numbered beyond it was never written down.
            Some(next) if after.offset >= next.first => return Some(ResetReason::Lost),
            None if after.offset > self.end => return Some(ResetReason::Unknown),
            _ => {}
        }
        (self.end.0 - after.offset.0 > RESUME_EVENTS_MAX).then_some(ResetReason::TooOld)
    }

    fn trim(&mut self) {
        let kept = RING_EVENTS.max(self.waiting());
        while self.ring.len() > kept {
            self.ring.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(epochs: &[(u64, u64)], archived: u64) -> Log {
        let start = |(epoch, first): &(u64, u64)| EpochStart {
            epoch: Epoch(*epoch),
            first: Offset(*first),
        };
        Log::new(epochs.iter().map(start).collect(), Offset(archived))
    }

    fn position(epoch: u64, offset: u64) -> Position {
        Position {
            epoch: Epoch(epoch),
            offset: Offset(offset),
        }
    }

    fn push(log: &mut Log, events: usize) {
        for _ in 0..events {
            log.push(UnixMs(1), Event::SlowModeChanged { seconds: 1 });
        }
    }

    #[test]
    fn an_older_epoch_resumes_up_to_what_was_archived() {
        let mut log = log(&[(1, 1), (2, 11), (3, 11)], 10);
        push(&mut log, 2);
        assert!(
            matches!(log.after(position(1, 10), 9), Found::Events(events) if events.len() == 2)
        );
        assert!(matches!(log.after(position(1, 4), 9), Found::Archived(6)));
        assert!(matches!(
            log.after(position(1, 11), 9),
            Found::Reset(ResetReason::Lost)
        ));
        assert!(matches!(
            log.after(position(2, 11), 9),
            Found::Reset(ResetReason::Lost)
        ));
        assert!(matches!(
            log.after(position(3, 13), 9),
            Found::Reset(ResetReason::Unknown)
        ));
        assert!(matches!(
            log.after(position(4, 1), 9),
            Found::Reset(ResetReason::Unknown)
        ));
        assert!(
            matches!(log.after(position(3, 12), 9), Found::Events(events) if events.is_empty())
        );
    }

    #[test]
    fn what_is_not_archived_is_never_dropped() {
        let mut log = log(&[(1, 1)], 0);
        push(&mut log, RING_EVENTS + 100);
        assert_eq!(log.unarchived().len(), RING_EVENTS + 100);
        log.set_archived(Offset(200));
        assert_eq!(
            log.unarchived().first().map(|event| event.offset),
            Some(Offset(201))
        );
        assert!(matches!(log.after(position(1, 0), 9), Found::Archived(100)));
        push(&mut log, 1);
        assert_eq!(log.ring.len(), RING_EVENTS.max(log.waiting()));
    }

    #[test]
    fn far_behind_is_too_old() {
        let mut log = log(&[(1, 1)], RESUME_EVENTS_MAX);
        assert!(matches!(log.after(position(1, 0), 9), Found::Archived(_)));
        push(&mut log, 1);
        assert!(matches!(
            log.after(position(1, 0), 9),
            Found::Reset(ResetReason::TooOld)
        ));
    }
}
