//! What one node knows of one show in one epoch of its log: the ring, the fold, and who is told
//! when they move. Fed by the tail alone, in order and without a gap. When the epoch ends, so does
//! this, and all who listen hear that their channel has closed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, watch};
use vetrina_core::show::{ShowFold, is_selling};
use vetrina_protocol::event::{Event, LoggedEvent};
use vetrina_protocol::time::{Epoch, Offset, UnixMs};
use vetrina_protocol::view::ShowState;

use super::functions::{PrivateNotice, ShowStatus};
use crate::hot::{NOTICES_BEHIND_MAX, Notice, Position};
use crate::ledger::ArchiveBatch;
use crate::log::{Found, Log, WAITING_EVENTS_MAX};
use vetrina_protocol::id::ShowId;

/// When the disk is this far behind, nothing more is taken on credit.
const BEHIND_MAX: Duration = Duration::from_secs(2);

/// The next event is not the one after the last.
#[derive(Debug)]
pub(super) struct Gap {
    /// The last one that is here.
    pub(super) after: Offset,
    /// The first one that came.
    pub(super) came: Offset,
}

/// See the module's words.
pub(super) struct Local {
    pub(super) show: ShowId,
    pub(super) epoch: Epoch,
    /// Taken for one entry or one question, never across an await.
    inside: Mutex<Inside>,
    position: watch::Sender<Position>,
    archived: watch::Sender<Offset>,
    notices: broadcast::Sender<Arc<Notice>>,
    /// The newest notice that came, and the newest that any answer to this node spoke of.
    heard: watch::Sender<u64>,
    told_notices: AtomicU64,
    /// The furthest that any answer to this node spoke of.
    told: AtomicU64,
    /// Somebody here waits for this one to be archived.
    wanted: AtomicU64,
}

struct Inside {
    log: Log,
    fold: ShowFold,
    /// The newest notice that came.
    heard: u64,
    due: Due,
    leads: bool,
    was_asked: bool,
    units_released: bool,
    used_at: Instant,
    waiting_since: Option<Instant>,
}

/// When time itself changes something next, as Redis said last.
#[derive(Clone, Copy)]
struct Due {
    at: Option<UnixMs>,
    /// The time of Redis, and ours at that moment.
    now: UnixMs,
    seen: Instant,
    /// Something happened since that may have changed it.
    is_stale: bool,
}

impl Local {
    pub(super) fn new(show: ShowId, log: Log, fold: ShowFold, status: &ShowStatus) -> Self {
        Self {
            show,
            epoch: status.position.epoch,
            position: watch::Sender::new(log.position()),
            archived: watch::Sender::new(log.archived()),
            notices: broadcast::Sender::new(NOTICES_BEHIND_MAX),
            heard: watch::Sender::new(status.notices),
            told_notices: AtomicU64::new(status.notices),
            told: AtomicU64::new(status.position.offset.0),
            wanted: AtomicU64::new(0),
            inside: Mutex::new(Inside {
                log,
                fold,
                heard: status.notices,
                due: Due::of(status),
                leads: false,
                was_asked: false,
                units_released: false,
                used_at: Instant::now(),
                waiting_since: None,
            }),
        }
    }

    /// Events as they come from the log; those that are here already are passed over.
    pub(super) fn take_events(&self, events: Vec<LoggedEvent>) -> Result<(), Gap> {
        let mut inside = self.inside();
        for event in events {
            let end = inside.log.position().offset;
            if event.offset <= end {
                continue;
            }
            if event.offset != end.next() {
                let came = event.offset;
                self.tell_position(&inside);
                return Err(Gap { after: end, came });
            }
            if matches!(event.event, Event::StockChanged { .. }) {
                inside.due.is_stale = true;
            }
            inside.fold.apply(&event);
            inside.log.take(Arc::new(event));
        }
        if inside.log.waiting() > 0 {
            inside.waiting_since.get_or_insert_with(Instant::now);
        }
        self.tell_position(&inside);
        Ok(())
    }

    /// Facts as they come from the notices. False when some are missing before them: nobody may
    /// go on listening as if nothing had happened.
    pub(super) fn take_notices(&self, before: u64, notices: Vec<PrivateNotice>) -> bool {
        let mut inside = self.inside();
        let last = notices.last().map_or(before, |last| last.notice.version);
        if last <= inside.heard {
            return true;
        }
        if before > inside.heard {
            return false;
        }
        for private in notices {
            if private.notice.version > inside.heard {
                inside.heard = private.notice.version;
                // Nobody listens: then nobody misses it, `mine` has it.
                drop(self.notices.send(Arc::new(private.notice)));
            }
        }
        self.heard.send_replace(inside.heard);
        true
    }

    /// Where the tail goes on: the last event and the last notice.
    pub(super) fn cursor(&self) -> (Offset, u64) {
        let inside = self.inside();
        (inside.log.position().offset, inside.heard)
    }

    /// What an answer to this node said.
    pub(super) fn note(&self, status: &ShowStatus) {
        if status.position.epoch != self.epoch {
            return;
        }
        self.told
            .fetch_max(status.position.offset.0, Ordering::Relaxed);
        self.told_notices
            .fetch_max(status.notices, Ordering::Relaxed);
        self.inside().due = Due::of(status);
        self.set_archived(status.archived);
    }

    /// Up to here is on disk.
    pub(super) fn set_archived(&self, offset: Offset) {
        let mut inside = self.inside();
        inside.log.set_archived(offset);
        let archived = inside.log.archived();
        if inside.log.waiting() == 0 {
            inside.waiting_since = None;
        } else if self.archived.borrow().0 < archived.0 {
            inside.waiting_since = Some(Instant::now());
        }
        drop(inside);
        self.archived.send_if_modified(|told| {
            let moved = *told < archived;
            *told = archived.max(*told);
            moved
        });
    }

    pub(super) fn position(&self) -> Position {
        self.inside().log.position()
    }

    /// All that answers to this node spoke of is here, or `patience` is over: then what is here.
    pub(super) async fn caught_up(&self, patience: Duration) {
        let told = self.told.load(Ordering::Relaxed);
        if self.position.borrow().offset.0 >= told {
            return;
        }
        let mut position = self.position.subscribe();
        let reached = position.wait_for(|position| position.offset.0 >= told);
        // What is late is late for everybody; the next read has it.
        drop(tokio::time::timeout(patience, reached).await);
    }

    pub(super) fn folded(&self) -> (Position, ShowFold) {
        let inside = self.inside();
        (inside.log.position(), inside.fold.clone())
    }

    pub(super) fn after(&self, after: Position, limit: usize) -> Found {
        self.inside().log.after(after, limit)
    }

    pub(super) fn watch(&self) -> watch::Receiver<Position> {
        self.position.subscribe()
    }

    pub(super) fn archived(&self) -> watch::Receiver<Offset> {
        self.archived.subscribe()
    }

    /// Notices from now on: those that answers to this node spoke of already are waited for first.
    pub(super) async fn notices(&self, patience: Duration) -> broadcast::Receiver<Arc<Notice>> {
        let told = self.told_notices.load(Ordering::Relaxed);
        let mut heard = self.heard.subscribe();
        let reached = heard.wait_for(|heard| *heard >= told);
        // Whoever is told of one that is older than `mine` passes it over.
        drop(tokio::time::timeout(patience, reached).await);
        self.notices.subscribe()
    }

    pub(super) fn is_followed(&self) -> bool {
        self.position.receiver_count() + self.notices.receiver_count() > 0
    }

    /// Somebody waits for `offset` to be archived.
    pub(super) fn want(&self, offset: Offset) {
        self.wanted.fetch_max(offset.0, Ordering::Relaxed);
    }

    /// What is to be archived by this node: all that waits, if it leads or somebody here waits.
    pub(super) fn batch(&self, anyway: bool) -> Option<ArchiveBatch> {
        let inside = self.inside();
        let wanted = self.wanted.load(Ordering::Relaxed) > inside.log.archived().0;
        if inside.log.waiting() == 0 || !(anyway || inside.leads || wanted) {
            return None;
        }
        Some(ArchiveBatch {
            show: self.show,
            epoch: self.epoch,
            events: inside.log.unarchived(),
            changes: Vec::new(),
        })
    }

    pub(super) fn leads(&self) -> bool {
        self.inside().leads
    }

    /// True when it became the leader with this.
    pub(super) fn set_leads(&self, leads: bool) -> bool {
        let mut inside = self.inside();
        let is_new = leads && !inside.leads;
        inside.leads = leads;
        inside.was_asked = true;
        is_new
    }

    /// Nothing is taken on the credit of a disk that does not answer.
    pub(super) fn is_behind(&self) -> bool {
        let inside = self.inside();
        let late = inside
            .waiting_since
            .is_some_and(|since| since.elapsed() > BEHIND_MAX);
        (late && inside.leads) || inside.log.waiting() >= WAITING_EVENTS_MAX
    }

    /// Whether a tick has something to do, or may have. `clock` is a test's.
    pub(super) fn is_due(&self, clock: Option<UnixMs>) -> bool {
        let due = self.inside().due;
        if due.is_stale {
            return true;
        }
        let passed = i64::try_from(due.seen.elapsed().as_millis()).unwrap_or(i64::MAX);
        let now = clock.unwrap_or(due.now.plus_ms(passed));
        due.at.is_some_and(|at| at <= now)
    }

    /// It is known whether this node leads.
    pub(super) fn was_asked(&self) -> bool {
        self.inside().was_asked
    }

    pub(super) fn use_now(&self) {
        self.inside().used_at = Instant::now();
    }

    pub(super) fn chore(&self) -> Chore {
        let inside = self.inside();
        let state = inside.fold.show().state;
        Chore {
            is_over: matches!(state, ShowState::Ended | ShowState::Replay),
            is_selling: is_selling(state),
            released: inside.units_released,
            idle: inside.used_at.elapsed(),
            has_units_out: inside.fold.run().iter().any(|listing| {
                let stock = inside.fold.listing(*listing).map(|listing| listing.stock);
                stock.is_some_and(|stock| stock.reserved > 0 || stock.waiting > 0)
            }),
        }
    }

    pub(super) fn units_are_released(&self) {
        self.inside().units_released = true;
    }

    fn tell_position(&self, inside: &Inside) {
        let position = inside.log.position();
        self.position.send_if_modified(|told| {
            let moved = *told != position;
            *told = position;
            moved
        });
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        // Whole after every statement, so a poisoned lock is usable.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Due {
    fn of(status: &ShowStatus) -> Self {
        Self {
            at: status.next_due,
            now: status.now,
            seen: Instant::now(),
            is_stale: false,
        }
    }
}

/// What the chores go by.
pub(super) struct Chore {
    pub(super) is_over: bool,
    pub(super) is_selling: bool,
    pub(super) released: bool,
    pub(super) has_units_out: bool,
    pub(super) idle: Duration,
}
