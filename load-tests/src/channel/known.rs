//! What frames say. Everybody is sent the same bytes, so a frame is decoded for the first client
//! that gets it, and compared byte for byte for all others: one client on one core must be able to
//! check what millions of deliveries a second carried.

use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::event::Event;
use vetrina_protocol::server::ServerMessage;

/// Frames that are remembered: far more than are on their way at a time.
const SLOTS: usize = 4_096;
/// Longer frames are read anew for everybody.
const REMEMBERED_BYTES_MAX: usize = 256 * 1024;

/// The mark that a comment of ours carries in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Counts comments of this program.
    pub(crate) number: u32,
    /// When it was due to be said, microseconds of this program's clock.
    pub(crate) due_us: u64,
}

/// `~` and two numbers in hexadecimal, then words up to the length that was asked for.
const MARK_BYTES: usize = 1 + 8 + 12 + 1;
const WORDS: &str = "che bella questa borsa, la voglio! ";

impl Mark {
    /// The text of a comment of at least `bytes` bytes.
    pub(crate) fn text(self, bytes: usize) -> String {
        let Self { number, due_us } = self;
        let words = WORDS.chars().cycle();
        let words: String = words.take(bytes.saturating_sub(MARK_BYTES)).collect();
        // No space at the end: a server may trim it.
        format!("~{number:08x}{due_us:012x} {words}.")
    }

    fn of(text: &str) -> Option<Self> {
        let text = text.strip_prefix('~')?;
        Some(Self {
            number: u32::from_str_radix(text.get(..8)?, 16).ok()?,
            due_us: u64::from_str_radix(text.get(8..20)?, 16).ok()?,
        })
    }
}

/// What an event is about, as far as it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Comment,
    Stock,
    Pin,
    Other,
}

/// One event of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) kind: Kind,
    pub(crate) offset: u64,
    /// When it was decided, by the server's clock.
    pub(crate) at_ms: i64,
    /// Of a comment of ours.
    pub(crate) mark: Option<Mark>,
}

/// One stretch of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) events: Vec<Told>,
}

/// A frame that everybody gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shared {
    pub(crate) batches: Vec<Batch>,
    /// Reactions told, when it carried an audience.
    pub(crate) reactions: Option<u64>,
}

/// What a frame is.
pub(crate) enum Said {
    /// For everybody: [`Known::shared`] has it.
    Shared,
    /// For this client.
    Own(Vec<ServerMessage>),
    /// Not the protocol, or of a later version.
    Unreadable,
}

#[derive(Debug, Clone, Default)]
struct Slot {
    bytes: Box<[u8]>,
    shared: Shared,
}

/// The frames of the last moments.
pub(crate) struct Known {
    slots: Vec<Slot>,
    /// Which one was read last; beyond them for one that is not remembered.
    current: usize,
    unremembered: Shared,
}

impl Known {
    pub(crate) fn new() -> Self {
        Self {
            slots: vec![Slot::default(); SLOTS],
            current: 0,
            unremembered: Shared::default(),
        }
    }

    /// Reads one frame.
    pub(crate) fn read(&mut self, payload: &[u8]) -> Said {
        let at = slot_of(payload);
        if !payload.is_empty() && *self.slots[at].bytes == *payload {
            self.current = at;
            return Said::Shared;
        }
        let messages = match Encoding::MessagePack.decode::<ServerMessage>(payload) {
            Ok(messages) => messages,
            Err(_) => return Said::Unreadable,
        };
        let Some(shared) = shared(&messages) else {
            return Said::Own(messages);
        };
        if payload.len() > REMEMBERED_BYTES_MAX {
            self.unremembered = shared;
            self.current = SLOTS;
        } else {
            let bytes = payload.into();
            self.slots[at] = Slot { bytes, shared };
            self.current = at;
        }
        Said::Shared
    }

    /// The frame that was just read.
    pub(crate) fn shared(&self) -> &Shared {
        let slot = self.slots.get(self.current);
        slot.map_or(&self.unremembered, |slot| &slot.shared)
    }
}

/// By its first bytes, which have the position, and its length.
fn slot_of(payload: &[u8]) -> usize {
    const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = payload.len() as u64;
    for eight in payload[..payload.len().min(48)].chunks(8) {
        let mut word = [0; 8];
        word[..eight.len()].copy_from_slice(eight);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(PRIME);
        hash ^= hash >> 29;
    }
    usize::try_from(hash % SLOTS as u64).unwrap_or(0)
}

/// None when a message is for one client alone.
fn shared(messages: &[ServerMessage]) -> Option<Shared> {
    let mut shared = Shared::default();
    for message in messages {
        match message {
            ServerMessage::Events { from, to, events } => shared.batches.push(Batch {
                from: from.0,
                to: to.0,
                events: events
                    .iter()
                    .map(|logged| {
                        let (kind, mark) = kind(&logged.event);
                        Told {
                            kind,
                            offset: logged.offset.0,
                            at_ms: logged.at_ms.0,
                            mark,
                        }
                    })
                    .collect(),
            }),
            ServerMessage::Audience { reactions, .. } => {
                let told: u64 = reactions.iter().map(|one| u64::from(one.count)).sum();
                *shared.reactions.get_or_insert(0) += told;
            }
            _ => return None,
        }
    }
    Some(shared)
}

fn kind(event: &Event) -> (Kind, Option<Mark>) {
    match event {
        Event::Commented { comment } => (Kind::Comment, Mark::of(&comment.text)),
        Event::StockChanged { .. } => (Kind::Stock, None),
        Event::Pinned { .. } => (Kind::Pin, None),
        _ => (Kind::Other, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::payload::comment_frame;

    #[test]
    fn a_mark_survives_its_text() {
        let mark = Mark {
            number: 0xfeed,
            due_us: 123_456_789,
        };
        let text = mark.text(80);
        assert_eq!(text.trim(), text);
        assert!(text.len() >= 80 && text.len() < 84, "{}", text.len());
        assert_eq!(Mark::of(&text), Some(mark));
        assert_eq!(Mark::of("~feed"), None);
        assert_eq!(Mark::of("ciao"), None);
    }

    #[test]
    fn a_frame_is_read_once_and_then_recognised() {
        let mut known = Known::new();
        let mark = |number| Mark {
            number,
            due_us: u64::from(number),
        };
        let frames: Vec<_> = (1..200_u32)
            .map(|n| comment_frame(u64::from(n), mark(n), 60))
            .collect();
        for _ in 0..3 {
            for (n, frame) in (1..200_u32).zip(&frames) {
                assert!(matches!(known.read(frame), Said::Shared));
                let [batch] = &known.shared().batches[..] else {
                    panic!("one batch");
                };
                assert_eq!((batch.from, batch.to), (u64::from(n), u64::from(n)));
                assert_eq!(batch.events[0].mark, Some(mark(n)));
            }
        }
    }

    #[test]
    fn one_wrong_byte_is_not_recognised() {
        let mut known = Known::new();
        let mark = Mark {
            number: 5,
            due_us: 5,
        };
        let frame = comment_frame(9, mark, 60);
        assert!(matches!(known.read(&frame), Said::Shared));
        let at = frame.windows(4).position(|four| four == b"~000").unwrap();
        let mut wrong = frame.clone();
        wrong[at + 8] = b'6';
        assert!(matches!(known.read(&wrong), Said::Shared));
        let read = known.shared().batches[0].events[0].mark;
        assert_eq!(read.map(|mark| mark.number), Some(6));
        assert!(matches!(
            known.read(&frame[..frame.len() - 1]),
            Said::Unreadable
        ));
    }
}
