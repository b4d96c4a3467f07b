//! Messages that go to many sessions: encoded and framed once per encoding, on first use, so that
//! JSON viewers cost only JSON viewers. And the ring of them, in which every session is a cursor.
//!
//! It refuses to know sockets and rooms.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::event::LoggedEvent;
use vetrina_protocol::server::ServerMessage;
use vetrina_protocol::time::Offset;

use super::limits::{RING_BATCHES_MAX, RING_BYTES_MAX};
use super::socket::frame;

/// One frame's messages, encoded at most once per encoding however many sessions send it.
#[derive(Debug)]
pub(crate) struct Shared {
    messages: Vec<ServerMessage>,
    msgpack: OnceLock<Bytes>,
    json: OnceLock<Bytes>,
}

impl Shared {
    /// A frame of these messages.
    pub(crate) fn new(messages: Vec<ServerMessage>) -> Self {
        Self {
            messages,
            msgpack: OnceLock::new(),
            json: OnceLock::new(),
        }
    }

    /// The frame, ready for the socket.
    pub(crate) fn frame(&self, encoding: Encoding) -> Bytes {
        let slot = match encoding {
            Encoding::MessagePack => &self.msgpack,
            Encoding::Json => &self.json,
        };
        slot.get_or_init(|| frame(encoding, &encoding.encode(&self.messages)))
            .clone()
    }

    /// The messages themselves.
    pub(crate) fn messages(&self) -> &[ServerMessage] {
        &self.messages
    }
}

/// What one tick of a room tells everybody: the events of `[from, to]`, conflated.
#[derive(Debug)]
pub(crate) struct Batch {
    /// First offset covered.
    pub(crate) from: Offset,
    /// Last offset covered.
    pub(crate) to: Offset,
    frame: Shared,
    bytes: usize,
}

impl Batch {
    /// Covers `[from, to]`; encodes it, since somebody always asks for MessagePack.
    pub(crate) fn new(from: Offset, to: Offset, events: Vec<LoggedEvent>) -> Self {
        let frame = Shared::new(vec![ServerMessage::Events { from, to, events }]);
        let bytes = frame.frame(Encoding::MessagePack).len();
        Self {
            from,
            to,
            frame,
            bytes,
        }
    }

    /// The whole batch, for a session that has seen everything before `from`.
    pub(crate) fn frame(&self, encoding: Encoding) -> Bytes {
        self.frame.frame(encoding)
    }

    /// What of the batch comes after `seen`, for a session that resumes inside of it. Conflation
    /// keeps the latest, so nothing that `seen` has not is missing.
    pub(crate) fn frame_after(&self, seen: Offset, encoding: Encoding) -> Bytes {
        let events = self.events().iter().filter(|event| event.offset > seen);
        let rest = ServerMessage::Events {
            from: seen.next(),
            to: self.to,
            events: events.cloned().collect(),
        };
        frame(encoding, &encoding.encode(&[rest]))
    }

    fn events(&self) -> &[LoggedEvent] {
        match self.frame.messages() {
            [ServerMessage::Events { events, .. }] => events,
            _ => &[],
        }
    }
}

/// The newest batches of a room, without a gap between them.
#[derive(Debug)]
pub(crate) struct Ring {
    batches: VecDeque<Arc<Batch>>,
    /// Number of the front batch; the first batch ever is 0.
    first: u64,
    bytes: usize,
    /// Last offset of the newest batch, also while the ring is empty.
    to: Offset,
}

/// Where a session stands in a ring: the batch it is to be given next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor(u64);

/// A session read so slowly that its next batch is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FellBehind;

impl Ring {
    /// An empty ring that continues after `to`.
    pub(crate) const fn new(to: Offset) -> Self {
        Self {
            batches: VecDeque::new(),
            first: 0,
            bytes: 0,
            to,
        }
    }

    /// Adds the batch that follows, and forgets the oldest beyond the bounds.
    ///
    /// # Panics
    /// When the batch does not continue where the last one ended: the caller lost events.
    pub(crate) fn push(&mut self, batch: Batch) {
        assert_eq!(batch.from, self.to.next(), "a ring has no gaps");
        self.to = batch.to;
        self.bytes += batch.bytes;
        self.batches.push_back(Arc::new(batch));
        while self.batches.len() > RING_BATCHES_MAX
            || (self.bytes > RING_BYTES_MAX && self.batches.len() > 1)
        {
            if let Some(gone) = self.batches.pop_front() {
                self.bytes -= gone.bytes;
                self.first += 1;
            }
        }
    }

    /// Last offset of the newest batch.
    pub(crate) const fn to(&self) -> Offset {
        self.to
    }

    /// The cursor of a session that has seen everything.
    pub(crate) fn tail(&self) -> Cursor {
        Cursor(self.first + self.batches.len() as u64)
    }

    /// Where a session that has seen `seen` goes on: the cursor of the batch after the one that
    /// `seen` lies in, and that one, when it holds more than `seen`. `None`: not in the ring.
    pub(crate) fn resume(&self, seen: Offset) -> Option<(Cursor, Option<Arc<Batch>>)> {
        if seen > self.to {
            return None;
        }
        let first_kept = self
            .batches
            .front()
            .map_or(self.to.next(), |batch| batch.from);
        if seen.next() < first_kept {
            return None;
        }
        let behind = self.batches.partition_point(|batch| batch.to <= seen);
        let cursor = Cursor(self.first + behind as u64);
        match self.batches.get(behind) {
            Some(batch) if batch.from <= seen => Some((Cursor(cursor.0 + 1), Some(batch.clone()))),
            _ => Some((cursor, None)),
        }
    }

    /// Gives at most `most` batches from the cursor on, and moves it.
    ///
    /// # Errors
    /// [`FellBehind`] when the first of them is gone.
    pub(crate) fn take(
        &self,
        cursor: &mut Cursor,
        most: usize,
        mut give: impl FnMut(&Arc<Batch>),
    ) -> Result<(), FellBehind> {
        let skip = cursor.0.checked_sub(self.first).ok_or(FellBehind)?;
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        for batch in self.batches.iter().skip(skip).take(most) {
            give(batch);
            cursor.0 += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use vetrina_protocol::event::Event;
    use vetrina_protocol::time::UnixMs;

    use super::*;

    fn batch(from: u64, to: u64) -> Batch {
        let events = (from..=to)
            .map(|offset| LoggedEvent {
                offset: Offset(offset),
                at_ms: UnixMs(0),
                event: Event::SlowModeChanged { seconds: 1 },
            })
            .collect();
        Batch::new(Offset(from), Offset(to), events)
    }

    fn ring(batches: &[(u64, u64)]) -> Ring {
        let mut ring = Ring::new(Offset(batches[0].0 - 1));
        for (from, to) in batches {
            ring.push(batch(*from, *to));
        }
        ring
    }

    fn taken(ring: &Ring, cursor: &mut Cursor) -> Vec<(u64, u64)> {
        let mut seen = Vec::new();
        ring.take(cursor, usize::MAX, |batch| {
            seen.push((batch.from.0, batch.to.0));
        })
        .unwrap();
        seen
    }

    #[test]
    fn a_session_resumes_at_any_position_without_gap_or_repetition() {
        let ring = ring(&[(5, 5), (6, 9), (10, 12)]);
        for seen in 4..=12 {
            let (mut cursor, part) = ring.resume(Offset(seen)).unwrap();
            let mut at = seen;
            if let Some(part) = part {
                assert!(part.from.0 <= seen && seen < part.to.0);
                at = part.to.0;
            }
            for (from, to) in taken(&ring, &mut cursor) {
                assert_eq!(from, at + 1);
                at = to;
            }
            assert_eq!(at, 12);
        }
        assert!(ring.resume(Offset(3)).is_none(), "older than the ring");
        assert!(
            ring.resume(Offset(13)).is_none(),
            "from a future it does not have"
        );
    }

    #[test]
    fn the_rest_of_a_batch_starts_after_what_was_seen() {
        let encoding = Encoding::Json;
        let bytes = batch(6, 9).frame_after(Offset(7), encoding);
        // A short text frame has two bytes of header, a medium one four.
        let payload = if bytes[1] < 126 {
            &bytes[2..]
        } else {
            &bytes[4..]
        };
        let messages: Vec<ServerMessage> = encoding.decode(payload).unwrap();
        let [ServerMessage::Events { from, to, events }] = messages.as_slice() else {
            panic!("{messages:?}");
        };
        assert_eq!((from.0, to.0, events.len()), (8, 9, 2));
    }

    #[test]
    fn the_oldest_go_first_and_a_slow_session_is_told() {
        let mut ring = ring(&[(1, 1)]);
        let mut slow = Cursor(0);
        for offset in 2..=(RING_BATCHES_MAX as u64 + 1) {
            ring.push(batch(offset, offset));
        }
        assert_eq!(ring.batches.len(), RING_BATCHES_MAX);
        assert_eq!(ring.take(&mut slow, 1, |_| ()), Err(FellBehind));
        assert_eq!(ring.tail().0, RING_BATCHES_MAX as u64 + 1);
        let sum: usize = ring.batches.iter().map(|batch| batch.bytes).sum();
        assert_eq!(ring.bytes, sum);
    }

    #[test]
    #[should_panic(expected = "no gaps")]
    fn a_gap_is_our_bug() {
        ring(&[(1, 1), (3, 3)]);
    }
}
