//! The timeline of a track and how sources map onto it.
//!
//! A [`Timeline`] lives as long as its broadcast. It begins at the wall clock and, when a new
//! publisher (or a publisher whose clock jumped) comes, goes on by the time that passed. A
//! [`SourceClock`] maps the RTP timestamps of one source onto it; further simulcast layers are
//! aligned with the first by sender reports, so a frame has one time in all layers.

use std::time::Duration;

use super::Now;
use super::sequence::Timestamps;

/// A source that claims to be further from the elapsed time than this gets a new anchor.
const JUMP: Duration = Duration::from_secs(5);
/// Between the last frame of one publisher and the first of the next, at least.
const RESUME_GAP: Duration = Duration::from_millis(40);

/// The clock of a track: 90 kHz for video, 48 kHz for audio.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeline {
    rate: u32,
    newest: Option<(u64, Now)>,
}

impl Timeline {
    pub(crate) fn new(rate: u32) -> Self {
        Self { rate, newest: None }
    }

    pub(crate) fn rate(&self) -> u32 {
        self.rate
    }

    /// Ticks of the newest packet.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.newest.map(|(ticks, _)| ticks)
    }

    /// Where a source that begins now begins.
    fn anchor(&self, now: Now) -> u64 {
        match self.newest {
            None => self.ticks(now.unix),
            Some((ticks, then)) => {
                let elapsed = now.instant.saturating_duration_since(then.instant);
                ticks + self.ticks(elapsed.max(RESUME_GAP))
            }
        }
    }

    /// What a clock that neither drifts nor jumps would show; `None` before the first packet.
    pub(crate) fn expected(&self, now: Now) -> Option<u64> {
        self.newest.map(|(ticks, then)| {
            ticks + self.ticks(now.instant.saturating_duration_since(then.instant))
        })
    }

    fn note(&mut self, ticks: u64, now: Now) {
        if self.newest.is_none_or(|(newest, _)| ticks > newest) {
            self.newest = Some((ticks, now));
        }
    }

    fn ticks(&self, time: Duration) -> u64 {
        let rate = u64::from(self.rate);
        time.as_secs() * rate + u64::from(time.subsec_nanos()) * rate / 1_000_000_000
    }
}

/// A sender report: the same moment on the publisher's NTP clock and on the source's RTP clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    /// NTP time in units of 2^-32 s.
    pub(crate) ntp: u64,
    rtp: i64,
}

/// Maps one source onto the timeline.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SourceClock {
    timestamps: Timestamps,
    /// Added to an extended timestamp to get ticks; `None` until the source is aligned.
    offset: Option<i64>,
    report: Option<Report>,
}

impl SourceClock {
    pub(crate) fn is_aligned(&self) -> bool {
        self.offset.is_some()
    }

    /// Makes this source the one that the timeline follows, beginning with `timestamp` now.
    pub(crate) fn anchor(&mut self, timeline: &Timeline, timestamp: u32, now: Now) {
        let extended = self.timestamps.extend(timestamp);
        self.offset = Some(timeline.anchor(now).cast_signed() - extended);
    }

    /// Places this source by its arrival alone, for publishers that send no sender reports.
    pub(crate) fn assume(&mut self, timeline: &Timeline, timestamp: u32, now: Now) {
        if let Some(expected) = timeline.expected(now) {
            self.offset = Some(expected.cast_signed() - self.timestamps.extend(timestamp));
        }
    }

    /// Aligns this source with another one by the sender reports of both, if both are there.
    pub(crate) fn align(&mut self, other: &Self, rate: u32) {
        if let (Some(mine), Some(theirs), Some(offset)) = (self.report, other.report, other.offset)
        {
            let between = ntp_to_ticks(mine.ntp.wrapping_sub(theirs.ntp).cast_signed(), rate);
            self.offset = Some(theirs.rtp + offset + between - mine.rtp);
        }
    }

    /// Ticks of a packet, noted on the timeline. A source that jumped is anchored anew.
    pub(crate) fn ticks(
        &mut self,
        timeline: &mut Timeline,
        timestamp: u32,
        now: Now,
    ) -> Option<u64> {
        let offset = self.offset?;
        let ticks = u64::try_from(self.timestamps.peek(timestamp) + offset).unwrap_or(0);
        let expected = timeline.expected(now).unwrap_or(ticks);
        if ticks.abs_diff(expected) > timeline.ticks(JUMP) {
            self.timestamps = Timestamps::default();
            self.report = None;
            self.anchor(timeline, timestamp, now);
            let ticks = timeline.anchor(now);
            timeline.note(ticks, now);
            return Some(ticks);
        }
        self.timestamps.extend(timestamp);
        timeline.note(ticks, now);
        Some(ticks)
    }

    pub(crate) fn note_report(&mut self, ntp: u64, rtp: u32) {
        self.report = Some(Report {
            ntp,
            rtp: self.timestamps.extend(rtp),
        });
    }

    /// Ticks at a moment of the publisher's NTP clock, once it has sent a report.
    pub(crate) fn ticks_at(&self, ntp: u64, rate: u32) -> Option<u64> {
        let (report, offset) = (self.report?, self.offset?);
        let since = ntp_to_ticks(ntp.wrapping_sub(report.ntp).cast_signed(), rate);
        u64::try_from(report.rtp + offset + since).ok()
    }
}

/// A difference of NTP times (2^-32 s) in ticks.
fn ntp_to_ticks(difference: i64, rate: u32) -> i64 {
    ((i128::from(difference) * i128::from(rate)) >> 32) as i64
}

/// Unix time as NTP time in units of 2^-32 s (RFC 5905: 70 years and 17 leap days earlier).
pub(crate) fn ntp(unix: Duration) -> u64 {
    let seconds = unix.as_secs().wrapping_add(2_208_988_800);
    (seconds << 32) | ((u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000)
}

#[cfg(test)]
#[path = "clock_tests.rs"]
mod tests;
