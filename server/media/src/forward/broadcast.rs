//! One broadcast: its timelines, which outlive publishers, and the publisher it has now.

use std::time::Duration;

use super::Now;
use super::clock::{Timeline, ntp};
use super::ingest::Ingest;
use crate::limits;
use crate::sdp::MediaKind;

/// A source within its broadcast; never used again after its publisher is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SourceId(pub(crate) u32);

/// The clocks of a broadcast's tracks.
#[derive(Debug)]
pub(crate) struct Timelines {
    audio: Timeline,
    video: Timeline,
    sources: u32,
}

impl Timelines {
    pub(crate) fn new() -> Self {
        Self {
            audio: Timeline::new(48_000),
            video: Timeline::new(90_000),
            sources: 0,
        }
    }

    pub(crate) fn of(&self, kind: MediaKind) -> &Timeline {
        match kind {
            MediaKind::Audio => &self.audio,
            MediaKind::Video => &self.video,
        }
    }

    pub(crate) fn of_mut(&mut self, kind: MediaKind) -> &mut Timeline {
        match kind {
            MediaKind::Audio => &mut self.audio,
            MediaKind::Video => &mut self.video,
        }
    }

    pub(crate) fn next_source(&mut self) -> SourceId {
        self.sources += 1;
        SourceId(self.sources)
    }
}

/// Maps the server's clock onto a publisher's NTP clock, fixed by its first sender report. Audio
/// and video of a publisher share it, and with it the synchrony of lips.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lips {
    /// Publisher's NTP time minus ours.
    ahead: Option<u64>,
}

impl Lips {
    pub(crate) fn note(&mut self, publisher_ntp: u64, now: Now) {
        self.ahead
            .get_or_insert(publisher_ntp.wrapping_sub(ntp(now.unix)));
    }

    /// What a sender report of a track should state now; `None` while that is not known yet.
    pub(crate) fn ticks(
        &self,
        kind: MediaKind,
        ingest: &Ingest,
        timelines: &Timelines,
        now: Now,
    ) -> Option<u64> {
        let timeline = timelines.of(kind);
        let expected = timeline.expected(now)?;
        let reported = self.ahead.and_then(|ahead| {
            let moment = ntp(now.unix).wrapping_add(ahead);
            let mut sources = ingest.sources().iter().filter(|source| source.kind == kind);
            sources.find_map(|source| source.clock.ticks_at(moment, timeline.rate()))
        });
        let plausible = u64::from(timeline.rate()) * LIPS_APART.as_secs();
        match reported {
            Some(ticks) if ticks.abs_diff(expected) < plausible => Some(ticks),
            Some(_) => Some(expected),
            None => {
                let patience = now.instant.duration_since(ingest.begun()) < limits::ALIGN_WAIT;
                (!patience).then_some(expected)
            }
        }
    }
}

/// A publisher whose reports are further from its packets than this has a broken clock.
const LIPS_APART: Duration = Duration::from_secs(5);
