//! A broadcast inside the media thread: who publishes, who watches, what state others see.

use std::sync::Arc;
use std::time::Instant;

use crate::api::{
    BroadcastRecord, BroadcastStats, BroadcastStatus, MediaStats, MediaTime, Phase, SessionId,
    Traffic,
};
use crate::forward::broadcast::{Lips, SourceId, Timelines};
use crate::forward::ingest::{Ingest, Received};
use crate::forward::layers::LayerView;
use crate::forward::packet::MediaPacket;
use crate::limits;
use crate::sdp::MediaKind;

/// The publisher whose media flows.
pub(super) struct Active {
    pub(super) peer: usize,
    pub(super) session: SessionId,
    pub(super) ingest: Ingest,
    pub(super) lips: Lips,
    /// Arrival of its newest packet.
    pub(super) newest: Instant,
}

/// One broadcast.
pub(super) struct Room {
    pub(super) record: Arc<BroadcastRecord>,
    pub(super) timelines: Timelines,
    pub(super) active: Option<Active>,
    /// Publishers that were accepted but whose media does not flow yet.
    pub(super) pending: Vec<(usize, SessionId)>,
    pub(super) subscribers: Vec<usize>,
    /// Packets that came in this turn, to be sent to one viewer after the other.
    pub(super) fresh: Vec<(SourceId, MediaKind, Arc<MediaPacket>)>,
    /// When the last publisher left or the room was made.
    pub(super) empty_since: Instant,
    pub(super) had_media: bool,
    pub(super) first_frame: Option<MediaTime>,
    pub(super) connected: u32,
    pub(super) sent: Traffic,
    pub(super) figures: Figures,
}

/// Counters of a room, beyond what its present publisher counts itself.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) past: Received,
    pub(super) past_lost: u64,
    pub(super) plis_received: u64,
    pub(super) nacks_received: u64,
    pub(super) retransmitted: u64,
    pub(super) bitrate_out_bps: u64,
    pub(super) lost_ratio: f64,
    pub(super) round_trip_ms: Option<f64>,
    pub(super) backlog: u64,
    pub(super) measured_bytes: u64,
}

impl Room {
    pub(super) fn new(record: Arc<BroadcastRecord>, now: Instant) -> Self {
        Self {
            record,
            timelines: Timelines::new(),
            active: None,
            pending: Vec::new(),
            subscribers: Vec::new(),
            fresh: Vec::new(),
            empty_since: now,
            had_media: false,
            first_frame: None,
            connected: 0,
            sent: Traffic::default(),
            figures: Figures::default(),
        }
    }

    /// Whether a new subscriber has something to wait for.
    pub(super) fn is_live(&self, now: Instant) -> bool {
        let recent = now.duration_since(self.empty_since) < limits::PUBLISHER_ABSENT;
        self.active.is_some() || !self.pending.is_empty() || (self.had_media && recent)
    }

    /// Lets go of the present publisher, keeping its counts.
    pub(super) fn drop_publisher(&mut self, now: Instant) {
        if let Some(active) = self.active.take() {
            let (past, last) = (&mut self.figures.past, active.ingest.received());
            past.packets += last.packets;
            past.bytes += last.bytes;
            past.frames += last.frames;
            past.plis_sent += last.plis_sent;
            past.nacks_sent += last.nacks_sent;
            self.figures.past_lost += active.ingest.lost();
            self.empty_since = now;
        }
    }

    /// The layers of the present publisher.
    pub(super) fn layers(&self, now: Instant) -> Vec<LayerView> {
        self.active
            .as_ref()
            .map(|active| active.ingest.layers(now))
            .unwrap_or_default()
    }

    /// Tells followers where the broadcast stands.
    pub(super) fn publish_status(&self, now: Instant) {
        let flows = self
            .active
            .as_ref()
            .is_some_and(|active| now.duration_since(active.newest) < limits::SILENCE);
        let phase = match (flows, self.had_media, self.pending.is_empty()) {
            (true, ..) => Phase::Live,
            (false, true, _) => Phase::Interrupted,
            (false, false, false) => Phase::Connecting,
            (false, false, true) => Phase::Idle,
        };
        let pending = self.pending.last().map(|(_, session)| *session);
        self.record.set_status(BroadcastStatus {
            phase,
            publisher: self
                .active
                .as_ref()
                .map(|active| active.session)
                .or(pending),
            first_frame: self.first_frame,
            subscribers: self.connected,
        });
    }

    /// What came from all publishers so far.
    pub(super) fn received(&self) -> Received {
        let now = self
            .active
            .as_ref()
            .map(|active| active.ingest.received())
            .unwrap_or_default();
        let past = self.figures.past;
        Received {
            packets: past.packets + now.packets,
            bytes: past.bytes + now.bytes,
            frames: past.frames + now.frames,
            plis_sent: past.plis_sent + now.plis_sent,
            nacks_sent: past.nacks_sent + now.nacks_sent,
        }
    }

    /// Adds this broadcast to the figures of the engine.
    pub(super) fn add_to(&self, totals: &mut MediaStats) {
        let stats = self.stats();
        totals.packets_in += stats.packets_in;
        totals.bytes_in += stats.bytes_in;
        totals.lost_in += stats.lost_in;
        totals.packets_out += stats.packets_out;
        totals.bytes_out += stats.bytes_out;
        totals.plis_sent += stats.plis_sent;
        totals.nacks_sent += stats.nacks_sent;
        totals.nacks_received += stats.nacks_received;
        totals.retransmitted += stats.retransmitted;
    }

    pub(super) fn stats(&self) -> BroadcastStats {
        let received = self.received();
        let ingest = self.active.as_ref().map(|active| &active.ingest);
        let round_trip = ingest.and_then(Ingest::round_trip);
        BroadcastStats {
            packets_in: received.packets,
            bytes_in: received.bytes,
            packets_out: self.sent.packets,
            bytes_out: self.sent.bytes,
            lost_in: self.figures.past_lost + ingest.map_or(0, Ingest::lost),
            lost_in_ratio: ingest.map_or(0.0, Ingest::lost_ratio),
            lost_out_ratio: self.figures.lost_ratio,
            publisher_rtt_ms: round_trip.map(|trip| trip.as_secs_f64() * 1_000.0),
            subscribers_rtt_ms: self.figures.round_trip_ms,
            bitrate_in_bps: ingest.map_or(0, Ingest::bitrate_bps),
            bitrate_out_bps: self.figures.bitrate_out_bps,
            frames_per_second: ingest.map_or(0, Ingest::frames_per_second),
            plis_sent: received.plis_sent,
            plis_received: self.figures.plis_received,
            nacks_sent: received.nacks_sent,
            nacks_received: self.figures.nacks_received,
            retransmitted: self.figures.retransmitted,
            subscribers: self.connected,
            forward_queue: self.figures.backlog,
        }
    }
}
