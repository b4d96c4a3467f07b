//! Datagrams: told apart by their first byte (RFC 7983), led to their peer by ICE user fragment or
//! by an address that ICE has proven. Whatever has neither is dropped.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Shard;
use super::room::Active;
use crate::api::{MediaTime, SessionKind};
use crate::forward::Now;
use crate::forward::broadcast::Lips;
use crate::forward::ingest::Ingest;
use crate::forward::packet::MediaPacket;
use crate::forward::rtcp;
use crate::limits;
use crate::net::dtls::Outcome;
use crate::net::peer::Secure;
use crate::net::port::Route;
use crate::net::stun::Request;
use crate::sdp::MediaKind;

impl Shard {
    /// Reads what the socket has, up to a bound; tells whether there may be more.
    pub(super) fn read_socket(&mut self) -> bool {
        // Lent out for the turn, since every datagram needs the whole thread's state.
        let mut batch = std::mem::take(&mut self.batch);
        let mut more = true;
        for _ in 0..limits::BATCHES_PER_TURN {
            match self.port.receive(&mut batch) {
                Ok(()) => {
                    for (datagram, route) in batch.datagrams() {
                        self.receive_guarded(datagram, route);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    more = false;
                    break;
                }
                // A port that became unreachable is reported here; it concerns one peer only.
                Err(_) => {}
            }
        }
        self.batch = batch;
        self.fan_out();
        more
    }

    /// A bug that one peer's bytes can trigger, here or in a library, must not end all broadcasts.
    fn receive_guarded(&mut self, datagram: &[u8], route: Route) {
        let now = self.clock.now();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.receive(datagram, route, now)));
        match outcome {
            Ok(Some(())) => {}
            Ok(None) => self.totals.datagrams_rejected += 1,
            Err(_) => {
                tracing::error!("a datagram made the media engine panic; its session is closed");
                self.totals.datagrams_rejected += 1;
                if let Some(key) = self.by_address.remove(&route.remote) {
                    self.fail(key, "its datagram made the engine panic", now);
                }
            }
        }
    }

    /// `None` if the datagram was dropped unread.
    fn receive(&mut self, datagram: &[u8], route: Route, now: Now) -> Option<()> {
        match *datagram.first()? {
            0..=3 => self.receive_check(datagram, route, now),
            20..=63 => self.receive_dtls(datagram, route, now),
            128..=191 => {
                let key = *self.by_address.get(&route.remote)?;
                // RFC 5761: RTCP packet types lie where no payload type with a marker does.
                if (192..=223).contains(datagram.get(1)?) {
                    self.receive_control(datagram, key, now)
                } else {
                    self.receive_media(datagram, key, now)
                }
            }
            _ => None,
        }
    }

    fn receive_check(&mut self, datagram: &[u8], route: Route, now: Now) -> Option<()> {
        let mut request = Request::read(datagram)?;
        let key = *self.by_ufrag.get(request.local_ufrag())?;
        let peer = &mut self.peers[key];
        let crypto = self.identity.crypto.crypto();
        if !request.is_authentic(&peer.credentials, crypto) {
            return None;
        }
        let answer = request.answer(route.remote, &peer.credentials, crypto)?;
        let evicted = peer.checked(route, request.nominates(), now.instant);
        self.outbox.push(&answer, route);
        if let Some(evicted) = evicted
            && self.by_address.get(&evicted) == Some(&key)
        {
            self.by_address.remove(&evicted);
        }
        let before = self
            .by_address
            .insert(route.remote, key)
            .filter(|before| *before != key);
        if let Some(other) = before.and_then(|before| self.peers.get_mut(before)) {
            other.addresses.retain(|address| *address != route.remote);
        }
        Some(())
    }

    fn receive_dtls(&mut self, datagram: &[u8], route: Route, now: Now) -> Option<()> {
        let key = *self.by_address.get(&route.remote)?;
        let peer = &mut self.peers[key];
        let identity = &self.identity;
        let expected = &peer.offer.fingerprint;
        let outcome = peer
            .association
            .receive(datagram, identity, expected, now.instant);
        while let Some(answer) = peer.association.poll() {
            self.outbox.push(&answer, route);
        }
        match outcome {
            Outcome::Pending => {}
            Outcome::Closed => self.remove(key, now),
            Outcome::Failed(why) => self.fail(key, why, now),
            Outcome::Keys(keys) => match Secure::new(identity, &keys.0, keys.1) {
                Some(secure) => {
                    peer.secure = Some(secure);
                    self.connected(key, now);
                }
                None => self.fail(key, "the SRTP keys are of no use", now),
            },
        }
        Some(())
    }

    fn connected(&mut self, key: usize, now: Now) {
        self.totals.sessions_connected += 1;
        let peer = &self.peers[key];
        let Some(room) = self.rooms.get_mut(&peer.broadcast) else {
            return;
        };
        if peer.kind() == SessionKind::Subscriber {
            room.connected += 1;
            room.publish_status(now.instant);
            self.steer(key, now);
        }
    }

    /// Media is only taken from publishers; what a subscriber sends is dropped unopened.
    fn receive_media(&mut self, datagram: &[u8], key: usize, now: Now) -> Option<()> {
        let peer = self.peers.get_mut(key)?;
        if peer.kind() != SessionKind::Publisher {
            return None;
        }
        let packet = peer.secure.as_mut()?.opener.open_media(datagram)?;
        let (broadcast, session) = (peer.broadcast, peer.session);
        let room = self.rooms.get_mut(&broadcast)?;
        if room.active.as_ref().is_none_or(|active| active.peer != key) {
            self.take_over(key, now);
        }
        let room = self.rooms.get_mut(&broadcast)?;
        let active = room
            .active
            .as_mut()
            .filter(|active| active.session == session)?;
        let silent = now.instant.duration_since(active.newest) >= limits::SILENCE;
        active.newest = now.instant;
        let accepted = active.ingest.receive(&packet, &mut room.timelines, now);
        if let Some((source, packet)) = accepted {
            let kind = if packet.codec.is_video() {
                MediaKind::Video
            } else {
                MediaKind::Audio
            };
            if kind == MediaKind::Video {
                self.note_frame(broadcast, &packet, now);
            }
            let room = self.rooms.get_mut(&broadcast)?;
            room.fresh.push((source, kind, packet));
        }
        if silent {
            self.rooms.get(&broadcast)?.publish_status(now.instant);
        }
        Some(())
    }

    /// The first media of a publisher: from now on it is the one, and the one before is closed.
    fn take_over(&mut self, key: usize, now: Now) {
        let peer = &self.peers[key];
        let Some(room) = self.rooms.get_mut(&peer.broadcast) else {
            return;
        };
        let before = room.active.as_ref().map(|active| active.peer);
        room.drop_publisher(now.instant);
        room.pending.retain(|(pending, _)| *pending != key);
        room.had_media = true;
        room.active = Some(Active {
            peer: key,
            session: peer.session,
            ingest: Ingest::new(peer.offer.sections.clone(), now.instant),
            lips: Lips::default(),
            newest: now.instant,
        });
        room.publish_status(now.instant);
        if let Some(before) = before {
            self.remove(before, now);
        }
    }

    fn note_frame(&mut self, broadcast: crate::api::BroadcastId, packet: &MediaPacket, now: Now) {
        let Some(room) = self.rooms.get_mut(&broadcast) else {
            return;
        };
        if let Some(newest) = room.timelines.of(MediaKind::Video).newest() {
            room.record.set_newest_frame(MediaTime(newest));
        }
        if room.first_frame.is_none() {
            room.first_frame = Some(MediaTime(packet.ticks));
            room.publish_status(now.instant);
        }
    }

    fn receive_control(&mut self, datagram: &[u8], key: usize, now: Now) -> Option<()> {
        let peer = self.peers.get_mut(key)?;
        let compound = peer.secure.as_mut()?.opener.open_control(datagram)?;
        match peer.kind() {
            SessionKind::Subscriber => self.hear_subscriber(&compound, key, now),
            SessionKind::Publisher => {
                let room = self.rooms.get_mut(&peer.broadcast)?;
                let active = room.active.as_mut().filter(|active| active.peer == key)?;
                rtcp::read(&compound, |statement| {
                    if let Some(ntp) = active.ingest.hear(statement, now) {
                        active.lips.note(ntp, now);
                    }
                });
            }
        }
        Some(())
    }
}
