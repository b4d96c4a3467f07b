//! What one viewer received: counted by the publisher's own numbers, which are inside the payload,
//! and compared with RTP's numbers, which the server writes. Knows neither sockets nor time.

use std::ops::Range;

use super::synthetic::{Stamp, Track};

/// Numbers counted per track. An hour of the largest stream that can be asked for has fewer.
const NUMBERS_MAX: u64 = 1 << 24;

/// Of both tracks.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    video: Received,
    audio: Received,
    keyframe: Option<Keyframe>,
    pub(crate) counts: Counts,
}

/// What must not happen, or seldom.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    /// Packets that had come before.
    pub(crate) duplicated: u64,
    /// Packets after a later one of their track; so is every retransmission.
    pub(crate) reordered: u64,
    /// How often the server's numbers and the publisher's moved apart.
    pub(crate) renumbered: u64,
    /// Payloads that are not what the publisher sent.
    pub(crate) damaged: u64,
}

#[derive(Debug, Default)]
struct Received {
    /// A bit per number.
    seen: Vec<u64>,
    /// The highest RTP sequence number, continued past 16 bits.
    highest: Option<u64>,
    /// RTP's number minus the publisher's.
    distance: Option<i64>,
}

/// A keyframe that is not complete yet, or the first that is.
#[derive(Debug)]
struct Keyframe {
    frame: u32,
    missing: u16,
}

/// What a packet means for a viewer who waits for the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Picture {
    /// Sound, or a picture that is already on.
    AsItWas,
    /// Part of a picture that cannot be decoded without an earlier one.
    NeedsKeyframe,
    /// Part of the first keyframe.
    Begins,
    /// The last missing part of the first keyframe.
    Complete,
}

impl Tally {
    /// Counts a packet that came.
    pub(crate) fn count(&mut self, sequence: u16, payload: &[u8]) -> Picture {
        let Some(stamp) = Stamp::read(payload).filter(|stamp| stamp.number < NUMBERS_MAX) else {
            self.counts.damaged += 1;
            return Picture::AsItWas;
        };
        let received = match stamp.track {
            Track::Video => &mut self.video,
            Track::Audio => &mut self.audio,
        };
        let new = received.count(sequence, stamp.number, &mut self.counts);
        if new && stamp.track == Track::Video {
            self.picture(&stamp)
        } else {
            Picture::AsItWas
        }
    }

    /// How many of these numbers came.
    pub(crate) fn among(&self, track: Track, numbers: &Range<u64>) -> u64 {
        let received = match track {
            Track::Video => &self.video,
            Track::Audio => &self.audio,
        };
        numbers.clone().filter(|n| received.has(*n)).count() as u64
    }

    fn picture(&mut self, stamp: &Stamp) -> Picture {
        match &mut self.keyframe {
            Some(Keyframe { missing: 0, .. }) => Picture::AsItWas,
            Some(keyframe) if stamp.keyframe && keyframe.frame == stamp.frame => {
                keyframe.missing -= 1;
                keyframe.state()
            }
            _ if stamp.keyframe => {
                let keyframe = Keyframe {
                    frame: stamp.frame,
                    missing: stamp.parts - 1,
                };
                let state = keyframe.state();
                self.keyframe = Some(keyframe);
                state
            }
            _ => Picture::NeedsKeyframe,
        }
    }
}

impl Keyframe {
    fn state(&self) -> Picture {
        if self.missing == 0 {
            Picture::Complete
        } else {
            Picture::Begins
        }
    }
}

impl Received {
    /// Whether it is new.
    fn count(&mut self, sequence: u16, number: u64, counts: &mut Counts) -> bool {
        let extended = self.extended(sequence);
        let late = self.highest.is_some_and(|highest| extended < highest);
        self.highest = Some(
            self.highest
                .map_or(extended, |highest| highest.max(extended)),
        );
        if self.has(number) {
            counts.duplicated += 1;
            return false;
        }
        counts.reordered += u64::from(late);
        let distance = extended.cast_signed() - number.cast_signed();
        counts.renumbered += u64::from(self.distance.is_some_and(|was| was != distance));
        self.distance = Some(distance);
        let word = (number / 64) as usize;
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        self.seen[word] |= 1 << (number % 64);
        true
    }

    fn has(&self, number: u64) -> bool {
        let word = self.seen.get((number / 64) as usize);
        word.is_some_and(|word| word >> (number % 64) & 1 != 0)
    }

    /// RTP's number near the highest so far; the first lies far enough from 0 for earlier ones.
    fn extended(&self, sequence: u16) -> u64 {
        let Some(highest) = self.highest else {
            return (1 << 16) + u64::from(sequence);
        };
        let [.., high, low] = highest.to_be_bytes();
        let ahead = sequence
            .wrapping_sub(u16::from_be_bytes([high, low]))
            .cast_signed();
        highest.saturating_add_signed(ahead.into())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::synthetic::{Camera, Microphone};
    use super::*;

    /// Six packets of a keyframe's four and a frame of two... in RTP's order from `first` on.
    fn numbered(first: u16, payloads: Vec<Bytes>) -> Vec<(u16, Bytes)> {
        let numbers = (0_u16..).map(|n| first.wrapping_add(n));
        numbers.zip(payloads).collect()
    }

    fn frames(count: usize) -> Vec<Bytes> {
        let mut camera = Camera::new(100, 1);
        (0..count).flat_map(|n| camera.frame(n == 0)).collect()
    }

    #[test]
    fn what_comes_in_order_is_all_there() {
        let mut tally = Tally::default();
        // RTP's numbers wrap on the way.
        for (sequence, payload) in numbered(65_530, frames(20)) {
            tally.count(sequence, &payload);
        }
        assert_eq!(tally.among(Track::Video, &(0..23)), 23);
        assert_eq!(tally.among(Track::Audio, &(0..23)), 0);
        let Counts {
            duplicated,
            reordered,
            renumbered,
            damaged,
        } = tally.counts;
        assert_eq!((duplicated, reordered, renumbered, damaged), (0, 0, 0, 0));
    }

    #[test]
    fn loss_repetition_and_disorder_are_told_apart() {
        let mut tally = Tally::default();
        let mut packets = numbered(65_534, frames(10));
        packets.remove(6);
        packets.swap(2, 3);
        packets.push(packets[4].clone());
        for (sequence, payload) in packets {
            tally.count(sequence, &payload);
        }
        assert_eq!(tally.among(Track::Video, &(0..13)), 12);
        assert_eq!(tally.among(Track::Video, &(6..7)), 0);
        let Counts {
            duplicated,
            reordered,
            renumbered,
            damaged,
        } = tally.counts;
        assert_eq!((duplicated, reordered, renumbered, damaged), (1, 1, 0, 0));
    }

    #[test]
    fn a_gap_that_the_server_hides_is_seen() {
        let mut tally = Tally::default();
        let mut payloads = frames(10);
        payloads.remove(7);
        for (sequence, payload) in numbered(9, payloads) {
            tally.count(sequence, &payload);
        }
        tally.count(50, b"what is this");
        assert_eq!(tally.counts.renumbered, 1);
        assert_eq!(tally.counts.damaged, 1);
    }

    #[test]
    fn the_picture_begins_with_a_whole_keyframe() {
        let mut tally = Tally::default();
        let mut camera = Camera::new(100, 1);
        let before = camera.frame(false);
        assert_eq!(tally.count(0, &before[0]), Picture::NeedsKeyframe);
        assert_eq!(
            tally.count(0, &Microphone::default().frame()),
            Picture::AsItWas
        );
        let keyframe = camera.frame(true);
        assert_eq!(tally.count(2, &keyframe[1]), Picture::Begins);
        assert_eq!(tally.count(2, &keyframe[1]), Picture::AsItWas, "again");
        assert_eq!(tally.count(1, &keyframe[0]), Picture::Begins);
        assert_eq!(tally.count(3, &keyframe[2]), Picture::Begins);
        assert_eq!(tally.count(4, &keyframe[3]), Picture::Complete);
        assert_eq!(tally.count(5, &camera.frame(false)[0]), Picture::AsItWas);
    }
}
