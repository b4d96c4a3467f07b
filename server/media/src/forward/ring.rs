//! The last packets of one source: for retransmission, for joining at a keyframe, against
//! duplicates. Knows nothing of subscribers.

use std::sync::Arc;

use super::packet::MediaPacket;

/// What happened to a packet that was offered to the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// Not seen before.
    New,
    /// Seen before, or older than the ring reaches: it must not be forwarded.
    Stale,
}

/// Packets by extended sequence number.
#[derive(Debug)]
pub(crate) struct Ring {
    slots: Vec<Option<Arc<MediaPacket>>>,
    newest: Option<u64>,
    /// First packet of the newest known keyframe.
    keyframe: Option<u64>,
}

impl Ring {
    /// `capacity` is a power of two.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            slots: vec![None; capacity],
            newest: None,
            keyframe: None,
        }
    }

    pub(crate) fn newest(&self) -> Option<u64> {
        self.newest
    }

    pub(crate) fn get(&self, sequence: u64) -> Option<&Arc<MediaPacket>> {
        self.slots[self.slot(sequence)]
            .as_ref()
            .filter(|packet| packet.sequence == sequence)
    }

    pub(crate) fn insert(&mut self, packet: Arc<MediaPacket>) -> Inserted {
        let sequence = packet.sequence;
        let newest = *self.newest.get_or_insert(sequence);
        let too_old = newest.saturating_sub(sequence) >= self.slots.len() as u64;
        if too_old || self.get(sequence).is_some() {
            return Inserted::Stale;
        }
        let slot = self.slot(sequence);
        self.newest = Some(newest.max(sequence));
        let (keyframe, ticks) = (packet.keyframe, packet.ticks);
        self.slots[slot] = Some(packet);
        if keyframe {
            self.note_keyframe(sequence, ticks);
        }
        Inserted::New
    }

    /// The first packet of the newest keyframe, if it and all that follows are here.
    pub(crate) fn keyframe(&self) -> Option<&Arc<MediaPacket>> {
        let start = self.keyframe?;
        self.get(start)
    }

    /// Whether nothing is missing from `sequence` to the newest packet.
    pub(crate) fn is_whole_from(&self, sequence: u64) -> bool {
        self.newest.is_some_and(|newest| {
            newest.saturating_sub(sequence) < self.slots.len() as u64
                && (sequence..=newest).all(|at| self.get(at).is_some())
        })
    }

    /// The keyframe begins with the first packet of its frame, which may be one before the packet
    /// that shows it (an access unit delimiter, for example).
    fn note_keyframe(&mut self, sequence: u64, ticks: u64) {
        let mut start = sequence;
        while let Some(before) = start.checked_sub(1).and_then(|at| self.get(at)) {
            if before.ticks != ticks {
                break;
            }
            start -= 1;
        }
        let known = self.keyframe().map_or(0, |known| known.ticks);
        if ticks >= known {
            self.keyframe = Some(start);
        }
    }

    fn slot(&self, sequence: u64) -> usize {
        (sequence as usize) & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::sdp::Codec;

    fn packet(sequence: u64, ticks: u64, keyframe: bool) -> Arc<MediaPacket> {
        let payload = Bytes::new();
        let codec = Codec::Vp8;
        Arc::new(MediaPacket {
            sequence,
            ticks,
            marker: false,
            codec,
            keyframe,
            payload,
        })
    }

    #[test]
    fn duplicates_and_ancients_are_stale() {
        let mut ring = Ring::new(8);
        assert_eq!(ring.insert(packet(100, 0, false)), Inserted::New);
        assert_eq!(ring.insert(packet(100, 0, false)), Inserted::Stale);
        assert_eq!(ring.insert(packet(107, 0, false)), Inserted::New);
        assert_eq!(
            ring.insert(packet(99, 0, false)),
            Inserted::Stale,
            "eight back"
        );
        assert_eq!(ring.insert(packet(101, 0, false)), Inserted::New);
        assert!(ring.get(103).is_none());
    }

    #[test]
    fn a_keyframe_begins_with_the_first_packet_of_its_frame() {
        let mut ring = Ring::new(16);
        for (sequence, ticks, keyframe) in [
            (1, 10, false),
            (2, 20, false),
            (3, 20, true),
            (4, 20, true),
            (5, 30, false),
        ] {
            ring.insert(packet(sequence, ticks, keyframe));
        }
        assert_eq!(ring.keyframe().expect("known").sequence, 2);
        assert!(ring.is_whole_from(2));
        ring.insert(packet(7, 40, false));
        assert!(!ring.is_whole_from(2));
        ring.insert(packet(6, 30, false));
        assert!(ring.is_whole_from(2));
    }

    #[test]
    fn a_late_older_keyframe_does_not_replace_a_newer_one() {
        let mut ring = Ring::new(16);
        ring.insert(packet(5, 50, true));
        ring.insert(packet(2, 20, true));
        assert_eq!(ring.keyframe().expect("known").sequence, 5);
    }

    #[test]
    fn a_keyframe_that_fell_out_is_gone() {
        let mut ring = Ring::new(4);
        ring.insert(packet(1, 10, true));
        for sequence in 2..6 {
            ring.insert(packet(sequence, sequence * 10, false));
        }
        assert!(ring.keyframe().is_none());
        assert!(!ring.is_whole_from(1));
    }

    proptest! {
        #[test]
        fn every_packet_is_new_at_most_once(
            order in prop::collection::vec(1000_u64..1100, 1..400),
        ) {
            let mut ring = Ring::new(64);
            let mut seen = std::collections::BTreeSet::new();
            for sequence in order {
                if ring.insert(packet(sequence, 0, false)) == Inserted::New {
                    prop_assert!(seen.insert(sequence), "{} was forwarded twice", sequence);
                }
            }
        }
    }
}
