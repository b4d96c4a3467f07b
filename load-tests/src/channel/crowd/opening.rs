//! How sessions of a crowd are opened, end, and are opened again.

use std::cmp::Reverse;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Token};
use socket2::{Domain, Socket, Type};

use super::{Crowd, Ear, Phase, hello, say};
use crate::buyer::source_address;
use crate::channel::dialect::Dialect;
use crate::channel::frame::{Upgrade, upgraded};

/// The pause after a session ended or did not open: random, up to this, doubled with every failure
/// up to the second, as the protocol asks of clients.
const PAUSE_US: u64 = 500_000;
const PAUSE_US_MAX: u64 = 15_000_000;
const DOUBLED_MAX: u32 = 5;
/// Receive buffer of a client that will stop reading: what fills up is the server's side.
const SMALL_BUFFER_BYTES: usize = 4 * 1024;

impl Crowd {
    /// These clients are to be opened as soon as there is room.
    pub(crate) fn open(&mut self, clients: std::ops::Range<usize>) {
        self.waiting.extend(clients);
    }

    pub(super) fn open_what_is_due(&mut self) -> io::Result<()> {
        let now_us = self.clock.now_us();
        while let Some(Reverse((due, at))) = self.later.peek().copied()
            && due <= now_us
        {
            self.later.pop();
            self.waiting.push_back(at);
        }
        while self.opening < self.door.window
            && let Some(at) = self.waiting.pop_front()
        {
            if self.clients[at].phase == Phase::Out {
                self.connect(at)?;
            }
        }
        Ok(())
    }

    fn connect(&mut self, at: usize) -> io::Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        // Its port is free at once when it ends: it is not the server's matter that all of these
        // clients are one machine.
        socket.set_linger(Some(Duration::ZERO))?;
        if self.door.small_buffers.contains(&at) {
            socket.set_recv_buffer_size(SMALL_BUFFER_BYTES)?;
        }
        if self.door.address.ip().is_loopback() {
            socket.bind(&SocketAddr::new(source_address(at), 0).into())?;
        }
        match socket.connect(&self.door.address.into()) {
            Ok(()) => {}
            Err(error) if is_under_way(&error) => {}
            Err(error) => return Err(error),
        }
        let mut stream = TcpStream::from_std(socket.into());
        self.poll
            .registry()
            .register(&mut stream, Token(at), Interest::WRITABLE)?;
        let client = &mut self.clients[at];
        client.stream = Some(Arc::new(stream));
        client.phase = Phase::Connecting;
        self.opening += 1;
        Ok(())
    }

    /// The connection is there, or will not be.
    pub(super) fn connected(&mut self, at: usize, ear: &mut dyn Ear) {
        let Some(stream) = self.clients[at].stream.take() else {
            return;
        };
        // Nobody else has it before the session is open.
        let begun = Arc::try_unwrap(stream)
            .map_err(|_| io::Error::other("a socket in two hands"))
            .and_then(|mut stream| {
                if let Some(error) = stream.take_error()? {
                    return Err(error);
                }
                say(&stream, &self.request)?;
                let registry = self.poll.registry();
                registry.reregister(&mut stream, Token(at), Interest::READABLE)?;
                Ok(stream)
            });
        match begun {
            Ok(stream) => {
                self.clients[at].stream = Some(Arc::new(stream));
                self.clients[at].phase = Phase::Upgrading;
            }
            Err(error) => self.end(at, &error.to_string(), ear),
        }
    }

    /// Reads the answer to the upgrade; gives how long it is once it is whole.
    pub(super) fn upgraded(
        &mut self,
        at: usize,
        bytes: &[u8],
    ) -> Result<Option<usize>, &'static str> {
        match upgraded(bytes).map_err(|broken| broken.0)? {
            Upgrade::Partial => Ok(None),
            Upgrade::Refused(status, after_ms) => {
                let text = format!("HTTP {status} instead of an upgrade");
                *self.counts.failures.entry(text).or_default() += 1;
                self.clients[at].pause_ms = after_ms;
                Err("")
            }
            Upgrade::Open(length) => {
                self.clients[at].phase = Phase::Greeting;
                let dialect = self.door.dialect;
                let opening = match dialect {
                    Dialect::Vetrina => hello(&self.clients[at], &self.door, at),
                    _ => dialect.opening(),
                };
                if !opening.is_empty() {
                    self.say(at, &opening)?;
                }
                if dialect.is_ready_at_once() {
                    self.opened(at);
                }
                Ok(Some(length))
            }
        }
    }

    /// The session is open.
    pub(super) fn opened(&mut self, at: usize) {
        let client = &mut self.clients[at];
        if client.phase == Phase::Greeting {
            client.phase = Phase::Ready;
            client.failed = 0;
            self.opening -= 1;
            self.counts.ready += 1;
            self.counts.welcomed += 1;
        }
    }

    /// The session ended, or did not open, for this reason; empty when it was noted already.
    pub(super) fn end(&mut self, at: usize, why: &str, ear: &mut dyn Ear) {
        let now_us = self.clock.now_us();
        let client = &mut self.clients[at];
        let phase = std::mem::replace(&mut client.phase, Phase::Out);
        if let Some(stream) = client.stream.take()
            && Arc::strong_count(&stream) > 1
        {
            // Whoever speaks on it has it still: then it does not close by itself. If it is
            // closed already, that is what was wanted.
            let _ = stream.shutdown(Shutdown::Both);
        }
        client.carry = Vec::new();
        client.inner = Vec::new();
        client.fragments = None;
        let code = client.closing.take();
        let wanted_us = client.pause_ms.take().map_or(0, |ms| ms * 1_000);
        match phase {
            Phase::Out => return,
            Phase::Ready => {
                self.counts.ready -= 1;
                *self.counts.ended.entry(code.unwrap_or(0)).or_default() += 1;
                ear.lost(at, now_us);
                if !self.door.returns {
                    return;
                }
            }
            Phase::Connecting | Phase::Upgrading | Phase::Greeting => {
                self.opening -= 1;
                client.failed += 1;
                if !why.is_empty() {
                    let text = code.map_or_else(|| why.to_owned(), |code| format!("close {code}"));
                    *self.counts.failures.entry(text).or_default() += 1;
                }
            }
        }
        let doubled_us = PAUSE_US << self.clients[at].failed.min(DOUBLED_MAX);
        let pause_us = wanted_us + rand::random_range(0..doubled_us.min(PAUSE_US_MAX));
        self.later.push(Reverse((now_us + pause_us, at)));
    }
}

fn is_under_way(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}
