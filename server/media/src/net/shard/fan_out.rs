//! From one to many: the packets of this turn to every subscriber, one subscriber after the other;
//! and what subscribers ask for.

use super::Shard;
use super::room::Room;
use crate::forward::Now;
use crate::forward::layers::{LayerView, choose};
use crate::forward::receive::round_trip;
use crate::forward::rtcp::{self, Statement};
use crate::forward::{broadcast::SourceId, clock};
use crate::limits;
use crate::net::peer::Peer;
use crate::net::subscriber::Path;
use crate::sdp::MediaKind;
use slab::Slab;

impl Shard {
    /// Sends what came in this turn.
    pub(super) fn fan_out(&mut self) {
        for room in self
            .rooms
            .values_mut()
            .filter(|room| !room.fresh.is_empty())
        {
            for key in &room.subscribers {
                let Some(peer) = self.peers.get_mut(*key) else {
                    continue;
                };
                let Some((secure, subscriber, to)) = peer.outlet() else {
                    continue;
                };
                let mut path = Path {
                    sealer: &mut secure.sealer,
                    outbox: &mut self.outbox,
                    to,
                };
                for (source, kind, packet) in &room.fresh {
                    let Some(out) = subscriber.out_mut(*kind) else {
                        continue;
                    };
                    let bytes = out.forward(*source, packet, &mut path);
                    if bytes > 0 {
                        room.sent.count(bytes);
                    }
                }
                if self.outbox.is_large() {
                    self.outbox.flush(&self.port);
                }
            }
            room.fresh.clear();
        }
    }

    /// Leads a subscriber's video towards the layer it should have: asks for it, goes over to it
    /// when it is ready, and takes the next steps of catching up.
    pub(super) fn steer(&mut self, key: usize, now: Now) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let broadcast = peer.broadcast;
        if let Some(room) = self.rooms.get_mut(&broadcast) {
            let layers = room.layers(now.instant);
            let mut lane = Lane {
                peers: &mut self.peers,
                outbox: &mut self.outbox,
            };
            lane.steer(room, key, &layers, now);
        }
    }

    /// The same for every subscriber.
    pub(super) fn steer_all(&mut self, now: Now) {
        for room in self.rooms.values_mut() {
            room.figures.backlog = 0;
            let layers = room.layers(now.instant);
            for at in 0..room.subscribers.len() {
                let key = room.subscribers[at];
                let mut lane = Lane {
                    peers: &mut self.peers,
                    outbox: &mut self.outbox,
                };
                lane.steer(room, key, &layers, now);
                if self.outbox.is_large() {
                    self.outbox.flush(&self.port);
                }
            }
        }
    }

    pub(super) fn hear_subscriber(&mut self, compound: &[u8], key: usize, now: Now) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let Some(room) = self.rooms.get_mut(&peer.broadcast) else {
            return;
        };
        let mut lane = Lane {
            peers: &mut self.peers,
            outbox: &mut self.outbox,
        };
        rtcp::read(compound, |statement| match statement {
            Statement::Nack { source, pairs } => lane.resend(room, key, source, pairs, now),
            Statement::PictureLoss { .. } | Statement::FullIntra { .. } => {
                room.figures.plis_received += 1;
                lane.want_keyframe(room, key);
            }
            Statement::Reception(reception) => {
                if let Some(subscriber) = lane.peers[key].subscriber.as_mut() {
                    let video = subscriber.out_mut(MediaKind::Video).map(|out| out.source);
                    if video.is_none_or(|source| source == reception.source) {
                        subscriber.lost_ratio = f64::from(reception.fraction_lost) / 256.0;
                    }
                    let ntp = clock::ntp(now.unix);
                    let trip = round_trip(ntp, reception.last_report, reception.delay);
                    subscriber.round_trip = trip.or(subscriber.round_trip);
                }
            }
            Statement::SenderReport { .. } | Statement::ReferenceAnswer { .. } => {}
        });
    }
}

/// The parts of the thread's state that work on one subscriber needs besides its room.
struct Lane<'a> {
    peers: &'a mut Slab<Peer>,
    outbox: &'a mut crate::net::outbox::Outbox,
}

impl Lane<'_> {
    fn steer(&mut self, room: &mut Room, key: usize, layers: &[LayerView], now: Now) {
        let Some(active) = &mut room.active else {
            return;
        };
        let Some((secure, subscriber, to)) = self.peers.get_mut(key).and_then(Peer::outlet) else {
            return;
        };
        let Some(out) = subscriber.out_mut(MediaKind::Video) else {
            return;
        };
        if let Some(layer) = choose(layers, out.track.source()) {
            out.track.want(layer, now.instant);
        }
        if let Some(awaited) = out.track.awaited()
            && let Some(source) = active.ingest.source_mut(awaited)
        {
            let plays = source
                .ring
                .keyframe()
                .is_none_or(|keyframe| out.takes(keyframe.codec));
            if plays
                && !out.track.try_switch(&source.ring, now.instant)
                && out.track.may_ask(now.instant)
            {
                source.pli.want();
            }
        }
        if !out.track.is_catching_up() {
            return;
        }
        let Some(source) = out.track.source().and_then(|id| active.ingest.source(id)) else {
            return;
        };
        let mut path = Path {
            sealer: &mut secure.sealer,
            outbox: &mut *self.outbox,
            to,
        };
        let mut sent = Vec::with_capacity(limits::CATCH_UP_PER_TICK);
        out.track
            .catch_up(&source.ring, limits::CATCH_UP_PER_TICK, |packet, number| {
                sent.push((packet.sequence, number));
            });
        for (sequence, number) in sent {
            if let Some(packet) = source.ring.get(sequence) {
                room.sent.count(out.send(packet, number, &mut path));
            }
        }
        room.figures.backlog += out.track.backlog(&source.ring);
    }

    /// Answers a NACK from the ring, as far as the subscriber's allowance goes.
    fn resend(&mut self, room: &mut Room, key: usize, source: u32, pairs: &[u8], now: Now) {
        let Some((secure, subscriber, to)) = self.peers.get_mut(key).and_then(Peer::outlet) else {
            return;
        };
        let mut path = Path {
            sealer: &mut secure.sealer,
            outbox: &mut *self.outbox,
            to,
        };
        for number in rtcp::nacked(pairs) {
            room.figures.nacks_received += 1;
            if !subscriber.may_resend(now.instant) {
                continue;
            }
            let Some(out) = subscriber.outs.iter_mut().find(|out| out.source == source) else {
                return;
            };
            let Some((of, sequence, number)) = out.track.locate(number) else {
                continue;
            };
            let packet = find(room, of, sequence);
            let bytes = out.resend(packet.as_deref(), number, &mut path);
            if bytes > 0 {
                room.figures.retransmitted += 1;
                room.sent.count(bytes);
            }
        }
    }

    fn want_keyframe(&mut self, room: &mut Room, key: usize) {
        let subscriber = self
            .peers
            .get_mut(key)
            .and_then(|peer| peer.subscriber.as_mut());
        let out = subscriber.and_then(|subscriber| subscriber.out_mut(MediaKind::Video));
        let source = out.and_then(|out| out.track.source());
        let active = room.active.as_mut();
        if let (Some(source), Some(active)) = (source, active)
            && let Some(source) = active.ingest.source_mut(source)
        {
            source.pli.want();
        }
    }
}

fn find(
    room: &Room,
    source: SourceId,
    sequence: u64,
) -> Option<std::sync::Arc<crate::forward::packet::MediaPacket>> {
    room.active
        .as_ref()?
        .ingest
        .source(source)?
        .ring
        .get(sequence)
        .cloned()
}
