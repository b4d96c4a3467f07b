//! Status and figures as plain values. Counting happens elsewhere; this is what readers get.

use super::{MediaTime, SessionId};

/// Where a broadcast stands, as its viewers would say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Phase {
    /// No publisher has been seen, or the broadcast was ended.
    #[default]
    Idle,
    /// A publisher was accepted but no media arrived yet.
    Connecting,
    /// Media flows.
    Live,
    /// Media flowed before, but none came for about two seconds or the publisher is gone.
    Interrupted,
}

/// The state of a broadcast that the server may follow with [`crate::Media::watch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BroadcastStatus {
    /// See [`Phase`].
    pub phase: Phase,
    /// The publisher's session, while there is one.
    pub publisher: Option<SessionId>,
    /// The media time of the first video frame, once there was one.
    pub first_frame: Option<MediaTime>,
    /// Subscribers whose connection is up.
    pub subscribers: u32,
}

/// Packets and bytes of RTP, without IP and UDP headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Traffic {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Traffic {
    pub(crate) fn count(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}

/// Figures of one broadcast. Counters begin with the broadcast and never fall.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BroadcastStats {
    /// RTP packets received from the publisher.
    pub packets_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// RTP packets sent to subscribers, retransmissions included.
    pub packets_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Publisher's packets that never arrived, even after retransmission.
    pub lost_in: u64,
    /// Share of the publisher's packets that were given up as lost during the last five seconds,
    /// 0.0 to 1.0. A loss shows a second late, when the packet is no longer asked for.
    pub lost_in_ratio: f64,
    /// Share of packets the subscribers reported lost lately, 0.0 to 1.0, mean over subscribers.
    pub lost_out_ratio: f64,
    /// Round trip to the publisher in milliseconds, once measured.
    pub publisher_rtt_ms: Option<f64>,
    /// Mean round trip to the subscribers in milliseconds, once measured.
    pub subscribers_rtt_ms: Option<f64>,
    /// What the publisher sent during the last second, in bits per second.
    pub bitrate_in_bps: u64,
    /// What the subscribers were sent during the last second, in bits per second.
    pub bitrate_out_bps: u64,
    /// Video frames received from the publisher during the last second (of the highest layer).
    pub frames_per_second: u32,
    /// Keyframe requests sent to the publisher.
    pub plis_sent: u64,
    /// Keyframe requests received from subscribers.
    pub plis_received: u64,
    /// Packets asked of the publisher again.
    pub nacks_sent: u64,
    /// Packets subscribers asked for again.
    pub nacks_received: u64,
    /// Packets sent to subscribers again.
    pub retransmitted: u64,
    /// Subscribers whose connection is up.
    pub subscribers: u32,
    /// Packets of the retransmit ring still waiting to be sent to catching-up subscribers.
    pub forward_queue: u64,
}

/// Figures of the whole engine. Counters begin with the engine and never fall.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MediaStats {
    /// Publisher sessions now.
    pub publishers: u32,
    /// Subscriber sessions now.
    pub subscribers: u32,
    /// RTP packets received.
    pub packets_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Publishers' packets that never arrived, even after retransmission.
    pub lost_in: u64,
    /// RTP packets sent.
    pub packets_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Datagrams dropped unread: unknown address, failed authentication, nonsense.
    pub datagrams_rejected: u64,
    /// Packets the socket would not take.
    pub sends_failed: u64,
    /// Keyframe requests sent to publishers.
    pub plis_sent: u64,
    /// Packets asked of publishers again.
    pub nacks_sent: u64,
    /// Packets subscribers asked for again.
    pub nacks_received: u64,
    /// Packets sent to subscribers again.
    pub retransmitted: u64,
    /// Packets of the retransmit rings still waiting for catching-up subscribers.
    pub forward_queue: u64,
    /// Sessions that completed ICE and DTLS.
    pub sessions_connected: u64,
    /// Sessions that ended for a reason other than a request: no consent, failed handshake.
    pub sessions_failed: u64,
}
