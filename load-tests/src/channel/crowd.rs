//! Thousands of clients on one thread: raw sockets over epoll, from many loopback addresses, each a
//! WebSocket session of its own whose stretches of the log are checked for gaps and repetitions.
//! What is measured of it is an [`Ear`]'s matter.

mod opening;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Poll};
use vetrina_protocol::server::{ServerMessage, Welcome};

use super::dialect::{Dialect, Meaning, nats, socket_io};
use super::follow::{Follow, Step};
use super::frame::{self, Fragments, PONG, Piece, masked};
use super::known::{Known, Said, Shared};
use super::payload;

/// Bytes read at once; more than a busy tick of a busy show.
const READ_BYTES: usize = 256 * 1024;
/// A session's left-over beyond this is given back to memory when it was used up.
const CARRY_KEPT_BYTES: usize = 1_024;
const EVENTS_PER_TURN: usize = 4_096;

/// Microseconds since this program began to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now_us(self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// What the system's clock said when this one began, microseconds since 1970: the server, on
    /// the same machine, writes its times by that clock.
    pub(crate) fn wall_us_at_start(self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now_us = since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(0));
        now_us.saturating_sub(self.now_us())
    }
}

/// Where clients go and how.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    pub(crate) dialect: Dialect,
    /// One for each client, or fewer that are shared; none where nobody asks.
    pub(crate) tokens: Vec<String>,
    /// Sessions that are being opened at a time.
    pub(crate) window: usize,
    /// Whether a client whose session ended comes back by itself.
    pub(crate) returns: bool,
    /// Clients whose sockets take in little while nobody reads.
    pub(crate) small_buffers: std::ops::Range<usize>,
}

/// Hears what clients are told.
pub(crate) trait Ear {
    /// A frame that everybody gets.
    fn shared(&mut self, _client: usize, _now_us: u64, _shared: &Shared) {}
    /// A message for this client.
    fn own(&mut self, _client: usize, _now_us: u64, _message: &ServerMessage) {}
    /// A session is open.
    fn welcomed(&mut self, _client: usize, _now_us: u64, _welcome: &Welcome) {}
    /// A session that was open ended.
    fn lost(&mut self, _client: usize, _now_us: u64) {}
}

/// Listens to nothing.
pub(crate) struct Deaf;

impl Ear for Deaf {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not opened, or gone.
    Out,
    Connecting,
    Upgrading,
    Greeting,
    Ready,
}

struct Client {
    stream: Option<Arc<TcpStream>>,
    phase: Phase,
    /// The beginning of a frame, or of the answer to the upgrade.
    carry: Vec<u8>,
    fragments: Fragments,
    /// The beginning of an item of a peer's stream.
    inner: Vec<u8>,
    follow: Follow,
    /// Tries to open in a row that failed.
    failed: u32,
    /// It does not read.
    stuck: bool,
    /// Why the server closes it.
    closing: Option<u16>,
    /// After how long the server wants it to come back.
    pause_ms: Option<u64>,
}

/// What happened to all clients together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    /// Sessions open now.
    pub(crate) ready: usize,
    /// Sessions that were opened.
    pub(crate) welcomed: u64,
    /// Of them: continued where the client was.
    pub(crate) resumed: u64,
    /// Tries that failed, by what the server or the system said.
    pub(crate) failures: BTreeMap<String, u64>,
    /// Open sessions that ended, by close code; 0 without one.
    pub(crate) ended: BTreeMap<u16, u64>,
    /// Positions left out.
    pub(crate) gaps: u64,
    /// Positions told twice.
    pub(crate) repeated: u64,
    /// Frames that could not be read.
    pub(crate) unreadable: u64,
    pub(crate) bytes: u64,
}

impl Counts {
    /// Tells a person which tries to open a session failed, if any did.
    #[expect(clippy::print_stderr, reason = "a command-line tool")]
    pub(crate) fn say_failures(&self) {
        for (why, times) in &self.failures {
            eprintln!("{times} tries to join failed: {why}");
        }
    }
}

/// All clients.
pub(crate) struct Crowd {
    pub(crate) clock: Clock,
    pub(crate) counts: Counts,
    door: Door,
    request: Vec<u8>,
    clients: Vec<Client>,
    known: Known,
    poll: Poll,
    events: Option<Events>,
    buffer: Vec<u8>,
    /// To be opened when there is room in the window.
    waiting: VecDeque<usize>,
    opening: usize,
    /// To be opened at a later time.
    later: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Crowd {
    /// So many clients; none of them has gone anywhere yet.
    pub(crate) fn new(clients: usize, door: Door, clock: Clock) -> io::Result<Self> {
        let subprotocol =
            (door.dialect == Dialect::Vetrina).then_some(vetrina_protocol::SUBPROTOCOL_MSGPACK);
        let request = frame::upgrade_request(&door.address.to_string(), &door.path, subprotocol);
        let client = || Client {
            stream: None,
            phase: Phase::Out,
            carry: Vec::new(),
            fragments: None,
            inner: Vec::new(),
            follow: Follow::default(),
            failed: 0,
            stuck: false,
            closing: None,
            pause_ms: None,
        };
        Ok(Self {
            clock,
            counts: Counts::default(),
            door,
            request,
            clients: std::iter::repeat_with(client).take(clients).collect(),
            known: Known::new(),
            poll: Poll::new()?,
            events: Some(Events::with_capacity(EVENTS_PER_TURN)),
            buffer: vec![0; READ_BYTES],
            waiting: VecDeque::new(),
            opening: 0,
            later: BinaryHeap::new(),
        })
    }

    /// How many clients there are, open or not.
    pub(crate) fn size(&self) -> usize {
        self.clients.len()
    }

    /// Whether a client's session is open.
    pub(crate) fn is_ready(&self, client: usize) -> bool {
        self.clients[client].phase == Phase::Ready
    }

    /// The last position of the log that a client was told.
    pub(crate) fn position(&self, client: usize) -> Option<u64> {
        self.clients[client].follow.last
    }

    /// The sockets of those of these clients whose sessions are open, to say something on.
    pub(crate) fn streams(&self, clients: std::ops::Range<usize>) -> Vec<Arc<TcpStream>> {
        let ready = self.clients[clients]
            .iter()
            .filter(|c| c.phase == Phase::Ready);
        ready.filter_map(|client| client.stream.clone()).collect()
    }

    /// From now on these clients do not read, or read again.
    pub(crate) fn set_stuck(&mut self, clients: std::ops::Range<usize>, stuck: bool) {
        for client in &mut self.clients[clients] {
            client.stuck = stuck;
        }
    }

    /// Reads what waits for these clients: an edge that came while they were stuck is gone.
    pub(crate) fn read_now(&mut self, clients: std::ops::Range<usize>, ear: &mut dyn Ear) {
        for at in clients {
            self.read(at, true, ear);
        }
    }

    /// Waits for something to happen, at most so long, and handles all that has.
    pub(crate) fn turn(&mut self, wait: Duration, ear: &mut dyn Ear) -> io::Result<()> {
        self.open_what_is_due()?;
        let Some(mut events) = self.events.take() else {
            return Ok(());
        };
        let polled = self.poll.poll(&mut events, Some(wait));
        if polled.is_ok() {
            for event in &events {
                let at = event.token().0;
                if self.clients[at].phase == Phase::Connecting {
                    self.connected(at, ear);
                }
                // The end of a stream makes no edge of its own when it came with its last bytes.
                let ends = event.is_error() || event.is_read_closed();
                if event.is_readable() || ends {
                    self.read(at, ends, ear);
                }
            }
        }
        self.events = Some(events);
        match polled {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads what is there; `to_end`, until the socket says that there is no more.
    fn read(&mut self, at: usize, to_end: bool, ear: &mut dyn Ear) {
        loop {
            let client = &mut self.clients[at];
            let Some(stream) = client.stream.clone().filter(|_| !client.stuck) else {
                return;
            };
            let mut buffer = std::mem::take(&mut self.buffer);
            let kept = client.carry.len();
            if buffer.len() < kept + READ_BYTES {
                buffer.resize(kept + READ_BYTES, 0);
            }
            buffer[..kept].copy_from_slice(&client.carry);
            let space = buffer.len() - kept;
            let read = (&*stream).read(&mut buffer[kept..]);
            let more = match read {
                Ok(0) => {
                    self.end(at, "the server closed the socket", ear);
                    false
                }
                Ok(bytes) => {
                    self.counts.bytes += bytes as u64;
                    self.take_in(at, &buffer[..kept + bytes], ear);
                    // Less than asked for: there is no more, and new bytes are a new edge.
                    to_end || bytes == space
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
                Err(error) => {
                    self.end(at, &error.to_string(), ear);
                    false
                }
            };
            self.buffer = buffer;
            if !more {
                return;
            }
        }
    }

    /// Takes in what a client's socket gave, behind what was kept.
    fn take_in(&mut self, at: usize, bytes: &[u8], ear: &mut dyn Ear) {
        let now_us = self.clock.now_us();
        let used = match self.take_pieces(at, bytes, now_us, ear) {
            Ok(used) => used,
            Err(why) => {
                self.end(at, why, ear);
                return;
            }
        };
        let carry = &mut self.clients[at].carry;
        carry.clear();
        carry.extend_from_slice(&bytes[used..]);
        if carry.is_empty() {
            carry.shrink_to(CARRY_KEPT_BYTES);
        }
    }

    /// Gives how many bytes were whole frames.
    fn take_pieces(
        &mut self,
        at: usize,
        bytes: &[u8],
        now_us: u64,
        ear: &mut dyn Ear,
    ) -> Result<usize, &'static str> {
        let mut used = 0;
        if self.clients[at].phase == Phase::Upgrading {
            match self.upgraded(at, bytes)? {
                Some(length) => used = length,
                None => return Ok(0),
            }
        }
        while let Some(frame) = frame::frame(bytes, used).map_err(|broken| broken.0)? {
            used = frame.payload.end;
            let fragments = &mut self.clients[at].fragments;
            match frame::piece(fragments, &frame, bytes).map_err(|broken| broken.0)? {
                Piece::Message(message) => self.hear(at, message, now_us, ear)?,
                Piece::Joined(message) => self.hear(at, &message, now_us, ear)?,
                Piece::Ping(payload) => {
                    let pong = masked(PONG, payload, rand::random());
                    self.say(at, &pong)?;
                }
                Piece::Close(code) => {
                    self.clients[at].closing = Some(code);
                    return Err("closed");
                }
                Piece::Nothing => {}
            }
        }
        Ok(used)
    }

    fn hear(
        &mut self,
        at: usize,
        message: &[u8],
        now_us: u64,
        ear: &mut dyn Ear,
    ) -> Result<(), &'static str> {
        match self.door.dialect {
            Dialect::Vetrina | Dialect::Plain => self.delivery(at, message, now_us, ear),
            Dialect::SocketIo => self.meant(at, socket_io(message), now_us, ear),
            Dialect::Nats => {
                let mut stream = std::mem::take(&mut self.clients[at].inner);
                let kept = !stream.is_empty();
                if kept {
                    stream.extend_from_slice(message);
                }
                let whole: &[u8] = if kept { &stream } else { message };
                let mut used = 0;
                while let Some((meaning, length)) = nats(&whole[used..]) {
                    used += length;
                    self.meant(at, meaning, now_us, ear)?;
                }
                self.clients[at].inner = whole[used..].to_vec();
                Ok(())
            }
        }
    }

    fn meant(
        &mut self,
        at: usize,
        meaning: Meaning<'_>,
        now_us: u64,
        ear: &mut dyn Ear,
    ) -> Result<(), &'static str> {
        match meaning {
            Meaning::Delivery(payload) => self.delivery(at, payload, now_us, ear),
            Meaning::Answer(reply) => self.say(at, &reply.frame()),
            Meaning::Ready => {
                self.opened(at);
                Ok(())
            }
            Meaning::Nothing => Ok(()),
            Meaning::Complaint => Err("the peer complained"),
        }
    }

    fn delivery(
        &mut self,
        at: usize,
        payload: &[u8],
        now_us: u64,
        ear: &mut dyn Ear,
    ) -> Result<(), &'static str> {
        match self.known.read(payload) {
            Said::Shared => {
                let shared = self.known.shared();
                let follow = &mut self.clients[at].follow;
                for batch in &shared.batches {
                    match follow.take(batch.from, batch.to) {
                        Step::Next => {}
                        Step::Gap(left_out) => self.counts.gaps += left_out,
                        Step::Again(twice) => self.counts.repeated += twice,
                    }
                }
                ear.shared(at, now_us, shared);
            }
            Said::Own(messages) => {
                for message in &messages {
                    if let ServerMessage::Welcome(welcome) = message {
                        self.welcome(at, welcome);
                        ear.welcomed(at, now_us, welcome);
                    } else {
                        ear.own(at, now_us, message);
                    }
                }
            }
            // Of a later version perhaps; a client passes over what it does not know.
            Said::Unreadable => self.counts.unreadable += 1,
        }
        Ok(())
    }

    fn welcome(&mut self, at: usize, welcome: &Welcome) {
        let (epoch, offset) = (welcome.epoch.0, welcome.offset.0);
        let follow = &mut self.clients[at].follow;
        if welcome.resumed {
            self.counts.resumed += 1;
            match follow.resume(epoch, offset) {
                Step::Next => {}
                Step::Gap(left_out) => self.counts.gaps += left_out,
                Step::Again(twice) => self.counts.repeated += twice,
            }
        } else {
            follow.restart(epoch, offset);
        }
        self.opened(at);
    }

    /// Sends a small frame from the crowd's own thread.
    fn say(&self, at: usize, bytes: &[u8]) -> Result<(), &'static str> {
        match &self.clients[at].stream {
            Some(stream) => say(stream, bytes).map_err(|_| "the socket takes nothing"),
            None => Ok(()),
        }
    }
}

/// Sends one small frame whole: the socket has room for it, or the server has stopped reading.
pub(crate) fn say(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    match stream.write(bytes) {
        Ok(written) if written == bytes.len() => Ok(()),
        Ok(_) => Err(io::ErrorKind::WriteZero.into()),
        Err(error) => Err(error),
    }
}

/// `Hello` for a client.
fn hello(client: &Client, door: &Door, at: usize) -> Vec<u8> {
    let token = door.tokens.get(at % door.tokens.len().max(1));
    payload::hello(token.map_or("", String::as_str), client.follow)
}
