//! The sending side of a subscriber: numbers from `forward`, sealed into the outbox.

use std::time::Instant;

use super::outbox::Outbox;
use super::port::Route;
use super::srtp::Sealer;
use crate::api::Traffic;
use crate::forward::broadcast::SourceId;
use crate::forward::downtrack::Downtrack;
use crate::forward::packet::{HEADER_BYTES, MediaPacket, write_header};
use crate::limits;
use crate::sdp::{Codec, MediaKind, Offer, OfferedCodec, SendTrack};

/// Both tracks of a subscriber and what is known of its connection.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) outs: Vec<Out>,
    pub(crate) lost_ratio: f64,
    pub(crate) round_trip: Option<std::time::Duration>,
    allowance: Allowance,
}

impl Subscriber {
    /// Picks sources and first numbers at random, low enough for SRTP's rollover counter.
    pub(crate) fn new(offer: &Offer, now: Instant) -> Self {
        // Sources must differ: a nonce is a source and a number.
        let mut sources = (rand::random::<u32>() & !0xf)..;
        let mut next_source = || sources.next().unwrap_or_default();
        let outs = offer.sections.iter().map(|section| {
            let repairs = section.codecs.iter().any(|codec| codec.rtx.is_some());
            Out {
                kind: section.kind,
                track: Downtrack::new(first_number()),
                source: next_source(),
                repair: repairs.then(|| (next_source(), first_number())),
                offered: section.codecs.iter().map(Choice::from).collect(),
                chosen: None,
                sent: Traffic::default(),
                sealed: Vec::new(),
            }
        });
        Self {
            outs: outs.collect(),
            lost_ratio: 0.0,
            round_trip: None,
            allowance: Allowance::new(now),
        }
    }

    pub(crate) fn tracks(&self) -> Vec<SendTrack> {
        let track = |out: &Out| SendTrack {
            kind: out.kind,
            source: out.source,
            repair: out.repair.map(|(source, _)| source),
        };
        self.outs.iter().map(track).collect()
    }

    pub(crate) fn out_mut(&mut self, kind: MediaKind) -> Option<&mut Out> {
        self.outs.iter_mut().find(|out| out.kind == kind)
    }

    pub(crate) fn may_resend(&mut self, now: Instant) -> bool {
        self.allowance.take(now)
    }
}

fn first_number() -> u64 {
    1 + u64::from(rand::random::<u16>() % 4_096)
}

/// Retransmissions a subscriber may cause, as a bucket of tokens.
#[derive(Debug)]
struct Allowance {
    tokens: f64,
    filled: Instant,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self {
            tokens: f64::from(limits::RETRANSMIT_BURST),
            filled: now,
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.filled).as_secs_f64()
            * f64::from(limits::RETRANSMIT_PER_SECOND);
        self.tokens = (self.tokens + earned).min(f64::from(limits::RETRANSMIT_BURST));
        self.filled = now;
        let granted = self.tokens >= 1.0;
        if granted {
            self.tokens -= 1.0;
        }
        granted
    }
}

/// Where a subscriber's packets go and with which keys.
pub(crate) struct Path<'a> {
    pub(crate) sealer: &'a mut Sealer,
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) to: Route,
}

/// A negotiated codec, without the texts of its offer: there are thousands of subscribers.
#[derive(Debug, Clone, Copy)]
struct Choice {
    codec: Codec,
    payload_type: u8,
    repair_type: Option<u8>,
}

impl From<&OfferedCodec> for Choice {
    fn from(offered: &OfferedCodec) -> Self {
        Self {
            codec: offered.codec,
            payload_type: offered.payload_type,
            repair_type: offered.rtx,
        }
    }
}

/// One track on its way to one subscriber.
#[derive(Debug)]
pub(crate) struct Out {
    pub(crate) kind: MediaKind,
    pub(crate) track: Downtrack,
    pub(crate) source: u32,
    /// Source and next number of retransmissions.
    repair: Option<(u32, u64)>,
    offered: Vec<Choice>,
    /// The last codec sent and the place of its best match in `offered`.
    chosen: Option<(Codec, Option<usize>)>,
    pub(crate) sent: Traffic,
    /// Ciphertext by number, for subscribers without RTX: sealing one number again with anything
    /// else would give the keystream away. Empty until needed.
    sealed: Vec<(u64, Vec<u8>)>,
}

impl Out {
    /// Forwards a packet that just arrived; gives the bytes sent, 0 if it does not go out now.
    pub(crate) fn forward(
        &mut self,
        source: SourceId,
        packet: &MediaPacket,
        path: &mut Path<'_>,
    ) -> usize {
        if self.kind == MediaKind::Audio && self.track.source() != Some(source) {
            self.track.begin_live(source, packet.sequence);
        }
        if self.payload_types(packet.codec).is_none() {
            return 0;
        }
        match self.track.forward(source, packet) {
            Some(out) => self.send(packet, out, path),
            None => 0,
        }
    }

    /// Whether the subscriber can decode a codec at all.
    pub(crate) fn takes(&mut self, codec: Codec) -> bool {
        self.payload_types(codec).is_some()
    }

    /// Sends a packet under its number for the first and only time.
    pub(crate) fn send(&mut self, packet: &MediaPacket, out: u64, path: &mut Path<'_>) -> usize {
        let Some((payload_type, repair_type)) = self.payload_types(packet.codec) else {
            return 0;
        };
        let source = self.source;
        let sealer = &mut *path.sealer;
        let bytes = path.outbox.write(path.to, |buffer, start| {
            write_header(buffer, packet, payload_type, out, source);
            buffer.extend_from_slice(&packet.payload);
            sealer.seal(buffer, start, source, out).is_ok()
        });
        if bytes > 0 {
            self.sent.count(packet.payload.len());
            if self.repair.is_none() || repair_type.is_none() {
                self.keep_sealed(out, path.outbox.last(bytes));
            }
        }
        bytes
    }

    /// Sends a packet again, as RFC 4588 or as the ciphertext it was; gives the bytes sent.
    pub(crate) fn resend(
        &mut self,
        packet: Option<&MediaPacket>,
        out: u64,
        path: &mut Path<'_>,
    ) -> usize {
        let types = packet.and_then(|packet| self.payload_types(packet.codec));
        let (Some(packet), Some((_, Some(repair_type))), Some((source, number))) =
            (packet, types, self.repair)
        else {
            return self.resend_sealed(out, path);
        };
        self.repair = Some((source, number + 1));
        let sealer = &mut *path.sealer;
        path.outbox.write(path.to, |buffer, start| {
            write_header(buffer, packet, repair_type, number, source);
            buffer.extend_from_slice(&(out as u16).to_be_bytes());
            buffer.extend_from_slice(&packet.payload);
            sealer.seal(buffer, start, source, number).is_ok()
        })
    }

    fn resend_sealed(&self, out: u64, path: &mut Path<'_>) -> usize {
        let kept = self.sealed.get(out as usize % limits::SEALED_RING);
        match kept.filter(|(number, _)| *number == out) {
            Some((_, bytes)) if bytes.len() > HEADER_BYTES => {
                path.outbox.push(bytes, path.to);
                bytes.len()
            }
            _ => 0,
        }
    }

    fn keep_sealed(&mut self, out: u64, bytes: &[u8]) {
        if self.sealed.is_empty() {
            self.sealed = vec![(0, Vec::new()); limits::SEALED_RING];
        }
        let (number, kept) = &mut self.sealed[out as usize % limits::SEALED_RING];
        *number = out;
        kept.clear();
        kept.extend_from_slice(bytes);
    }

    /// The payload types of a codec and of its retransmissions for this subscriber.
    fn payload_types(&mut self, codec: Codec) -> Option<(u8, Option<u8>)> {
        let place = match self.chosen {
            Some((chosen, place)) if chosen == codec => place,
            _ => {
                let fits = self.offered.iter().enumerate().rev();
                let best = fits.max_by_key(|(_, offered)| offered.codec.suits(codec));
                let place = best
                    .filter(|(_, o)| o.codec.suits(codec) > 0)
                    .map(|(place, _)| place);
                self.chosen = Some((codec, place));
                place
            }
        };
        let offered = &self.offered[place?];
        Some((offered.payload_type, offered.repair_type))
    }
}
