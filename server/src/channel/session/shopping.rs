//! What the messages of a session mean in the product: what comes in is counted and carried out,
//! one command after the other; what goes out is the room's log from this viewer's cursor on, the
//! private letters and the answers.
//!
//! It refuses to know the socket.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use vetrina_core::limits::TokenBucket;
use vetrina_core::refused::Refused;
use vetrina_protocol::client::{ClientMessage, CommandId};
use vetrina_protocol::close::CloseCode;
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::reading::Unreadable;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::server::{Done, ServerMessage};

use super::End;
use super::hello::{Messages, messages};
use super::running::Talk;
use crate::auth::Principal;
use crate::channel::Inner;
use crate::channel::limits::{BATCHES_PER_WRITE, COMMANDS_WAITING_MAX, FLOOD_RATE, SESSION_RATE};
use crate::channel::mailbox::LetterKind;
use crate::channel::room::{Member, Place, Tail};
use crate::channel::socket::frame;
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

/// What a welcomed person and the shop say to each other.
pub(super) struct Shopping {
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
}

impl Shopping {
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
        }
    }

    /// Messages that came in one frame.
    pub(super) fn take_in(&mut self, messages: Messages) -> Result<Vec<ServerMessage>, End> {
        let mut answers = Vec::new();
        for message in messages {
            answers.extend(self.take(message)?);
        }
        Ok(answers)
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

    /// An answer as it is sent.
    fn framed(&self, message: ServerMessage) -> Bytes {
        let frame = frame(self.encoding, &self.encoding.encode(&[message]));
        self.channel.shop.metrics().delivered(1, frame.len() as u64);
        frame
    }
}

impl Talk for Shopping {
    fn begin_turn(&mut self) -> Result<(), End> {
        if let Some(code) = self.member.mailbox.must_end() {
            return Err(End::Close(code));
        }
        self.start_next();
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.waiting.len() < COMMANDS_WAITING_MAX
    }

    fn give(&mut self, mut push: impl FnMut(Bytes)) -> Result<(), End> {
        let letters = self.member.mailbox.take().map_err(End::Close)?;
        let metrics = self.channel.shop.metrics();
        if !letters.is_empty() {
            metrics.session_queue_depth(letters.len());
        }
        let (mut count, mut bytes) = (0, 0);
        let mut push = |frame: Bytes| {
            count += 1;
            bytes += frame.len() as u64;
            push(frame);
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

    fn hear(&mut self, text: bool, payload: &[u8]) -> Result<Vec<Bytes>, End> {
        let answers = self.take_in(messages(self.encoding, text, payload)?)?;
        Ok(answers
            .into_iter()
            .map(|answer| self.framed(answer))
            .collect())
    }

    fn count_control(&mut self) -> Result<(), End> {
        self.count().map(|_| ())
    }

    async fn news(&mut self, drained: bool) -> Result<Option<Bytes>, End> {
        tokio::select! {
            answer = carried_out(&mut self.running) => {
                self.running = None;
                Ok(Some(self.framed(answer)))
            }
            moved = self.tail.changed(), if drained => {
                moved.map(|()| None).map_err(|_| End::Close(CloseCode::GoingAway))
            }
            () = self.member.mailbox.woken() => Ok(None),
        }
    }

    fn time_left(&self) -> Duration {
        let now = self.channel.shop.clock().now();
        let left_ms = self.who.expires_at_ms.since(now).max(0);
        Duration::from_millis(left_ms.unsigned_abs())
    }
}

/// The answer of the running command; never, if there is none.
async fn carried_out(running: &mut Option<Running>) -> ServerMessage {
    match running {
        Some(running) => running.await,
        None => std::future::pending().await,
    }
}
