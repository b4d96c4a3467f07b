//! WebRTC fan-out.
