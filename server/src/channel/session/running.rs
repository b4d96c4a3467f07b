//! A session that has begun: drives its socket until it ends. What is new is taken only when the
//! socket has nothing left to write, so that a slow reader costs a cursor and not a queue; who
//! neither reads nor gives a sign of life is let go.
//!
//! It refuses to know what the messages mean: that is [`Talk`]'s.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep};
use vetrina_protocol::close::CloseCode;

use super::End;
use crate::channel::limits::{
    ANSWERS_WAITING_MAX, HEARTBEAT, PING_AFTER, SILENT_AFTER, SLOW_AFTER,
};
use crate::channel::socket::{Incoming, Socket};

/// What the messages of a session mean. The product has one such thing, the shop's; the conformance
/// test of the WebSocket has another, which sends back what comes.
pub(super) trait Talk {
    /// Begins what can begin, before each turn.
    ///
    /// # Errors
    /// Why the session must end now.
    fn begin_turn(&mut self) -> Result<(), End>;

    /// Whether a message may come in; the socket is not read otherwise.
    fn has_room(&self) -> bool;

    /// Everything that is new, up to a bound, as frames. Called when the last of it was written.
    ///
    /// # Errors
    /// Why the session must end.
    fn give(&mut self, push: impl FnMut(Bytes)) -> Result<(), End>;

    /// Takes in a message. Gives the frames that answer it.
    ///
    /// # Errors
    /// Why the session must end.
    fn hear(&mut self, text: bool, payload: &[u8]) -> Result<Vec<Bytes>, End>;

    /// Counts a ping or a pong.
    ///
    /// # Errors
    /// There were too many of them.
    fn count_control(&mut self) -> Result<(), End>;

    /// Waits until there is a frame to send, or something to [`Talk::give`], which is of no
    /// interest while the socket is not `drained`. Dropped and called again at every turn.
    async fn news(&mut self, drained: bool) -> Result<Option<Bytes>, End>;

    /// For how long this may still go on; at zero the person's token has run out.
    fn time_left(&self) -> Duration;
}

/// A session that has begun.
pub(super) struct Session<T> {
    talk: T,
    patience: &'static Patience,
    heard_at: Instant,
    /// While something waits for the reader: how far it had come, and when.
    stuck: Option<(u64, Instant)>,
}

/// How long the other side is waited for; tests have less of it.
struct Patience {
    heartbeat: Duration,
    ping_after: Duration,
    silent_after: Duration,
    slow_after: Duration,
}

static PATIENCE: Patience = Patience {
    heartbeat: HEARTBEAT,
    ping_after: PING_AFTER,
    silent_after: SILENT_AFTER,
    slow_after: SLOW_AFTER,
};

impl<T: Talk> Session<T> {
    pub(super) fn new(talk: T) -> Self {
        Self::with(talk, &PATIENCE)
    }

    fn with(talk: T, patience: &'static Patience) -> Self {
        Self {
            talk,
            patience,
            heard_at: Instant::now(),
            stuck: None,
        }
    }

    /// Serves the session until it ends.
    pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
        mut self,
        socket: &mut Socket<S>,
    ) -> End {
        let mut heartbeat = Box::pin(sleep(self.next_heartbeat()));
        loop {
            if let Err(end) = self.turn(socket, &mut heartbeat).await {
                return end;
            }
        }
    }

    async fn turn<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        socket: &mut Socket<S>,
        heartbeat: &mut Pin<Box<Sleep>>,
    ) -> Result<(), End> {
        self.talk.begin_turn()?;
        if socket.is_drained() {
            self.talk.give(|frame| socket.push(frame))?;
        }
        self.watch_progress(socket);
        let reading = self.talk.has_room() && socket.backlog() < ANSWERS_WAITING_MAX;
        let drained = socket.is_drained();
        tokio::select! {
            turn = std::future::poll_fn(|cx| socket.poll_turn(cx, reading)) => {
                if let Some(incoming) = turn {
                    self.incoming(incoming, socket)?;
                }
            }
            news = self.talk.news(drained) => {
                if let Some(frame) = news? {
                    socket.push(frame);
                }
            }
            () = heartbeat.as_mut() => {
                self.beat(socket)?;
                let next = Instant::now() + self.next_heartbeat();
                heartbeat.as_mut().reset(next);
            }
        }
        Ok(())
    }

    fn incoming<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        incoming: Incoming,
        socket: &mut Socket<S>,
    ) -> Result<(), End> {
        match incoming {
            Incoming::Message { text, payload } => {
                self.heard_at = Instant::now();
                for frame in self.talk.hear(text, &payload)? {
                    socket.push(frame);
                }
                Ok(())
            }
            Incoming::Alive => {
                self.heard_at = Instant::now();
                // Pings are answered, so they are counted like everything else.
                self.talk.count_control()
            }
            Incoming::Gone => Err(End::Gone),
            Incoming::Fault(code) => Err(End::Fault(code)),
        }
    }

    /// Notes since when a reader has taken nothing.
    fn watch_progress<S: AsyncRead + AsyncWrite + Unpin>(&mut self, socket: &Socket<S>) {
        if socket.is_drained() {
            self.stuck = None;
        } else if self
            .stuck
            .is_none_or(|(progress, _)| progress != socket.progress())
        {
            self.stuck = Some((socket.progress(), Instant::now()));
        }
    }

    fn beat<S: AsyncRead + AsyncWrite + Unpin>(&self, socket: &mut Socket<S>) -> Result<(), End> {
        if self.talk.time_left().is_zero() {
            return Err(End::Close(CloseCode::TokenExpired));
        }
        if self
            .stuck
            .is_some_and(|(_, since)| since.elapsed() >= self.patience.slow_after)
        {
            return Err(End::Close(CloseCode::Slow));
        }
        let silent = self.heard_at.elapsed();
        if silent >= self.patience.silent_after {
            return Err(End::Gone);
        }
        if silent >= self.patience.ping_after && socket.is_drained() {
            socket.push_ping();
        }
        Ok(())
    }

    /// A token that runs out is noticed at that moment.
    fn next_heartbeat(&self) -> Duration {
        self.patience.heartbeat.min(self.talk.time_left())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::task::JoinHandle;

    use super::super::echo::Echo;
    use super::*;

    const PING: [u8; 2] = [0x89, 0];
    const MASKED_PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];

    /// Short, and far enough apart that a busy machine does not confuse them.
    static QUICK: Patience = Patience {
        heartbeat: Duration::from_millis(20),
        ping_after: Duration::from_millis(200),
        silent_after: Duration::from_secs(3),
        slow_after: Duration::from_secs(1),
    };

    /// A session whose connection holds so many bytes each way.
    fn session(bytes: usize) -> (DuplexStream, JoinHandle<End>) {
        let (peer, ours) = duplex(bytes);
        let running = tokio::spawn(async move {
            let mut socket = Socket::new(ours);
            Session::with(Echo, &QUICK).run(&mut socket).await
        });
        (peer, running)
    }

    #[tokio::test]
    async fn who_is_silent_is_asked_and_then_let_go() {
        let (mut peer, running) = session(1_024);
        let mut asked = PING;
        peer.read_exact(&mut asked).await.expect("asked");
        assert_eq!(asked, PING);
        assert_eq!(running.await.expect("ends"), End::Gone);
    }

    #[tokio::test]
    async fn who_answers_is_kept() {
        let (mut peer, running) = session(1_024);
        let began = Instant::now();
        while began.elapsed() < QUICK.silent_after * 3 / 2 {
            let mut asked = PING;
            peer.read_exact(&mut asked).await.expect("asked");
            peer.write_all(&MASKED_PONG).await.expect("answered");
        }
        assert!(!running.is_finished());
    }

    #[tokio::test]
    async fn who_takes_nothing_is_closed_as_slow() {
        let (mut peer, running) = session(16);
        // 100 bytes of text, masked with zeros; the answer has no room.
        let mut said = vec![0x81, 0x80 | 100, 0, 0, 0, 0];
        said.extend([b'a'; 100]);
        peer.write_all(&said).await.expect("said");
        let end = running.await.expect("ends");
        assert_eq!(end, End::Close(CloseCode::Slow));
    }
}
