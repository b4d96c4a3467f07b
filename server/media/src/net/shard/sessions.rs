//! Sessions come and go: opening, ICE restart, closing, and cleaning up after them.

use std::sync::Arc;

use super::Shard;
use super::room::Room;
use crate::api::{
    Answer, BroadcastId, BroadcastRecord, BroadcastStatus, Patched, Refused, SessionId,
    SessionInfo, SessionKind,
};
use crate::forward::Now;
use crate::limits;
use crate::net::dtls::Association;
use crate::net::peer::Peer;
use crate::net::stun::fresh_credentials;
use crate::net::subscriber::Subscriber;
use crate::sdp::{Credentials, Fragment, Local, Offer, write_answer, write_fragment};

impl Shard {
    pub(super) fn open(
        &mut self,
        record: Arc<BroadcastRecord>,
        mut offer: Box<Offer>,
        now: Now,
    ) -> Result<Answer, Refused> {
        let (broadcast, kind) = (record.id, offer.kind);
        let room = self.rooms.get(&broadcast);
        if kind == SessionKind::Subscriber && !room.is_some_and(|room| room.is_live(now.instant)) {
            return Err(Refused::NotLive);
        }
        if room.is_some_and(|room| room.pending.len() >= limits::PENDING_PUBLISHERS) {
            return Err(Refused::Overloaded);
        }
        let session = SessionId::random();
        let etag = fresh_etag();
        let info = SessionInfo {
            broadcast,
            kind,
            etag: etag.clone(),
        };
        self.directory.add_session(session, info)?;
        let subscriber =
            (kind == SessionKind::Subscriber).then(|| Subscriber::new(&offer, now.instant));
        let credentials = fresh_credentials();
        let tracks = subscriber
            .as_ref()
            .map(Subscriber::tracks)
            .unwrap_or_default();
        let sdp = write_answer(&offer, self.local_side(&credentials), &tracks);
        if subscriber.is_some() {
            // A browser's list of codecs takes more memory than all else of a subscriber.
            offer
                .sections
                .iter_mut()
                .for_each(|section| section.codecs = Vec::new());
        }
        let peer = Peer {
            session,
            broadcast,
            remote_ufrag: offer.ufrag.clone(),
            offer,
            credentials: credentials.clone(),
            addresses: Vec::new(),
            chosen: None,
            association: Association::new(self.local, &self.identity),
            secure: None,
            subscriber,
            opened: now.instant,
            consent: now.instant,
        };
        let key = self.peers.insert(peer);
        self.next_tick = now.instant;
        self.sessions.insert(session, key);
        self.by_ufrag.insert(credentials.ufrag, key);
        let room = self
            .rooms
            .entry(broadcast)
            .or_insert_with(|| Room::new(record, now.instant));
        match kind {
            SessionKind::Publisher => room.pending.push((key, session)),
            SessionKind::Subscriber => room.subscribers.push(key),
        }
        room.publish_status(now.instant);
        tracing::debug!(?session, ?kind, "a media session was opened");
        Ok(Answer { sdp, session, etag })
    }

    pub(super) fn patch(
        &mut self,
        session: SessionId,
        fragment: &Fragment,
    ) -> Result<Patched, Refused> {
        let key = *self.sessions.get(&session).ok_or(Refused::UnknownSession)?;
        let peer = &mut self.peers[key];
        let Some(ufrag) = fragment
            .ufrag
            .as_ref()
            .filter(|ufrag| **ufrag != peer.remote_ufrag)
        else {
            return Ok(Patched::Accepted);
        };
        let sound = (4..=256).contains(&ufrag.len())
            && fragment
                .pwd
                .as_ref()
                .is_some_and(|pwd| (22..=256).contains(&pwd.len()));
        if !sound {
            return Err(Refused::UnsupportedPatch(
                "a restart needs an ice-ufrag of 4 and an ice-pwd of 22 characters or more".into(),
            ));
        }
        // The old credentials stop working at once; media goes on where it goes until the client
        // has chosen anew.
        let credentials = fresh_credentials();
        ufrag.clone_into(&mut peer.remote_ufrag);
        let old = std::mem::replace(&mut peer.credentials, credentials.clone());
        self.by_ufrag.remove(&old.ufrag);
        self.by_ufrag.insert(credentials.ufrag.clone(), key);
        let etag = fresh_etag();
        self.directory.set_etag(session, &etag);
        let fragment = write_fragment(&self.peers[key].offer, self.local_side(&credentials));
        Ok(Patched::Restarted { fragment, etag })
    }

    pub(super) fn close(&mut self, session: SessionId, now: Now) -> Result<(), Refused> {
        let key = *self.sessions.get(&session).ok_or(Refused::UnknownSession)?;
        self.remove(key, now);
        Ok(())
    }

    /// Ends a broadcast and all its sessions.
    pub(super) fn end(&mut self, broadcast: BroadcastId, now: Now) {
        let Some(room) = self.rooms.get(&broadcast) else {
            return;
        };
        let mut peers: Vec<usize> = room.subscribers.clone();
        peers.extend(room.pending.iter().map(|(key, _)| *key));
        peers.extend(room.active.as_ref().map(|active| active.peer));
        for key in peers {
            self.remove(key, now);
        }
        if let Some(room) = self.rooms.remove(&broadcast) {
            room.record.set_status(BroadcastStatus::default());
            room.record.set_stats(room.stats());
            room.add_to(&mut self.totals);
        }
    }

    /// Removes a session that failed or ran out, and says so.
    pub(super) fn fail(&mut self, key: usize, why: &'static str, now: Now) {
        if let Some(peer) = self.peers.get(key) {
            let (session, kind) = (peer.session, peer.kind());
            tracing::info!(?session, ?kind, why, "a media session ended");
            self.totals.sessions_failed += 1;
            self.remove(key, now);
        }
    }

    /// Says goodbye to a peer and forgets it everywhere.
    pub(super) fn remove(&mut self, key: usize, now: Now) {
        let Some(mut peer) = self.peers.try_remove(key) else {
            return;
        };
        peer.association.close(now.instant);
        if let Some(to) = peer.chosen {
            while let Some(datagram) = peer.association.poll() {
                self.outbox.push(&datagram, to);
            }
        }
        self.directory.remove_session(peer.session);
        self.sessions.remove(&peer.session);
        self.by_ufrag.remove(&peer.credentials.ufrag);
        for address in &peer.addresses {
            if self.by_address.get(address) == Some(&key) {
                self.by_address.remove(address);
            }
        }
        if let Some(room) = self.rooms.get_mut(&peer.broadcast) {
            room.subscribers.retain(|subscriber| *subscriber != key);
            room.pending.retain(|(pending, _)| *pending != key);
            if room
                .active
                .as_ref()
                .is_some_and(|active| active.peer == key)
            {
                room.drop_publisher(now.instant);
            }
            if peer.subscriber.is_some() && peer.secure.is_some() {
                room.connected -= 1;
            }
            room.publish_status(now.instant);
        }
    }

    fn local_side<'a>(&'a self, credentials: &'a Credentials) -> Local<'a> {
        Local {
            credentials,
            fingerprint: &self.identity.fingerprint,
            candidates: &self.candidates,
            number: u64::from(rand::random::<u32>()) + 1,
        }
    }
}

/// Strong, quoted, and different for every ICE session.
fn fresh_etag() -> String {
    format!("\"{:016x}\"", rand::random::<u64>())
}
