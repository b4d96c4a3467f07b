//! WebRTC fan-out: one publisher by WHIP, many subscribers by WHEP, nothing transcoded.
//!
//! The server sees [`Media`] and the plain types beside it. It hands over an SDP offer and gets an
//! answer, a [`SessionId`] for the `Location` header and an entity tag; it watches a
//! [`BroadcastStatus`] per broadcast and stamps pins with [`Media::newest_frame`]. This crate knows
//! nothing of HTTP, tokens, shows or buyers, and no type of the WebRTC libraries leaves it.
//!
//! # Media time
//!
//! A broadcast has one 64-bit timeline that ticks at 90 kHz, see [`MediaTime`]. It begins at the
//! wall clock of the first frame (so that it also grows across restarts of the server), goes on
//! across publisher reconnects by the time that passed, never runs backwards, and is the same for
//! every simulcast layer. **The RTP timestamp of a video packet is, for every subscriber, exactly
//! the low 32 bits of the frame's media time.** A browser that reports `rtpTimestamp` in
//! `requestVideoFrameCallback` therefore compares it directly with a pin's media time modulo 2^32:
//! `((frame - pin) | 0) >= 0` means that the frame, or a later one, is on screen.
//!
//! # Shape
//!
//! `forward` decides and is pure: `(now, packet) -> decision`, no socket, no clock, no randomness.
//! `net` owns the socket and its thread: demultiplexing, DTLS, SRTP, consent. `sdp` reads offers
//! and writes answers. `api` is what the server calls. Bounds live in `limits`.

mod api;
mod forward;
mod limits;
mod net;
mod sdp;

pub use api::{
    Answer, BroadcastId, BroadcastStats, BroadcastStatus, Media, MediaConfig, MediaError,
    MediaStats, MediaTime, Patched, Phase, Refused, SessionId, SessionInfo, SessionKind,
};
