//! The media thread: owns its socket and its peers, takes turns between mail, datagrams and timers.
//!
//! One shard owns everything today. Several shards, one per core with a socket each, would share a
//! broadcast's packets (they are reference-counted and read-only) and keep their own subscribers.

mod fan_out;
mod receive;
mod room;
mod sessions;
mod timers;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use tokio::sync::oneshot;

use self::room::Room;
use super::Command;
use super::dtls::Identity;
use super::outbox::Outbox;
use super::peer::Peer;
use super::port::{Batch, Port};
use crate::api::{BroadcastId, Directory, MediaStats, SessionId};
use crate::forward::Now;
use crate::limits;

/// Someone put a command into the mailbox.
pub(super) const MAIL: Token = Token(0);
const SOCKET: Token = Token(1);

/// The state of the media thread.
pub(super) struct Shard {
    poll: Poll,
    port: Port,
    batch: Batch,
    local: SocketAddr,
    inbox: Receiver<Command>,
    directory: Arc<Directory>,
    identity: Identity,
    candidates: Vec<SocketAddr>,
    clock: Clock,
    peers: Slab<Peer>,
    sessions: HashMap<SessionId, usize>,
    by_ufrag: HashMap<String, usize>,
    by_address: HashMap<SocketAddr, usize>,
    rooms: HashMap<BroadcastId, Room>,
    outbox: Outbox,
    totals: MediaStats,
    next_tick: Instant,
    next_slow_tick: Instant,
    next_stats: Instant,
}

/// One reading gives both faces of the time; the wall clock is read once, so it never jumps.
struct Clock {
    instant: Instant,
    unix: std::time::Duration,
}

impl Clock {
    fn now(&self) -> Now {
        let instant = Instant::now();
        Now {
            instant,
            unix: self.unix + instant.duration_since(self.instant),
        }
    }
}

/// Whether the thread goes on.
enum Turn {
    GoOn,
    Stop(Option<oneshot::Sender<()>>),
}

impl Shard {
    pub(super) fn new(
        poll: Poll,
        mut port: Port,
        inbox: Receiver<Command>,
        directory: Arc<Directory>,
        identity: Identity,
        candidates: Vec<SocketAddr>,
    ) -> std::io::Result<Self> {
        poll.registry()
            .register(&mut port.socket, SOCKET, Interest::READABLE)?;
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let instant = Instant::now();
        Ok(Self {
            local: port.local_addr()?,
            poll,
            port,
            batch: Batch::new(),
            inbox,
            directory,
            identity,
            candidates,
            clock: Clock { instant, unix },
            peers: Slab::new(),
            sessions: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_address: HashMap::new(),
            rooms: HashMap::new(),
            outbox: Outbox::default(),
            totals: MediaStats::default(),
            next_tick: instant,
            next_slow_tick: instant,
            next_stats: instant,
        })
    }

    /// Runs until asked to stop, or until nobody is left to ask.
    pub(super) fn run(&mut self) {
        let mut events = Events::with_capacity(8);
        let mut more = false;
        loop {
            let now = self.clock.now();
            let wait = self.next_tick.saturating_duration_since(now.instant);
            let wait = if more {
                std::time::Duration::ZERO
            } else {
                wait
            };
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "the media thread cannot wait for its socket and ends");
                return self.stop(None);
            }
            if let Turn::Stop(reply) = self.read_mail() {
                return self.stop(reply);
            }
            // The socket is edge-triggered: it must be read until it is empty.
            more = self.read_socket();
            self.run_timers();
            self.outbox.flush(&self.port);
        }
    }

    fn read_mail(&mut self) -> Turn {
        for _ in 0..limits::COMMANDS_PER_TURN {
            let now = self.clock.now();
            match self.inbox.try_recv() {
                Ok(Command::Open {
                    record,
                    offer,
                    reply,
                }) => {
                    let _ = reply.send(self.open(record, offer, now));
                }
                Ok(Command::Patch {
                    session,
                    fragment,
                    reply,
                }) => {
                    let _ = reply.send(self.patch(session, &fragment));
                }
                Ok(Command::Close { session, reply }) => {
                    let _ = reply.send(self.close(session, now));
                }
                Ok(Command::End { broadcast, reply }) => {
                    self.end(broadcast, now);
                    let _ = reply.send(());
                }
                Ok(Command::Shutdown { reply }) => return Turn::Stop(Some(reply)),
                Err(TryRecvError::Empty) => return Turn::GoOn,
                Err(TryRecvError::Disconnected) => return Turn::Stop(None),
            }
        }
        // More mail waits; come back at once.
        self.next_tick = self.clock.now().instant;
        Turn::GoOn
    }

    fn stop(&mut self, reply: Option<oneshot::Sender<()>>) {
        let now = self.clock.now();
        let rooms: Vec<BroadcastId> = self.rooms.keys().copied().collect();
        for broadcast in rooms {
            self.end(broadcast, now);
        }
        self.outbox.flush(&self.port);
        if let Some(reply) = reply {
            let _ = reply.send(());
        }
    }
}
