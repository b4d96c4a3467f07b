//! Every bound of the engine, with its reason. Relations between bounds are checked when compiling.

use std::time::Duration;

/// Sessions at a time unless configured otherwise: about 15 KB each, so a gigabyte at most.
pub(crate) const SESSIONS_MAX_DEFAULT: usize = 20_000;
/// Broadcasts known at a time; beyond it, records that nobody uses are forgotten first.
pub(crate) const BROADCASTS_MAX: usize = 10_000;
/// Requests waiting for the media thread. It answers in microseconds; a longer queue is overload.
pub(crate) const MAILBOX: usize = 1_024;
/// Requests taken from the mailbox before packets get their turn again.
pub(crate) const COMMANDS_PER_TURN: usize = 32;
/// Batches read before anything else gets its turn again.
pub(crate) const BATCHES_PER_TURN: usize = 16;
/// Datagrams read in one system call, and room for each: the kernel may join several of one sender.
pub(crate) const RECEIVE_BATCH: usize = 16;
/// See [`RECEIVE_BATCH`].
pub(crate) const RECEIVE_BYTES: usize = 64 << 10;
/// Bytes collected before they are sent: a turn's packets for a few dozen viewers.
pub(crate) const OUTBOX_BYTES: usize = 256 << 10;
/// Bytes of one segmented send; UDP's length field ends a little above.
pub(crate) const SEGMENTED_BYTES: usize = 60_000;
/// Asked of the kernel for each direction: a keyframe to a thousand viewers must not be dropped.
pub(crate) const SOCKET_BUFFER_BYTES: usize = 8 << 20;

/// An SDP offer of Chromium with every codec is about 8 KB.
pub(crate) const OFFER_BYTES: usize = 64 << 10;
/// Lines of an offer; a browser's has about 300.
pub(crate) const OFFER_LINES: usize = 2_000;
/// A trickle-ICE fragment with many candidates is about 4 KB.
pub(crate) const FRAGMENT_BYTES: usize = 16 << 10;
/// Simulcast layers of one publisher; browsers send at most three.
pub(crate) const LAYERS: usize = 3;

/// The timer of the media thread: feedback to publishers, catching up, retransmission requests.
pub(crate) const TICK: Duration = Duration::from_millis(10);
/// The same while there are no sessions.
pub(crate) const IDLE: Duration = Duration::from_millis(500);
/// Sessions are looked at for consent, handshakes and reports this often.
pub(crate) const SLOW_TICK: Duration = Duration::from_millis(50);
/// Figures for readers are refreshed this often.
pub(crate) const STATS_INTERVAL: Duration = Duration::from_secs(1);

/// RFC 7675: without a valid binding request for this long, the peer no longer consents.
pub(crate) const CONSENT: Duration = Duration::from_secs(30);
/// ICE and DTLS must be done this long after the answer.
pub(crate) const CONNECT: Duration = Duration::from_secs(30);
/// Without media for this long, the broadcast counts as interrupted.
pub(crate) const SILENCE: Duration = Duration::from_secs(2);
/// A broadcast whose publisher left takes new subscribers for this long, then it is not live.
pub(crate) const PUBLISHER_ABSENT: Duration = Duration::from_secs(60);

/// A broadcast without any session is forgotten after this long, and with it its timeline.
pub(crate) const ROOM_IDLE: Duration = Duration::from_secs(600);
/// Publishers of one broadcast that are still connecting: a double click, not more.
pub(crate) const PENDING_PUBLISHERS: usize = 4;

/// Addresses from which one session may have valid checks at a time (interfaces, NAT rebinding).
pub(crate) const ADDRESSES_PER_SESSION: usize = 8;
/// DTLS bytes taken from one session in its whole life: a handshake with retransmissions has less
/// than 32 KB; the library queues unauthenticated records without a bound of its own.
pub(crate) const DTLS_BYTES: usize = 96 << 10;
/// Synchronization sources of one publisher: audio, three layers, their retransmissions, spares.
pub(crate) const SOURCES_PER_PUBLISHER: usize = 16;
/// RTCP senders of one session; browsers use one or two.
pub(crate) const RTCP_SOURCES: usize = 8;
/// Packets of unknown sources tried before the state they left behind is thrown away.
pub(crate) const PROBATION_PACKETS: u32 = 64;

/// Video packets kept for retransmission and joining: 2.5 s at 4 Mbit/s. A power of two.
pub(crate) const VIDEO_RING: usize = 1_024;
/// Audio packets kept for retransmission: 2.5 s.
pub(crate) const AUDIO_RING: usize = 128;
/// Sealed packets kept per subscriber and track that did not negotiate retransmission (RTX).
pub(crate) const SEALED_RING: usize = 256;
/// A layer that still has no sender report after this long is placed by its arrival alone.
pub(crate) const ALIGN_WAIT: Duration = Duration::from_secs(3);
/// A joining subscriber gets the picture from the ring if its keyframe is at most this old (in
/// 90 kHz ticks): more would be played too fast. Otherwise a new keyframe is asked for.
pub(crate) const REPLAY_TICKS: u64 = 90_000;
/// How long a joining subscriber waits for a new keyframe before it gets the old one after all.
pub(crate) const KEYFRAME_WAIT: Duration = Duration::from_millis(1_500);
/// Pause before asking again for a keyframe of a layer whose last one came too late; it grows with
/// every further one, up to a minute.
pub(crate) const LATE_KEYFRAME_PAUSE: Duration = Duration::from_secs(5);
/// Packets sent per tick to a subscriber that catches up: 30 Mbit/s, no burst that queues drop.
pub(crate) const CATCH_UP_PER_TICK: usize = 32;
/// Mappings of sequence numbers a subscriber's track remembers, for late retransmission requests.
pub(crate) const SEGMENTS: usize = 4;
/// Retransmissions a subscriber may ask for at once, and per second.
pub(crate) const RETRANSMIT_BURST: u32 = 512;
/// See [`RETRANSMIT_BURST`].
pub(crate) const RETRANSMIT_PER_SECOND: u32 = 512;
/// At most one keyframe request per layer in this time, whatever the subscribers ask.
pub(crate) const PLI_INTERVAL: Duration = Duration::from_secs(1);

/// Missing packets remembered per source of the publisher; more is a gap only a keyframe can mend.
pub(crate) const MISSING: usize = 256;
/// Requests for one missing packet before it counts as lost.
pub(crate) const NACK_TRIES: u8 = 8;
/// A packet missing for longer than this is useless to viewers.
pub(crate) const NACK_AGE: Duration = Duration::from_millis(1_000);
/// Where a browser's bandwidth estimate begins; it falls at once if the uplink has less.
pub(crate) const START_KBPS: u32 = 1_500;
/// How often transport-wide feedback is sent to the publisher.
pub(crate) const TWCC_INTERVAL: Duration = Duration::from_millis(50);
/// Arrivals noted between two transport-wide feedbacks; more is reported early.
pub(crate) const TWCC_ARRIVALS: usize = 512;
/// Sequence numbers one transport-wide feedback may span; a wider gap starts anew.
pub(crate) const TWCC_SPAN: u16 = 2_000;
/// How often reports are sent in both directions.
pub(crate) const REPORT_INTERVAL: Duration = Duration::from_secs(1);

const _: () = assert!(VIDEO_RING.is_power_of_two() && AUDIO_RING.is_power_of_two());
const _: () = assert!(SEALED_RING.is_power_of_two());
const _: () = assert!(TICK.as_millis() < SLOW_TICK.as_millis());
const _: () = assert!(SILENCE.as_millis() < CONSENT.as_millis());
const _: () = assert!(TWCC_INTERVAL.as_millis() >= 2 * TICK.as_millis());
