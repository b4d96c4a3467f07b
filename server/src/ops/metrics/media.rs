//! Figures that the media engine counts itself.

use prometheus::{IntCounter, IntGauge, Opts};
use vetrina_media::MediaStats;

use super::maker::Maker;

/// A figure of the media engine.
type MediaFigure = fn(&MediaStats) -> u64;

pub(super) struct MediaMetrics {
    sessions: Vec<(IntGauge, MediaFigure)>,
    counters: Vec<(IntCounter, MediaFigure)>,
}

impl MediaMetrics {
    /// Takes over what the engine has counted.
    pub(super) fn take(&self, stats: &MediaStats) {
        for (gauge, read) in &self.sessions {
            gauge.set(i64::try_from(read(stats)).unwrap_or(i64::MAX));
        }
        for (counter, read) in &self.counters {
            counter.inc_by(read(stats).saturating_sub(counter.get()));
        }
    }

    /// All zero.
    pub(super) fn new(make: &Maker) -> Self {
        let packets = make.counters(
            "media_packets_total",
            "RTP packets from publishers (in) and to subscribers (out).",
            "direction",
        );
        let bytes = make.counters(
            "media_bytes_total",
            "RTP bytes from publishers (in) and to subscribers (out).",
            "direction",
        );
        let sessions = make.register(prometheus::IntGaugeVec::new(
            Opts::new("vetrina_media_sessions", "WHIP and WHEP sessions."),
            &["kind"],
        ));
        Self {
            sessions: vec![
                (sessions.with_label_values(&["publisher"]), |s| {
                    s.publishers.into()
                }),
                (sessions.with_label_values(&["subscriber"]), |s| {
                    s.subscribers.into()
                }),
            ],
            counters: vec![
                (packets.with_label_values(&["in"]), |s| s.packets_in),
                (packets.with_label_values(&["out"]), |s| s.packets_out),
                (bytes.with_label_values(&["in"]), |s| s.bytes_in),
                (bytes.with_label_values(&["out"]), |s| s.bytes_out),
                (
                    make.counter(
                        "media_lost_packets_total",
                        "Publishers' packets that never arrived, even after retransmission.",
                    ),
                    |s| s.lost_in,
                ),
                (
                    make.counter(
                        "media_rejected_datagrams_total",
                        "Datagrams dropped unread.",
                    ),
                    |s| s.datagrams_rejected,
                ),
                (
                    make.counter(
                        "media_failed_sends_total",
                        "Packets the socket did not take.",
                    ),
                    |s| s.sends_failed,
                ),
                (
                    make.counter("media_keyframe_requests_total", "PLIs sent to publishers."),
                    |s| s.plis_sent,
                ),
                (
                    make.counter("media_retransmitted_packets_total", "Packets sent again."),
                    |s| s.retransmitted,
                ),
                (
                    make.counter("media_failed_sessions_total", "Sessions lost or never up."),
                    |s| s.sessions_failed,
                ),
            ],
        }
    }
}
