//! Where a session starts: with a snapshot, or right after what it has seen before. From the ring
//! if it reaches back so far, then from the store's log, else a snapshot with the reason.

use std::sync::Arc;

use bytes::Bytes;
use vetrina_core::refused::Refused;
use vetrina_core::show::conflate;
use vetrina_protocol::client::Resume;
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::event::LoggedEvent;
use vetrina_protocol::server::{ResetReason, ServerMessage};
use vetrina_protocol::time::{Epoch, Offset};

use super::{Place, Room, RoomLog};
use crate::channel::limits::{
    CATCH_UP_WITHIN, EVENTS_PER_FRAME, EVENTS_PER_READ, RESUME_EVENTS_MAX,
};
use crate::channel::socket::frame;
use crate::channel::welcome::SharedSnapshot;
use vetrina_store::StoreError;
use vetrina_store::hot::{Entries, HotStore, Position};

/// A session's start in a room.
#[derive(Debug)]
pub(in crate::channel) struct Entered {
    pub(in crate::channel) epoch: Epoch,
    /// What `Welcome` says: of the snapshot, or of the client's own position.
    pub(in crate::channel) offset: Offset,
    pub(in crate::channel) start: Start,
    pub(in crate::channel) place: Place,
}

/// What the session is given first.
#[derive(Debug)]
pub(in crate::channel) enum Start {
    /// The whole state; with a reason when a resume was asked for.
    Snapshot(Arc<SharedSnapshot>, Option<ResetReason>),
    /// Frames between its position and the place where the ring goes on.
    Resumed(Vec<Bytes>),
}

impl Room {
    /// Finds a session's start.
    ///
    /// # Errors
    /// `try_again` when the store does not answer.
    pub(in crate::channel) async fn enter(
        &self,
        hot: &dyn HotStore,
        resume: Option<Resume>,
        encoding: Encoding,
    ) -> Result<Entered, Refused> {
        let Some(resume) = resume else {
            return Ok(self.snapshot(None));
        };
        if let Some(entered) = self.resume_from_ring(resume, encoding) {
            return Ok(entered);
        }
        self.resume_from_log(hot, resume, encoding).await
    }

    fn snapshot(&self, reset: Option<ResetReason>) -> Entered {
        let cached = {
            let log = self.log();
            log.snapshot
                .clone()
                .map(|shared| log.enter_at_snapshot(shared, reset))
        };
        cached.unwrap_or_else(|| {
            let mut log = self.write();
            let snapshot = log.fold.snapshot(log.viewers);
            let shared = log
                .snapshot
                .get_or_insert_with(|| Arc::new(SharedSnapshot::new(snapshot)));
            let shared = shared.clone();
            log.enter_at_snapshot(shared, reset)
        })
    }

    fn resume_from_ring(&self, resume: Resume, encoding: Encoding) -> Option<Entered> {
        let log = self.log();
        if log.epoch != resume.epoch {
            return None;
        }
        log.enter_after(log.epoch, resume.offset, &[], encoding)
    }

    /// Reads the store's log until it meets the ring.
    async fn resume_from_log(
        &self,
        hot: &dyn HotStore,
        resume: Resume,
        encoding: Encoding,
    ) -> Result<Entered, Refused> {
        let mut position = Position {
            epoch: resume.epoch,
            offset: resume.offset,
        };
        let mut missed: Vec<Arc<LoggedEvent>> = Vec::new();
        loop {
            let read = hot.read(self.facts.id, position, EVENTS_PER_READ).await;
            let more = match read.map_err(StoreError::refusal)? {
                Entries::Reset(reason) => return Ok(self.snapshot(Some(reason))),
                Entries::Next { epoch, events } => {
                    position.epoch = epoch;
                    events
                }
            };
            let end = more.is_empty();
            missed.extend(more);
            if missed.len() > RESUME_EVENTS_MAX {
                return Ok(self.snapshot(Some(ResetReason::TooOld)));
            }
            position.offset = missed.last().map_or(resume.offset, |last| last.offset);
            if end || self.log().ring.resume(position.offset).is_some() {
                break;
            }
        }
        // The store may be a tick ahead of the room.
        if !self.reached(position.offset).await {
            return Ok(self.snapshot(Some(ResetReason::Unknown)));
        }
        let entered = self
            .log()
            .enter_after(position.epoch, resume.offset, &missed, encoding);
        // The room ran away while this was read: then a snapshot is cheaper.
        Ok(entered.unwrap_or_else(|| self.snapshot(Some(ResetReason::TooOld))))
    }

    /// Whether the room's ring comes to this offset soon.
    async fn reached(&self, offset: Offset) -> bool {
        let mut tail = self.tail();
        let come = tail.wait_for(|tail| tail.to >= offset);
        matches!(tokio::time::timeout(CATCH_UP_WITHIN, come).await, Ok(Ok(_)))
    }
}

impl RoomLog {
    fn enter_at_snapshot(
        &self,
        shared: Arc<SharedSnapshot>,
        reset: Option<ResetReason>,
    ) -> Entered {
        Entered {
            epoch: self.epoch,
            offset: self.ring.to(),
            start: Start::Snapshot(shared, reset),
            place: Place {
                cursor: self.ring.tail(),
                audience: self.audience_number,
            },
        }
    }

    /// A session that has seen everything up to `seen`, and is given `missed`, which follows it.
    /// `None` when the ring does not go on from there.
    fn enter_after(
        &self,
        epoch: Epoch,
        seen: Offset,
        missed: &[Arc<LoggedEvent>],
        encoding: Encoding,
    ) -> Option<Entered> {
        let at = missed.last().map_or(seen, |last| last.offset);
        let (cursor, part) = self.ring.resume(at)?;
        let mut frames = Vec::new();
        let mut from = seen.next();
        for events in missed.chunks(EVENTS_PER_FRAME) {
            let events: Vec<LoggedEvent> = events.iter().map(|e| LoggedEvent::clone(e)).collect();
            let to = events.last().map_or(seen, |last| last.offset);
            let message = ServerMessage::Events {
                from,
                to,
                events: conflate(&events),
            };
            frames.push(frame(encoding, &encoding.encode(&[message])));
            from = to.next();
        }
        frames.extend(part.map(|part| part.frame_after(at, encoding)));
        // Viewers may have come and gone meanwhile; the reactions were for those who were here.
        let audience = ServerMessage::Audience {
            viewers: self.viewers,
            reactions: Vec::new(),
        };
        frames.push(frame(encoding, &encoding.encode(&[audience])));
        Some(Entered {
            epoch,
            offset: seen,
            start: Start::Resumed(frames),
            place: Place {
                cursor,
                audience: self.audience_number,
            },
        })
    }
}
