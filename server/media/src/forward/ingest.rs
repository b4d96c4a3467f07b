//! A publisher's media, from decrypted packets to packets that can be shared: which source is which
//! track or layer, retransmissions put back in place, gaps noted, times mapped. And what the
//! publisher should hear about it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Now;
use super::broadcast::{SourceId, Timelines};
use super::clock::SourceClock;
use super::keyframe::shows_keyframe;
use super::layers::LayerView;
use super::loss::RecentLoss;
use super::missing::MissingList;
use super::packet::{MediaPacket, RtpHeader};
use super::pli::PliGate;
use super::receive::{Receiver, round_trip};
use super::ring::{Inserted, Ring};
use super::rtcp::{Compound, Statement};
use super::sequence::{Sequences, near};
use super::twcc::Arrivals;
use crate::limits;
use crate::sdp::{MediaKind, OfferedCodec, Section};

/// The synchronization source in the name of which feedback is sent.
const FEEDBACK_SENDER: u32 = 1;
/// Before anything is measured.
const ROUND_TRIP_DEFAULT: Duration = Duration::from_millis(100);

/// Counters of what came from a publisher. They only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) frames: u64,
    pub(crate) plis_sent: u64,
    pub(crate) nacks_sent: u64,
}

/// One audio track or one layer of the video track.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) id: SourceId,
    pub(crate) kind: MediaKind,
    pub(crate) ring: Ring,
    pub(crate) pli: PliGate,
    pub(crate) clock: SourceClock,
    ssrc: u32,
    rid: Option<String>,
    sequences: Sequences,
    missing: MissingList,
    receiver: Receiver,
    begun: Instant,
    newest: Instant,
    /// Without retransmissions: browsers fill spare bandwidth with those of the lowest layer.
    bytes: u64,
    frames: u64,
    bitrate_bps: u64,
    frames_per_second: u32,
    measured: (u64, u64),
}

#[derive(Debug, Clone, Copy)]
enum Role {
    Media(usize),
    Repair(usize),
    Ignored,
}

/// The media of one publisher session.
#[derive(Debug)]
pub(crate) struct Ingest {
    sections: Vec<Section>,
    streams: Vec<(u32, Role)>,
    sources: Vec<Source>,
    arrivals: Option<Arrivals>,
    begun: Instant,
    reported: Instant,
    round_trip: Option<Duration>,
    received: Received,
    bitrate_bps: u64,
    measured: u64,
    recent_loss: RecentLoss,
}

impl Ingest {
    pub(crate) fn new(sections: Vec<Section>, now: Instant) -> Self {
        let transport_wide = sections.iter().any(|s| s.extensions.transport_cc.is_some());
        Self {
            sections,
            streams: Vec::new(),
            sources: Vec::new(),
            arrivals: transport_wide.then(|| Arrivals::new(now)),
            begun: now,
            reported: now,
            round_trip: None,
            received: Received::default(),
            bitrate_bps: 0,
            measured: 0,
            recent_loss: RecentLoss::default(),
        }
    }

    pub(crate) fn received(&self) -> Received {
        self.received
    }

    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    pub(crate) fn lost(&self) -> u64 {
        self.sources
            .iter()
            .map(|source| source.missing.lost())
            .sum()
    }

    /// Share of the packets lost lately, 0.0 to 1.0.
    pub(crate) fn lost_ratio(&self) -> f64 {
        self.recent_loss.ratio()
    }

    pub(crate) fn bitrate_bps(&self) -> u64 {
        self.bitrate_bps
    }

    pub(crate) fn frames_per_second(&self) -> u32 {
        self.sources
            .iter()
            .map(|source| source.frames_per_second)
            .max()
            .unwrap_or(0)
    }

    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }

    pub(crate) fn source(&self, id: SourceId) -> Option<&Source> {
        self.sources.iter().find(|source| source.id == id)
    }

    pub(crate) fn source_mut(&mut self, id: SourceId) -> Option<&mut Source> {
        self.sources.iter_mut().find(|source| source.id == id)
    }

    /// The video layers, for the choice of one.
    pub(crate) fn layers(&self, now: Instant) -> Vec<LayerView> {
        let video = self
            .sources
            .iter()
            .filter(|source| source.kind == MediaKind::Video);
        video
            .map(|source| LayerView {
                source: source.id,
                bitrate_bps: source.bitrate_bps,
                silent_for: now.saturating_duration_since(source.newest),
                aligned: source.clock.is_aligned(),
            })
            .collect()
    }

    /// Takes a decrypted packet; gives back what should be forwarded, if anything.
    pub(crate) fn receive(
        &mut self,
        packet: &Bytes,
        timelines: &mut Timelines,
        now: Now,
    ) -> Option<(SourceId, Arc<MediaPacket>)> {
        let header = RtpHeader::read(packet)?;
        self.received.packets += 1;
        self.received.bytes += packet.len() as u64;
        self.note_arrival(&header, packet, now.instant);
        let role = self.role_of(&header, packet, timelines, now.instant)?;
        let (index, sequence, payload) = match role {
            Role::Ignored => return None,
            Role::Media(index) => {
                let source = &mut self.sources[index];
                let sequence = source.sequences.extend(header.sequence);
                source.arrived(sequence, &header, packet.len(), now.instant);
                (index, sequence, header.payload.clone())
            }
            Role::Repair(index) => {
                let range = header.payload.clone();
                // RFC 4588: the original sequence number, then the original payload. Without
                // either it is padding that probes the bandwidth.
                let original = packet
                    .get(range.start..range.start + 2)
                    .filter(|_| range.len() > 2)?;
                let number = u16::from_be_bytes([original[0], original[1]]);
                let source = &mut self.sources[index];
                let sequence = near(source.sequences.highest()?, number);
                source.missing.arrived(sequence, now.instant);
                (index, sequence, range.start + 2..range.end)
            }
        };
        let kind = self.sources[index].kind;
        let (offered, _) = self.section(kind)?.codec_of(header.payload_type)?;
        let codec = offered.codec;
        let ticks = self.ticks(index, header.timestamp, timelines, now)?;
        let source = &mut self.sources[index];
        let keyframe = shows_keyframe(codec, &packet[payload.clone()]);
        let payload = packet.slice(payload);
        let shared = Arc::new(MediaPacket {
            sequence,
            ticks,
            marker: header.marker,
            codec,
            keyframe,
            payload,
        });
        if source.ring.insert(shared.clone()) == Inserted::Stale {
            return None;
        }
        if keyframe {
            source.pli.satisfied();
        }
        Some((source.id, shared))
    }

    /// Takes the publisher's own reports. Gives back the NTP time of a sender report.
    pub(crate) fn hear(&mut self, statement: Statement<'_>, now: Now) -> Option<u64> {
        match statement {
            Statement::SenderReport { source, ntp, rtp } => {
                let source = self.sources.iter_mut().find(|known| known.ssrc == source)?;
                source.receiver.reported(ntp, now.instant);
                source.clock.note_report(ntp, rtp);
                Some(ntp)
            }
            Statement::ReferenceAnswer { last, delay } => {
                let trip = round_trip(super::clock::ntp(now.unix), last, delay);
                self.round_trip = trip.or(self.round_trip);
                None
            }
            _ => None,
        }
    }

    /// What the publisher should be told now, if anything.
    pub(crate) fn feedback(&mut self, now: Now) -> Option<Compound> {
        let report = now.instant.duration_since(self.reported) >= limits::REPORT_INTERVAL;
        let mut receptions = Vec::new();
        if report {
            self.reported = now.instant;
            for source in &mut self.sources {
                receptions.push(source.receiver.reception(now.instant));
            }
        }
        let mut compound = Compound::with_receptions(FEEDBACK_SENDER, &receptions);
        let mut spoken = report;
        if report {
            compound.reference_time(FEEDBACK_SENDER, super::clock::ntp(now.unix));
        }
        let round_trip = self.round_trip.unwrap_or(ROUND_TRIP_DEFAULT);
        for source in &mut self.sources {
            let can = |wants: fn(&OfferedCodec) -> bool| {
                let section = self.sections.iter().find(|s| s.kind == source.kind);
                section.is_some_and(|section| section.codecs.iter().any(wants))
            };
            let missing = source.missing.due(now.instant, round_trip);
            if !missing.is_empty() && can(|codec| codec.nack) {
                compound.nack(FEEDBACK_SENDER, source.ssrc, &missing);
                self.received.nacks_sent += missing.len() as u64;
                spoken = true;
            }
            if source.kind == MediaKind::Video && source.pli.due(now.instant) {
                compound.picture_loss(FEEDBACK_SENDER, source.ssrc);
                self.received.plis_sent += 1;
                spoken = true;
            }
        }
        if let Some(body) = self
            .arrivals
            .as_mut()
            .and_then(|arrivals| arrivals.due(now.instant))
        {
            let about = self.sources.first().map_or(0, |source| source.ssrc);
            compound.transport_wide(FEEDBACK_SENDER, about, &body);
            spoken = true;
        }
        spoken.then_some(compound)
    }

    /// Turns counts into rates; call it once per second.
    pub(crate) fn measure(&mut self, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64().max(0.001);
        self.bitrate_bps = ((self.received.bytes - self.measured) as f64 * 8.0 / seconds) as u64;
        self.measured = self.received.bytes;
        let lost = self.lost();
        self.recent_loss.measure(self.received.packets, lost);
        for source in &mut self.sources {
            let (bytes, frames) = source.measured;
            source.bitrate_bps = ((source.bytes - bytes) as f64 * 8.0 / seconds) as u64;
            source.frames_per_second = ((source.frames - frames) as f64 / seconds).round() as u32;
            source.measured = (source.bytes, source.frames);
        }
    }

    fn section(&self, kind: MediaKind) -> Option<&Section> {
        self.sections.iter().find(|section| section.kind == kind)
    }

    fn note_arrival(&mut self, header: &RtpHeader, packet: &[u8], now: Instant) {
        let Some(arrivals) = &mut self.arrivals else {
            return;
        };
        let id = self
            .sections
            .iter()
            .find_map(|section| section.extensions.transport_cc);
        if let Some([high, low]) = id.and_then(|id| header.extension(packet, id)) {
            arrivals.note(u16::from_be_bytes([*high, *low]), now);
        }
    }

    /// What a synchronization source is, learned from the offer or from its first packet.
    fn role_of(
        &mut self,
        header: &RtpHeader,
        packet: &[u8],
        timelines: &mut Timelines,
        now: Instant,
    ) -> Option<Role> {
        if let Some((_, role)) = self.streams.iter().find(|(ssrc, _)| *ssrc == header.source) {
            return Some(*role);
        }
        if self.streams.len() >= limits::SOURCES_PER_PUBLISHER {
            return None;
        }
        let role = self.learn(header, packet, timelines, now)?;
        self.streams.push((header.source, role));
        Some(role)
    }

    /// `None` while it cannot be told yet (a retransmission before anything it could repair).
    fn learn(
        &mut self,
        header: &RtpHeader,
        packet: &[u8],
        timelines: &mut Timelines,
        now: Instant,
    ) -> Option<Role> {
        let section = self
            .sections
            .iter()
            .find(|s| s.codec_of(header.payload_type).is_some())?;
        let (codec, is_repair) = section.codec_of(header.payload_type)?;
        let (kind, ids, repairs) = (section.kind, section.extensions, &section.repairs);
        let rate = if codec.codec.is_video() {
            90_000
        } else {
            48_000
        };
        let text = |id: Option<u8>| {
            let value = header.extension(packet, id?)?;
            std::str::from_utf8(value).ok().map(str::to_owned)
        };
        if is_repair {
            let of_pair = repairs.iter().find(|(_, repair)| *repair == header.source);
            let repaired = text(ids.repaired_rid);
            let mut candidates = self.sources.iter().enumerate().filter(|(_, source)| {
                source.kind == kind
                    && of_pair.is_none_or(|(of, _)| *of == source.ssrc)
                    && repaired
                        .as_ref()
                        .is_none_or(|rid| source.rid.as_ref() == Some(rid))
            });
            return candidates.next().map(|(index, _)| Role::Repair(index));
        }
        let tracks = self
            .sources
            .iter()
            .filter(|source| source.kind == kind)
            .count();
        let room = if kind == MediaKind::Video {
            limits::LAYERS
        } else {
            1
        };
        if tracks >= room {
            return Some(Role::Ignored);
        }
        let id = timelines.next_source();
        let rid = text(ids.rid);
        self.sources
            .push(Source::new(id, kind, header, rid, rate, now));
        Some(Role::Media(self.sources.len() - 1))
    }

    fn ticks(
        &mut self,
        index: usize,
        timestamp: u32,
        timelines: &mut Timelines,
        now: Now,
    ) -> Option<u64> {
        let kind = self.sources[index].kind;
        let timeline = timelines.of_mut(kind);
        if !self.sources[index].clock.is_aligned() {
            let mut same = self.sources.iter().filter(|source| source.kind == kind);
            let reference = same
                .find(|source| source.clock.is_aligned())
                .map(|s| s.clock);
            let source = &mut self.sources[index];
            let patience = now.instant.duration_since(source.begun) < limits::ALIGN_WAIT;
            match reference {
                None => source.clock.anchor(timeline, timestamp, now),
                Some(reference) => source.clock.align(&reference, timeline.rate()),
            }
            if !source.clock.is_aligned() && !patience {
                source.clock.assume(timeline, timestamp, now);
            }
        }
        self.sources[index].clock.ticks(timeline, timestamp, now)
    }
}

impl Source {
    fn new(
        id: SourceId,
        kind: MediaKind,
        header: &RtpHeader,
        rid: Option<String>,
        rate: u32,
        now: Instant,
    ) -> Self {
        let capacity = match kind {
            MediaKind::Audio => limits::AUDIO_RING,
            MediaKind::Video => limits::VIDEO_RING,
        };
        let first = (1 << 16) + u64::from(header.sequence);
        Self {
            id,
            kind,
            ring: Ring::new(capacity),
            pli: PliGate::default(),
            clock: SourceClock::default(),
            ssrc: header.source,
            rid,
            sequences: Sequences::default(),
            missing: MissingList::default(),
            receiver: Receiver::new(header.source, rate, first, now),
            begun: now,
            newest: now,
            bytes: 0,
            frames: 0,
            bitrate_bps: 0,
            frames_per_second: 0,
            measured: (0, 0),
        }
    }

    fn arrived(&mut self, sequence: u64, header: &RtpHeader, bytes: usize, now: Instant) {
        self.missing.arrived(sequence, now);
        self.receiver.arrived(sequence, header.timestamp, now);
        self.newest = now;
        self.bytes += bytes as u64;
        self.frames += u64::from(header.marker && self.kind == MediaKind::Video);
    }
}

#[cfg(test)]
#[path = "ingest_tests.rs"]
mod tests;
