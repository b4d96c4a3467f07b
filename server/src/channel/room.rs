//! One show on one node: reads the hot store's log onward, turns every tick into one encoded batch,
//! keeps the snapshot for those who join, and brings private facts to their sessions.
//!
//! It refuses to know sockets: a session is a cursor, a mailbox and a receiver of the tail.

mod buyers;
mod entry;
mod members;
mod tail;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use tokio::sync::watch;
use vetrina_core::show::{ShowFold, conflate};
use vetrina_protocol::client::Reaction;
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::event::LoggedEvent;
use vetrina_protocol::server::{ReactionCount, ServerMessage};
use vetrina_protocol::time::{Epoch, Offset};
use vetrina_protocol::view::Show;

use super::batch::{Batch, Cursor, FellBehind, Ring, Shared};
use super::welcome::SharedSnapshot;
use crate::shop::ShowFacts;

pub(super) use buyers::Buyers;
pub(super) use entry::Start;
pub(super) use members::{Member, Members};
pub(super) use tail::follow;

/// How far a room has come: sessions wait for it to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tail {
    /// Last offset of the newest batch.
    to: Offset,
    /// Number of the newest `Audience`.
    audience: u64,
}

/// A show with sessions on this node.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) facts: ShowFacts,
    /// Read by every session at every tick, written by the room's one task; never kept over an
    /// await. That is why it is a lock and not a queue per session.
    log: RwLock<RoomLog>,
    tail: watch::Sender<Tail>,
    pub(super) members: Members,
    pub(super) buyers: Buyers,
    reactions: [AtomicU32; REACTIONS.len()],
}

const REACTIONS: [Reaction; 4] = [
    Reaction::Heart,
    Reaction::Clap,
    Reaction::Fire,
    Reaction::Laugh,
];

#[derive(Debug)]
struct RoomLog {
    epoch: Epoch,
    fold: ShowFold,
    ring: Ring,
    viewers: u32,
    /// Of this moment; made when somebody joins.
    snapshot: Option<Arc<SharedSnapshot>>,
    audience: Option<Arc<Shared>>,
    audience_number: u64,
}

impl Room {
    pub(super) fn new(facts: ShowFacts, epoch: Epoch, fold: ShowFold, buyers: Buyers) -> Self {
        let to = fold.offset();
        Self {
            facts,
            tail: watch::Sender::new(Tail { to, audience: 0 }),
            log: RwLock::new(RoomLog {
                epoch,
                ring: Ring::new(to),
                fold,
                viewers: 0,
                snapshot: None,
                audience: None,
                audience_number: 0,
            }),
            members: Members::default(),
            buyers,
            reactions: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// Changes when there is something to take.
    pub(super) fn tail(&self) -> watch::Receiver<Tail> {
        self.tail.subscribe()
    }

    /// Counts a reaction; told once a second.
    pub(super) fn react(&self, reaction: Reaction) {
        for (kind, count) in REACTIONS.iter().zip(&self.reactions) {
            if *kind == reaction {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Gives a session's next frames, at most `most` batches, and the audience if it is news.
    ///
    /// # Errors
    /// [`FellBehind`] when the session was too slow.
    pub(super) fn take(
        &self,
        place: &mut Place,
        encoding: Encoding,
        most: usize,
        mut give: impl FnMut(Bytes),
    ) -> Result<(), FellBehind> {
        let log = self.log();
        log.ring
            .take(&mut place.cursor, most, |batch| give(batch.frame(encoding)))?;
        if place.audience < log.audience_number {
            place.audience = log.audience_number;
            if let Some(audience) = &log.audience {
                give(audience.frame(encoding));
            }
        }
        Ok(())
    }

    /// Takes over what follows in the log, as one batch. Gives how many events were new.
    fn publish(&self, events: &[Arc<LoggedEvent>]) -> usize {
        // Only the room's one task writes, so nothing moves between the two locks; the encoding is
        // done before the second, which all sessions wait for.
        let seen = self.log().ring.to();
        let news: Vec<LoggedEvent> = events
            .iter()
            .filter(|event| event.offset > seen)
            .map(|event| LoggedEvent::clone(event))
            .collect();
        let Some(to) = news.last().map(|last| last.offset) else {
            return 0;
        };
        let batch = Batch::new(seen.next(), to, conflate(&news));
        let mut log = self.write();
        for event in &news {
            log.fold.apply(event);
        }
        log.ring.push(batch);
        log.snapshot = None;
        drop(log);
        self.tail.send_modify(|tail| tail.to = to);
        news.len()
    }

    /// Tells viewers and reactions, if there is something new in them.
    fn tell_audience(&self, viewers: u32) {
        let reactions: Vec<_> = REACTIONS
            .iter()
            .zip(&self.reactions)
            .map(|(reaction, count)| ReactionCount {
                reaction: *reaction,
                count: count.swap(0, Ordering::Relaxed),
            })
            .filter(|reaction| reaction.count > 0)
            .collect();
        let mut log = self.write();
        if log.viewers == viewers && reactions.is_empty() {
            return;
        }
        log.viewers = viewers;
        log.snapshot = None;
        log.audience = Some(Arc::new(Shared::new(vec![ServerMessage::Audience {
            viewers,
            reactions,
        }])));
        log.audience_number += 1;
        let number = log.audience_number;
        drop(log);
        self.tail.send_modify(|tail| tail.audience = number);
    }

    /// Takes over what is not part of the log: title, times, poster.
    fn set_show(&self, show: Show) {
        let mut log = self.write();
        log.fold.set_show(show);
        log.snapshot = None;
    }

    fn log(&self) -> RwLockReadGuard<'_, RoomLog> {
        // A writer that panics leaves at worst an event unfolded, and the process logs it.
        self.log.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, RoomLog> {
        self.log.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a session stands in its room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    cursor: Cursor,
    audience: u64,
}
