//! One session's connection: ICE addresses, DTLS, keys. Knows nothing of other peers.

use std::net::SocketAddr;
use std::time::Instant;

use rtc_srtp::context::Context;

use super::dtls::{Association, Identity};
use super::port::Route;
use super::srtp::{Opener, Sealer};
use super::subscriber::Subscriber;
use crate::api::{BroadcastId, SessionId, SessionKind};
use crate::limits;
use crate::sdp::{Credentials, Offer};

/// Keys in use, once DTLS is done.
pub(crate) struct Secure {
    pub(crate) opener: Opener,
    pub(crate) sealer: Sealer,
    control: Context,
}

impl Secure {
    pub(crate) fn new(
        identity: &Identity,
        keys: &rtc_srtp::config::SessionKeys,
        profile: rtc_srtp::protection_profile::ProtectionProfile,
    ) -> Option<Self> {
        let crypto = identity.crypto.crypto();
        let (key, salt) = (&keys.local_master_key, &keys.local_master_salt);
        Some(Self {
            opener: Opener::new(identity.crypto.clone(), profile, keys)?,
            sealer: Sealer::new(crypto, profile, keys)?,
            control: Context::new(key, salt, profile, None, None, crypto).ok()?,
        })
    }

    pub(crate) fn seal_control(&mut self, compound: &[u8]) -> Option<bytes::BytesMut> {
        self.control.encrypt_rtcp(compound).ok()
    }
}

/// A session.
pub(crate) struct Peer {
    pub(crate) session: SessionId,
    pub(crate) broadcast: BroadcastId,
    pub(crate) offer: Box<Offer>,
    pub(crate) credentials: Credentials,
    /// The client's ICE user fragment, which tells trickling from a restart.
    pub(crate) remote_ufrag: String,
    /// Addresses with a valid check, newest last.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Where to send.
    pub(crate) chosen: Option<Route>,
    pub(crate) association: Association,
    pub(crate) secure: Option<Secure>,
    /// `None` for a publisher.
    pub(crate) subscriber: Option<Subscriber>,
    pub(crate) opened: Instant,
    pub(crate) consent: Instant,
}

impl Peer {
    pub(crate) fn kind(&self) -> SessionKind {
        self.offer.kind
    }

    /// Notes a valid check. Gives back the address that had to make room, if any.
    pub(crate) fn checked(
        &mut self,
        route: Route,
        nominated: bool,
        now: Instant,
    ) -> Option<SocketAddr> {
        self.consent = now;
        if nominated || self.chosen.is_none() {
            self.chosen = Some(route);
        }
        if self.addresses.contains(&route.remote) {
            return None;
        }
        let sending = self.chosen.map(|chosen| chosen.remote);
        let full = self.addresses.len() >= limits::ADDRESSES_PER_SESSION;
        let idle = self
            .addresses
            .iter()
            .position(|address| Some(*address) != sending);
        let evicted = idle.filter(|_| full).map(|at| self.addresses.remove(at));
        self.addresses.push(route.remote);
        evicted
    }

    /// Why the session is over, if it is.
    pub(crate) fn expired(&self, now: Instant) -> Option<&'static str> {
        if self.secure.is_none() && now.duration_since(self.opened) >= limits::CONNECT {
            return Some("it was not connected in time");
        }
        let silent = now.duration_since(self.consent) >= limits::CONSENT;
        silent.then_some("the client no longer consents (no ICE checks)")
    }

    /// Where and with which keys to send, once connected.
    pub(crate) fn outlet(&mut self) -> Option<(&mut Secure, &mut Subscriber, Route)> {
        Some((
            self.secure.as_mut()?,
            self.subscriber.as_mut()?,
            self.chosen?,
        ))
    }
}
