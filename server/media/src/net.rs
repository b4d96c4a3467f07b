//! The edge: the socket, its thread, and the mailbox through which the rest of the process talks to
//! it. Knows nothing of HTTP; decides nothing about media, that is `forward`.

mod dtls;
mod outbox;
mod peer;
mod port;
mod shard;
mod srtp;
mod stun;
mod subscriber;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use tokio::sync::oneshot;

use crate::api::{
    Answer, BroadcastId, BroadcastRecord, Directory, MediaConfig, MediaError, Patched, Refused,
    SessionId,
};
use crate::limits;
use crate::sdp::{Fragment, Offer};
use dtls::Identity;
use port::Port;
use shard::Shard;

/// What may be asked of the media thread.
#[derive(Debug)]
pub(crate) enum Command {
    /// A publisher or subscriber wants in.
    Open {
        record: Arc<BroadcastRecord>,
        offer: Box<Offer>,
        reply: oneshot::Sender<Result<Answer, Refused>>,
    },
    /// Candidates or an ICE restart.
    Patch {
        session: SessionId,
        fragment: Fragment,
        reply: oneshot::Sender<Result<Patched, Refused>>,
    },
    /// End one session.
    Close {
        session: SessionId,
        reply: oneshot::Sender<Result<(), Refused>>,
    },
    /// End a broadcast with all its sessions.
    End {
        broadcast: BroadcastId,
        reply: oneshot::Sender<()>,
    },
    /// End everything.
    Shutdown { reply: oneshot::Sender<()> },
}

/// The way into the media thread: bounded, never blocks.
#[derive(Debug)]
pub(crate) struct Mailbox {
    commands: SyncSender<Command>,
    waker: mio::Waker,
}

impl Mailbox {
    pub(crate) fn post(&self, command: Command) -> Result<(), Refused> {
        self.commands
            .try_send(command)
            .map_err(|error| match error {
                TrySendError::Full(_) => Refused::Overloaded,
                TrySendError::Disconnected(_) => Refused::Stopped,
            })?;
        self.waker.wake().map_err(|_| Refused::Stopped)
    }
}

/// Opens the socket and starts its thread.
pub(crate) fn start(
    config: MediaConfig,
    directory: Arc<Directory>,
) -> Result<(Mailbox, SocketAddr), MediaError> {
    let port = Port::bind(config.udp_bind).map_err(|source| MediaError::Bind {
        address: config.udp_bind,
        source,
    })?;
    let local = port.local_addr().map_err(MediaError::Thread)?;
    let identity = Identity::generate()?;
    let poll = mio::Poll::new().map_err(MediaError::Thread)?;
    let waker = mio::Waker::new(poll.registry(), shard::MAIL).map_err(MediaError::Thread)?;
    let (commands, inbox) = sync_channel(limits::MAILBOX);
    let candidates = candidates(config.public_ips, local);
    let mut shard = Shard::new(poll, port, inbox, directory, identity, candidates)
        .map_err(MediaError::Thread)?;
    std::thread::Builder::new()
        .name("media".to_owned())
        .spawn(move || shard.run())
        .map_err(MediaError::Thread)?;
    Ok((Mailbox { commands, waker }, local))
}

/// The addresses for the answers: as configured, or what a machine on its own can be reached by.
fn candidates(configured: Vec<IpAddr>, local: SocketAddr) -> Vec<SocketAddr> {
    let ips = match local.ip() {
        _ if !configured.is_empty() => configured,
        ip if !ip.is_unspecified() => vec![ip],
        _ => default_route()
            .into_iter()
            .chain([IpAddr::from([127, 0, 0, 1])])
            .collect(),
    };
    ips.into_iter()
        .map(|ip| SocketAddr::new(ip, local.port()))
        .collect()
}

/// The address this machine uses towards the world. Connecting a UDP socket sends nothing.
fn default_route() -> Option<IpAddr> {
    let probe = std::net::UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    probe.connect(("192.0.2.1", 9)).ok()?;
    let ip = probe.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}
