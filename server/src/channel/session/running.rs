//! A welcomed session: what comes in is counted and carried out one after the other; what goes out
//! is taken from the room only when the socket has nothing left to write, so that a slow reader
//! costs a cursor and not a queue.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep};
use vetrina_core::limits::TokenBucket;
use vetrina_core::refused::Refused;
use vetrina_protocol::client::{ClientMessage, CommandId};
use vetrina_protocol::close::CloseCode;
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::server::{Done, ServerMessage};

use super::End;
use super::hello::{Messages, messages};
use crate::auth::Principal;
use crate::channel::Inner;
use crate::channel::limits::{
    ANSWERS_WAITING_MAX, BATCHES_PER_WRITE, COMMANDS_WAITING_MAX, FLOOD_RATE, HEARTBEAT,
    PING_AFTER, SESSION_RATE, SILENT_AFTER, SLOW_AFTER,
};
use crate::channel::mailbox::LetterKind;
use crate::channel::reading::Unreadable;
use crate::channel::room::{Member, Place, Tail};
use crate::channel::socket::{Incoming, Socket, frame};
use crate::channel::translate::{Asked, answer, asked, refusal};
use crate::shop::Ask;

/// A command that is being carried out.
type Running = Pin<Box<dyn Future<Output = ServerMessage> + Send>>;

/// Private facts that `Welcome` carried already, by version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Versions {
    pub(super) mine: u64,
    pub(super) desk: u64,
}

/// One welcomed session.
pub(super) struct Session {
    channel: Arc<Inner>,
    encoding: Encoding,
    member: Member,
    who: Principal,
    place: Place,
    known: Versions,
    tail: watch::Receiver<Tail>,
    /// Commands that wait for the one before them.
    waiting: VecDeque<Asked>,
    running: Option<Running>,
    rate: TokenBucket,
    flood: TokenBucket,
    heard_at: Instant,
    /// While something waits for the reader: how far it had come, and when.
    stuck: Option<(u64, Instant)>,
}

/// What woke a session.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives for one turn; a box would be an allocation for every answer"
)]
enum Woken {
    Socket(Option<Incoming>),
    Answer(ServerMessage),
    News,
    RoomGone,
    Heartbeat,
}

impl Session {
    pub(super) fn new(
        channel: Arc<Inner>,
        encoding: Encoding,
        member: Member,
        who: Principal,
        place: Place,
        known: Versions,
    ) -> Self {
        let now = channel.shop.clock().now();
        Self {
            tail: member.room.tail(),
            channel,
            encoding,
            member,
            who,
            place,
            known,
            waiting: VecDeque::new(),
            running: None,
            rate: TokenBucket::new(SESSION_RATE, now),
            flood: TokenBucket::new(FLOOD_RATE, now),
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
        if let Some(code) = self.member.mailbox.must_end() {
            return Err(End::Close(code));
        }
        self.start_next();
        if socket.is_drained() {
            self.give(socket)?;
        }
        self.watch_progress(socket);
        let reading =
            self.waiting.len() < COMMANDS_WAITING_MAX && socket.backlog() < ANSWERS_WAITING_MAX;
        let drained = socket.is_drained();
        let woken = tokio::select! {
            turn = std::future::poll_fn(|cx| socket.poll_turn(cx, reading)) => Woken::Socket(turn),
            answer = carried_out(&mut self.running) => Woken::Answer(answer),
            moved = self.tail.changed(), if drained => {
                if moved.is_ok() { Woken::News } else { Woken::RoomGone }
            }
            () = self.member.mailbox.woken() => Woken::News,
            () = heartbeat.as_mut() => Woken::Heartbeat,
        };
        match woken {
            Woken::Socket(Some(incoming)) => self.incoming(incoming, socket)?,
            Woken::Answer(answer) => {
                self.running = None;
                self.say(socket, answer);
            }
            Woken::RoomGone => return Err(End::Close(CloseCode::GoingAway)),
            Woken::Heartbeat => {
                self.beat(socket)?;
                heartbeat
                    .as_mut()
                    .reset(Instant::now() + self.next_heartbeat());
            }
            Woken::Socket(None) | Woken::News => {}
        }
        Ok(())
    }

    /// Messages that came in one frame.
    pub(super) fn take_in(&mut self, messages: Messages) -> Result<Vec<ServerMessage>, End> {
        let mut answers = Vec::new();
        for message in messages {
            answers.extend(self.take(message)?);
        }
        Ok(answers)
    }

    fn incoming<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        incoming: Incoming,
        socket: &mut Socket<S>,
    ) -> Result<(), End> {
        match incoming {
            Incoming::Message { text, payload } => {
                self.heard_at = Instant::now();
                let answers = self.take_in(messages(self.encoding, text, &payload)?)?;
                for answer in answers {
                    self.say(socket, answer);
                }
                Ok(())
            }
            Incoming::Alive => {
                self.heard_at = Instant::now();
                // Pings are answered, so they are counted like everything else.
                self.count().map(|_| ())
            }
            Incoming::Gone => Err(End::Gone),
            Incoming::Fault(code) => Err(End::Fault(code)),
        }
    }

    /// One message: answered at once, or queued behind the commands before it.
    fn take(
        &mut self,
        message: Result<ClientMessage, Unreadable>,
    ) -> Result<Option<ServerMessage>, End> {
        let id = match &message {
            Ok(message) => message.id(),
            Err(unreadable) => unreadable.id,
        };
        if let Err(wait_ms) = self.count()? {
            let words = "too many messages; wait a moment, then send it again";
            let refused = Refused::for_now(RefusalCode::RateLimited, words, wait_ms);
            return Ok(Some(refusal(id, refused)));
        }
        let message = match message {
            Ok(message) => message,
            Err(unreadable) => {
                return Ok(Some(refusal(
                    id,
                    Refused::new(RefusalCode::Invalid, unreadable.why),
                )));
            }
        };
        match message {
            ClientMessage::Hello { .. } => Err(End::Close(CloseCode::HelloExpected)),
            ClientMessage::Ping { id } => Ok(Some(ServerMessage::Pong {
                id,
                server_time_ms: self.channel.shop.clock().now(),
            })),
            ClientMessage::React { id, reaction } => {
                self.member.room.react(reaction);
                Ok(Some(answer(id, Ok(Done::default()))))
            }
            ClientMessage::RefreshToken { id, token } => Ok(Some(self.refresh(id, &token))),
            command => {
                self.waiting.extend(asked(command));
                Ok(None)
            }
        }
    }

    /// Counts a message for this session and this person, in all their sessions.
    fn count(&mut self) -> Result<Result<(), u64>, End> {
        let now = self.channel.shop.clock().now();
        let counted = self
            .rate
            .take(now)
            .and_then(|()| self.channel.people.take(self.who.user));
        if counted.is_err() && self.flood.take(now).is_err() {
            return Err(End::Close(CloseCode::Flooding));
        }
        Ok(counted)
    }

    fn refresh(&mut self, id: CommandId, token: &str) -> ServerMessage {
        let fresh = self
            .channel
            .tokens
            .verify(token, self.channel.shop.clock().now());
        let fresh = fresh.and_then(|fresh| {
            self.member.room.facts.check_scope(&fresh)?;
            let same = fresh.user == self.who.user && fresh.role == self.who.role;
            if same {
                Ok(fresh)
            } else {
                Err(crate::refused::forbidden(
                    "this token is somebody else's; open a new session",
                ))
            }
        });
        answer(
            id,
            fresh.map(|fresh| {
                self.who = fresh;
                Done::default()
            }),
        )
    }

    /// Commands of one session are carried out in their order, one at a time.
    fn start_next(&mut self) {
        if self.running.is_some() {
            return;
        }
        let Some(next) = self.waiting.pop_front() else {
            return;
        };
        let shop = self.channel.shop.clone();
        let ask = Ask {
            show: self.member.room.facts.id,
            by: self.who.clone(),
            key: Some(next.key),
        };
        let command = next.command;
        let id = next.id;
        self.running = Some(Box::pin(async move {
            answer(id, shop.carry_out(ask, command).await)
        }));
    }

    fn say<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        socket: &mut Socket<S>,
        message: ServerMessage,
    ) {
        let frame = frame(self.encoding, &self.encoding.encode(&[message]));
        self.channel.shop.metrics().delivered(1, frame.len() as u64);
        socket.push(frame);
    }

    /// Everything that is new for this session, up to a bound, in one go.
    fn give<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        socket: &mut Socket<S>,
    ) -> Result<(), End> {
        let letters = self.member.mailbox.take().map_err(End::Close)?;
        let metrics = self.channel.shop.metrics();
        if !letters.is_empty() {
            metrics.session_queue_depth(letters.len());
        }
        let (mut count, mut bytes) = (0, 0);
        let mut push = |frame: bytes::Bytes| {
            count += 1;
            bytes += frame.len() as u64;
            socket.push(frame);
        };
        for letter in letters {
            let known = match letter.kind {
                LetterKind::Private(version) => version <= self.known.mine,
                LetterKind::Desk(version) => version <= self.known.desk,
                LetterKind::Plain => false,
            };
            if !known {
                push(letter.message.frame(self.encoding));
            }
        }
        self.tail.mark_unchanged();
        self.member
            .room
            .take(&mut self.place, self.encoding, BATCHES_PER_WRITE, push)
            .map_err(|_| End::Close(CloseCode::Slow))?;
        if count > 0 {
            metrics.delivered(count, bytes);
        }
        Ok(())
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
        if self.who.expires_at_ms <= self.channel.shop.clock().now() {
            return Err(End::Close(CloseCode::TokenExpired));
        }
        if self
            .stuck
            .is_some_and(|(_, since)| since.elapsed() >= SLOW_AFTER)
        {
            return Err(End::Close(CloseCode::Slow));
        }
        let silent = self.heard_at.elapsed();
        if silent >= SILENT_AFTER {
            return Err(End::Gone);
        }
        if silent >= PING_AFTER && socket.is_drained() {
            socket.push_ping();
        }
        Ok(())
    }

    /// A token that runs out is noticed at that moment.
    fn next_heartbeat(&self) -> Duration {
        let left_ms = self
            .who
            .expires_at_ms
            .since(self.channel.shop.clock().now())
            .max(0);
        HEARTBEAT.min(Duration::from_millis(left_ms.unsigned_abs()))
    }
}

/// The answer of the running command; never, if there is none.
async fn carried_out(running: &mut Option<Running>) -> ServerMessage {
    match running {
        Some(running) => running.await,
        None => std::future::pending().await,
    }
}
