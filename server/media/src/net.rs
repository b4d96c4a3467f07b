//! The edge: the socket, its thread, and the mailbox through which the rest of the process talks to
//! it. Knows nothing of HTTP; decides nothing about media, that is `forward`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use tokio::sync::oneshot;

use crate::api::{
    Answer, BroadcastId, BroadcastRecord, Directory, MediaConfig, MediaError, Patched, Refused,
    SessionId,
};
use crate::limits;
use crate::sdp::{Fragment, Offer};

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
    _directory: Arc<Directory>,
) -> Result<(Mailbox, SocketAddr), MediaError> {
    let socket = mio::net::UdpSocket::bind(config.udp_bind).map_err(|source| MediaError::Bind {
        address: config.udp_bind,
        source,
    })?;
    let local = socket.local_addr().map_err(MediaError::Thread)?;
    let poll = mio::Poll::new().map_err(MediaError::Thread)?;
    let waker = mio::Waker::new(poll.registry(), mio::Token(0)).map_err(MediaError::Thread)?;
    let (commands, _inbox) = sync_channel(limits::MAILBOX);
    Ok((Mailbox { commands, waker }, local))
}
