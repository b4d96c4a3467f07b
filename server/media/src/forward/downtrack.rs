//! A track on its way to one subscriber: which packet of which source goes out under which number.
//!
//! Output numbers are unbroken across layers and publishers and never fall, which is also what
//! keeps an SRTP nonce from being used twice: a packet of a source is given out at most once, since
//! the ring accepts it at most once and catching up walks the ring once. Gaps of the source stay
//! gaps, so a late packet finds its place.
//!
//! A viewer is a cursor into the ring: it begins at a keyframe, catches up in small steps and then
//! goes along with the newest packet.

use std::collections::VecDeque;
use std::time::Instant;

use super::broadcast::SourceId;
use super::packet::MediaPacket;
use super::ring::Ring;
use super::sequence::near;
use crate::limits;

/// From `first_in` on, the packets of `source` go out from `first_out` on.
#[derive(Debug, Clone, Copy)]
struct Segment {
    source: SourceId,
    first_in: u64,
    first_out: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing was sent yet, or the source that was followed is gone.
    Waiting,
    /// The next packet of the ring to send.
    CatchingUp {
        next: u64,
    },
    Live,
}

/// The state of one track of one subscriber.
#[derive(Debug)]
pub(crate) struct Downtrack {
    segments: VecDeque<Segment>,
    progress: Progress,
    next_out: u64,
    newest_ticks: u64,
    /// The source to go over to, and since when its keyframe is awaited.
    wanted: Option<(SourceId, Instant)>,
    late: Late,
}

/// Keyframes of the awaited source that came after newer frames were shown already, so that going
/// over would have meant going back.
#[derive(Debug, Clone, Copy, Default)]
struct Late {
    count: u32,
    /// The keyframe seen last; the first was there before anyone asked.
    last: Option<u64>,
    since: Option<Instant>,
}

impl Downtrack {
    /// `first_out` should be low and positive: SRTP's rollover counter begins at zero.
    pub(crate) fn new(first_out: u64) -> Self {
        Self {
            segments: VecDeque::new(),
            progress: Progress::Waiting,
            next_out: first_out,
            newest_ticks: 0,
            wanted: None,
            late: Late::default(),
        }
    }

    /// The source that is sent now.
    pub(crate) fn source(&self) -> Option<SourceId> {
        self.segments.back().map(|segment| segment.source)
    }

    /// The source that waits for its keyframe.
    pub(crate) fn awaited(&self) -> Option<SourceId> {
        self.wanted.map(|(source, _)| source)
    }

    /// Goes over to `source` as soon as it has a keyframe.
    pub(crate) fn want(&mut self, source: SourceId, now: Instant) {
        if self.source() == Some(source) {
            self.wanted = None;
        } else if self.awaited() != Some(source) {
            self.wanted = Some((source, now));
            self.late = Late::default();
        }
    }

    /// Tries to go over to the awaited source, whose ring this is. The keyframe must be young, or
    /// complete and waited for long enough; and never older than what was shown already.
    pub(crate) fn try_switch(&mut self, ring: &Ring, now: Instant) -> bool {
        let Some((source, since)) = self.wanted else {
            return false;
        };
        let Some(keyframe) = ring.keyframe() else {
            return false;
        };
        let newest = ring.newest().and_then(|newest| ring.get(newest));
        let age = newest.map_or(0, |newest| newest.ticks.saturating_sub(keyframe.ticks));
        let patient = now.duration_since(since) < limits::KEYFRAME_WAIT;
        let young = age <= limits::REPLAY_TICKS && ring.is_whole_from(keyframe.sequence);
        let fresh = age == 0;
        let whole = !patient && ring.is_whole_from(keyframe.sequence);
        if keyframe.ticks < self.newest_ticks {
            let before = self.late.last.replace(keyframe.sequence);
            if before.is_some_and(|before| before != keyframe.sequence) {
                self.late.count += 1;
                self.late.since = Some(now);
            }
            return false;
        }
        if !(fresh || young || whole) {
            return false;
        }
        self.begin(source, keyframe.sequence);
        self.progress = Progress::CatchingUp {
            next: keyframe.sequence,
        };
        true
    }

    /// Whether to ask for a keyframe of the awaited source. A layer that lags behind the present
    /// one answers too late again and again; asking then costs everyone, so it is done ever less
    /// often.
    pub(crate) fn may_ask(&self, now: Instant) -> bool {
        let pause = limits::LATE_KEYFRAME_PAUSE * self.late.count.min(12);
        self.late
            .since
            .is_none_or(|since| now.duration_since(since) >= pause)
    }

    /// Begins with the very next packet, as audio does.
    pub(crate) fn begin_live(&mut self, source: SourceId, sequence: u64) {
        self.begin(source, sequence);
        self.progress = Progress::Live;
    }

    fn begin(&mut self, source: SourceId, first_in: u64) {
        self.segments.push_back(Segment {
            source,
            first_in,
            first_out: self.next_out,
        });
        if self.segments.len() > limits::SEGMENTS {
            self.segments.pop_front();
        }
        self.wanted = None;
    }

    /// The number under which a packet that just arrived goes out; `None` if it does not go out
    /// now.
    pub(crate) fn forward(&mut self, source: SourceId, packet: &MediaPacket) -> Option<u64> {
        let segment = *self
            .segments
            .back()
            .filter(|segment| segment.source == source)?;
        match self.progress {
            Progress::Live => {}
            // It lies ahead; catching up will reach it.
            Progress::CatchingUp { next } if packet.sequence >= next => return None,
            Progress::CatchingUp { .. } => {}
            Progress::Waiting => return None,
        }
        self.number(segment, packet)
    }

    /// Sends up to `budget` packets of the ring; afterwards tells whether more are waiting.
    pub(crate) fn catch_up(
        &mut self,
        ring: &Ring,
        budget: usize,
        mut send: impl FnMut(&MediaPacket, u64),
    ) {
        let (Progress::CatchingUp { next }, Some(&segment), Some(newest)) =
            (self.progress, self.segments.back(), ring.newest())
        else {
            return;
        };
        // What fell out of the ring meanwhile is lost to this subscriber.
        let oldest = (newest + 1).saturating_sub(limits::VIDEO_RING as u64);
        let (mut at, mut sent) = (next.max(oldest), 0);
        while at <= newest && sent < budget {
            if let Some(packet) = ring.get(at)
                && let Some(out) = self.number(segment, packet)
            {
                send(packet, out);
                sent += 1;
            }
            at += 1;
        }
        self.progress = if at > newest {
            Progress::Live
        } else {
            Progress::CatchingUp { next: at }
        };
    }

    /// Packets of the ring that are still to be sent.
    pub(crate) fn backlog(&self, ring: &Ring) -> u64 {
        match (self.progress, ring.newest()) {
            (Progress::CatchingUp { next }, Some(newest)) => (newest + 1).saturating_sub(next),
            _ => 0,
        }
    }

    pub(crate) fn is_catching_up(&self) -> bool {
        matches!(self.progress, Progress::CatchingUp { .. })
    }

    /// Which packet of which source went out under a number that the subscriber asks for again.
    pub(crate) fn locate(&self, number: u16) -> Option<(SourceId, u64, u64)> {
        let out = near(self.next_out.checked_sub(1)?, number);
        if out >= self.next_out {
            return None;
        }
        let segment = self
            .segments
            .iter()
            .rev()
            .find(|segment| segment.first_out <= out)?;
        Some((
            segment.source,
            segment.first_in + (out - segment.first_out),
            out,
        ))
    }

    fn number(&mut self, segment: Segment, packet: &MediaPacket) -> Option<u64> {
        let out = segment.first_out + packet.sequence.checked_sub(segment.first_in)?;
        self.next_out = self.next_out.max(out + 1);
        self.newest_ticks = self.newest_ticks.max(packet.ticks);
        Some(out)
    }
}

#[cfg(test)]
#[path = "downtrack_tests.rs"]
mod tests;
