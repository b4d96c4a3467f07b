//! All the server sees of the media engine: configuration, sessions, refusals, status, figures.
//!
//! Every call validates on the caller's task and then asks the media thread, which owns all peers,
//! through a bounded mailbox. Reading (status, stats, newest frame) never waits for that thread.

mod directory;
mod ids;
mod refused;
mod stats;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::{oneshot, watch};

pub(crate) use directory::{BroadcastRecord, Directory};
pub use ids::{BroadcastId, MediaTime, SessionId};
pub use refused::{MediaError, Refused};
pub(crate) use stats::Traffic;
pub use stats::{BroadcastStats, BroadcastStatus, MediaStats, Phase};

use crate::limits;
use crate::net::{Command, Mailbox};
use crate::sdp::{Fragment, Offer};

/// How to start the engine.
#[derive(Debug, Clone)]
pub struct MediaConfig {
    /// Where the one UDP socket listens. Port 0 takes any free port, see [`Media::local_addr`].
    pub udp_bind: SocketAddr,
    /// The addresses written into every answer as candidates, in order of preference. Empty means:
    /// the bound address, or for an unspecified one loopback and the address of the default route.
    pub public_ips: Vec<IpAddr>,
    /// Most sessions of both kinds at a time; one more is refused as overloaded.
    pub sessions_max: usize,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            udp_bind: SocketAddr::from(([0, 0, 0, 0], 0)),
            public_ips: Vec::new(),
            sessions_max: limits::SESSIONS_MAX_DEFAULT,
        }
    }
}

/// What a WHIP or WHEP POST is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The SDP answer, complete with all candidates.
    pub sdp: String,
    /// Names the session in its URL; unguessable (128 random bits).
    pub session: SessionId,
    /// The strong entity tag of the ICE session, quotes included.
    pub etag: String,
}

/// What a PATCH of a session did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Patched {
    /// Candidates were read and need no answer (an ICE-lite server learns addresses from checks):
    /// 204 without a body or an entity tag.
    Accepted,
    /// ICE restarted: 200 with this `application/trickle-ice-sdpfrag` body and the new entity tag.
    Restarted {
        /// The server's new credentials and candidates.
        fragment: String,
        /// Replaces the session's entity tag.
        etag: String,
    },
}

/// Which side of a broadcast a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionKind {
    /// Sends media into the broadcast (WHIP).
    Publisher,
    /// Receives the broadcast (WHEP).
    Subscriber,
}

/// Whose session it is, for ownership checks before a PATCH or DELETE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// The broadcast it belongs to.
    pub broadcast: BroadcastId,
    /// Publisher or subscriber.
    pub kind: SessionKind,
    /// The current entity tag, quotes included.
    pub etag: String,
}

/// A running media engine. Clones share it; it stops at [`Media::shutdown`] or with the last clone.
#[derive(Debug, Clone)]
pub struct Media {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    mailbox: Mailbox,
    directory: Arc<Directory>,
    local_addr: SocketAddr,
}

impl Media {
    /// Binds the UDP socket and starts the media thread.
    ///
    /// # Errors
    /// The socket could not be bound, or the process has no entropy or cannot start a thread.
    pub fn start(config: MediaConfig) -> Result<Self, MediaError> {
        let directory = Arc::new(Directory::new(config.sessions_max));
        let (mailbox, local_addr) = crate::net::start(config, directory.clone())?;
        Ok(Self {
            inner: Arc::new(Inner {
                mailbox,
                directory,
                local_addr,
            }),
        })
    }

    /// The address the UDP socket is bound to, with its actual port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.local_addr
    }

    /// Accepts a publisher. A second publisher of the same broadcast takes over once its media
    /// flows; the first is then closed, and subscribers keep their connection.
    ///
    /// # Errors
    /// The offer is malformed or unsupported, or the engine is full or stopped.
    pub async fn publish(&self, broadcast: BroadcastId, offer: &str) -> Result<Answer, Refused> {
        let offer = Offer::read(offer, SessionKind::Publisher)?;
        let record = self.inner.directory.broadcast(broadcast)?;
        self.ask(|reply| Command::Open {
            record,
            offer: Box::new(offer),
            reply,
        })
        .await?
    }

    /// Accepts a subscriber of a broadcast that has a publisher, or had one moments ago.
    ///
    /// # Errors
    /// Nobody publishes ([`Refused::NotLive`]), the offer is malformed or unsupported, or the
    /// engine is full or stopped.
    pub async fn subscribe(&self, broadcast: BroadcastId, offer: &str) -> Result<Answer, Refused> {
        let offer = Offer::read(offer, SessionKind::Subscriber)?;
        let record = self
            .inner
            .directory
            .find(broadcast)
            .ok_or(Refused::NotLive)?;
        self.ask(|reply| Command::Open {
            record,
            offer: Box::new(offer),
            reply,
        })
        .await?
    }

    /// Applies a trickle-ICE fragment: candidates, or new credentials which restart ICE.
    ///
    /// # Errors
    /// No such session; `If-Match` is missing or stale; the fragment is malformed or asks for what
    /// the session cannot do. The session goes on unchanged.
    pub async fn patch(
        &self,
        session: SessionId,
        fragment: &str,
        if_match: Option<&str>,
    ) -> Result<Patched, Refused> {
        let info = self.session(session).ok_or(Refused::UnknownSession)?;
        let if_match = if_match.ok_or(Refused::PreconditionRequired)?.trim();
        let any = matches!(if_match, "*" | "\"*\"");
        if !any && if_match != info.etag {
            return Err(Refused::StaleTag);
        }
        let fragment = Fragment::read(fragment)?;
        self.ask(|reply| Command::Patch {
            session,
            fragment,
            reply,
        })
        .await?
    }

    /// Ends a session: DTLS close to the peer, then nothing of it is left.
    ///
    /// # Errors
    /// No such session (for example closed before).
    pub async fn close(&self, session: SessionId) -> Result<(), Refused> {
        self.session(session).ok_or(Refused::UnknownSession)?;
        self.ask(|reply| Command::Close { session, reply }).await?
    }

    /// Ends a broadcast: closes its publisher and all its subscribers and forgets its timeline.
    ///
    /// # Errors
    /// The engine is overloaded or stopped. An unknown broadcast is no error.
    pub async fn end(&self, broadcast: BroadcastId) -> Result<(), Refused> {
        self.ask(|reply| Command::End { broadcast, reply }).await
    }

    /// Who a session belongs to; `None` if it does not exist (any more).
    #[must_use]
    pub fn session(&self, session: SessionId) -> Option<SessionInfo> {
        self.inner.directory.session(session)
    }

    /// Follows the state of a broadcast: whether a publisher is there and sends, how many watch.
    /// Only the latest state counts, so a slow reader misses nothing that matters. The broadcast
    /// need not have begun.
    ///
    /// # Errors
    /// Too many broadcasts are known already.
    pub fn watch(
        &self,
        broadcast: BroadcastId,
    ) -> Result<watch::Receiver<BroadcastStatus>, Refused> {
        Ok(self
            .inner
            .directory
            .broadcast(broadcast)?
            .status
            .subscribe())
    }

    /// The media time of the newest video frame that reached the server; `None` before the first.
    #[must_use]
    pub fn newest_frame(&self, broadcast: BroadcastId) -> Option<MediaTime> {
        self.inner.directory.find(broadcast)?.newest_frame()
    }

    /// Figures of one broadcast, at most a second old; `None` if it never began.
    #[must_use]
    pub fn broadcast_stats(&self, broadcast: BroadcastId) -> Option<BroadcastStats> {
        Some(self.inner.directory.find(broadcast)?.stats())
    }

    /// Figures of the whole engine, at most a second old.
    #[must_use]
    pub fn stats(&self) -> MediaStats {
        self.inner.directory.stats()
    }

    /// Closes every session with a DTLS close, revokes consent and stops the thread. Later calls
    /// are refused as [`Refused::Stopped`].
    pub async fn shutdown(&self) {
        let (reply, done) = oneshot::channel();
        if self.inner.mailbox.post(Command::Shutdown { reply }).is_ok() {
            let _ = done.await;
        }
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        self.inner.mailbox.post(command(reply))?;
        answer.await.map_err(|_| Refused::Stopped)
    }
}
