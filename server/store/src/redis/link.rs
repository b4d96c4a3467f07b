//! The connection to one primary: kept up by a task of its own, and a circuit breaker for those who
//! call. It refuses to know shows and what is called.
//!
//! The driver's reconnecting manager is not used: after a reconnection nothing may be asked before
//! the functions are loaded and it is known *which* Redis answers ([`Up::identity`]). A Redis that
//! lost something (a restart, a promoted replica) has another identity, and every show notices.
//!
//! **No answer.** A call that has none in time closes the connection for everybody. Until the
//! keeper has another, callers wait at most [`Patience::call`] and then fail at once: nothing
//! piles up on a Redis that stands still.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisError as DriverError, ServerErrorKind, Value};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::address::Host;
use super::dial::Dial;
use super::functions::{Call, CallError, NotOpen};
use super::{Failure, Patience, RedisOutcome, RedisWatcher};

/// Calls under way at once; who waits longer than a call may take hears "busy".
const CALLS_MAX: usize = 4_096;
/// A call that had less time than this before its deadline proves nothing about the connection.
const FAIR_TRIAL: Duration = Duration::from_millis(250);
/// Callers wait for another connection only so long after one was given up for its silence.
const AFTER_SILENCE: Duration = Duration::from_millis(100);
/// Between two attempts to connect; doubled up to the longest.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// An identity that was just read is right, whatever an older show says.
const TRUSTED: Duration = Duration::from_secs(1);
/// How often the sentinels are asked whether this is still the primary.
const RECHECK: Duration = Duration::from_secs(1);

/// See the module's words.
pub(crate) struct Link {
    dial: Dial,
    patience: Patience,
    ack: u8,
    watcher: Arc<dyn RedisWatcher>,
    state: watch::Sender<State>,
    calls: Semaphore,
    stopping: CancellationToken,
}

#[derive(Clone)]
enum State {
    Down { since: Instant, why: Arc<str> },
    Up(Arc<Up>),
}

/// A connection that may be used.
pub(crate) struct Up {
    connection: MultiplexedConnection,
    host: Host,
    /// Which Redis, in which incarnation.
    pub(crate) identity: Arc<str>,
    /// Counts the connections of this link.
    number: u64,
    /// When the identity was read.
    since: Instant,
}

impl Link {
    /// A link whose keeper runs until `stopping`.
    pub(crate) fn start(
        dial: Dial,
        patience: Patience,
        ack: u8,
        watcher: Arc<dyn RedisWatcher>,
        stopping: CancellationToken,
    ) -> Arc<Self> {
        let state = State::Down {
            since: Instant::now(),
            why: "not connected yet".into(),
        };
        let link = Arc::new(Self {
            dial,
            patience,
            ack,
            watcher,
            state: watch::Sender::new(state),
            calls: Semaphore::new(CALLS_MAX),
            stopping,
        });
        tokio::spawn(keep(Arc::clone(&link)));
        link
    }

    /// Calls a function. What certainly was not carried out is sent again within the deadline;
    /// `make` is given the identity each time.
    pub(crate) async fn call<T>(
        &self,
        write: bool,
        make: &(impl Fn(&str) -> Result<Call<T>, CallError> + Sync),
    ) -> Result<T, Failure> {
        let started = Instant::now();
        let answer = self
            .call_until(started + self.patience.call, write, make)
            .await;
        let (outcome, answer) = match answer {
            Ok(value) => (RedisOutcome::Answered, Ok(value)),
            Err((outcome, failure)) => (outcome, Err(failure)),
        };
        self.watcher.call_ended(outcome, started.elapsed());
        answer
    }

    async fn call_until<T>(
        &self,
        deadline: Instant,
        write: bool,
        make: &(impl Fn(&str) -> Result<Call<T>, CallError> + Sync),
    ) -> Result<T, (RedisOutcome, Failure)> {
        let Ok(Ok(_permit)) = timeout_at(deadline, self.calls.acquire()).await else {
            return Err(ended(Failure::Busy));
        };
        loop {
            let up = self.up(deadline).await;
            let up = up.map_err(|failure| (RedisOutcome::Away, failure))?;
            let call = make(&up.identity).map_err(|error| ended(error.into()))?;
            match self.send(&up, write, call.cmd(), deadline).await {
                Ok(value) => {
                    let read = call.read(value);
                    if matches!(read, Err(CallError::NotOpen(NotOpen::OtherIdentity))) {
                        self.doubt(&up);
                    }
                    return read.map_err(|error| ended(error.into()));
                }
                Err(Sent::Failed(failure)) => return Err(ended(failure)),
                Err(Sent::NotCarriedOut(error)) => {
                    self.complain(&up, &error.to_string());
                    if is_moved(&error) {
                        return Err(ended(Failure::Moved(error.to_string())));
                    }
                    if Instant::now() >= deadline {
                        return Err(ended(Failure::Unknown(error.to_string())));
                    }
                }
            }
        }
    }

    /// Sends one command, once.
    pub(crate) async fn raw(&self, command: &Cmd) -> Result<Value, Failure> {
        let deadline = Instant::now() + self.patience.call;
        let Ok(Ok(_permit)) = timeout_at(deadline, self.calls.acquire()).await else {
            return Err(Failure::Busy);
        };
        let up = self.up(deadline).await?;
        match self.send(&up, false, command, deadline).await {
            Ok(value) => Ok(value),
            Err(Sent::Failed(failure)) => Err(failure),
            Err(Sent::NotCarriedOut(error)) => {
                self.complain(&up, &error.to_string());
                Err(Failure::Unknown(error.to_string()))
            }
        }
    }

    /// How long there has been no connection.
    pub(crate) fn down_for(&self) -> Option<Duration> {
        match &*self.state.borrow() {
            State::Up(_) => None,
            State::Down { since, .. } => Some(since.elapsed()),
        }
    }

    /// It will never be up again.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// The connection, as soon as it is there.
    pub(crate) async fn up(&self, deadline: Instant) -> Result<Arc<Up>, Failure> {
        let mut states = self.state.subscribe();
        loop {
            let (since, why) = match &*states.borrow_and_update() {
                State::Up(up) => return Ok(Arc::clone(up)),
                State::Down { since, why } => (*since, Arc::clone(why)),
            };
            if self.stopping.is_cancelled() {
                return Err(Failure::Unknown("the store is shutting down".into()));
            }
            // Who comes when it has been down for long need not wait to learn it.
            let until = deadline.min(since + self.patience.call);
            if !matches!(timeout_at(until, states.changed()).await, Ok(Ok(()))) {
                return Err(Failure::Unknown(format!("Redis is away: {why}")));
            }
        }
    }

    async fn send(
        &self,
        up: &Arc<Up>,
        write: bool,
        command: &Cmd,
        deadline: Instant,
    ) -> Result<Value, Sent> {
        let mut connection = up.connection.clone();
        let fair = deadline.saturating_duration_since(Instant::now()) >= FAIR_TRIAL;
        let sent = async {
            if write && self.ack > 0 {
                return acknowledged(&mut connection, command, self.ack, self.patience).await;
            }
            let answer = connection.send_packed_command(command).await?;
            Ok((answer.extract_error()?, true))
        };
        let error = match timeout_at(deadline, sent).await {
            Ok(Ok((value, true))) => return Ok(value),
            Ok(Ok((_, false))) => {
                let words = "too few replicas have it in time".to_owned();
                return Err(Sent::Failed(Failure::Unknown(words)));
            }
            Err(_) => {
                if fair {
                    // Everybody has waited for it long enough.
                    let left = self.patience.call.saturating_sub(AFTER_SILENCE);
                    let since = Instant::now().checked_sub(left);
                    self.give_up(up, "no answer in time", since);
                }
                let words = "no answer in time".to_owned();
                return Err(Sent::Failed(Failure::Unknown(words)));
            }
            Ok(Err(error)) => error,
        };
        if was_not_carried_out(&error) {
            return Err(Sent::NotCarriedOut(error));
        }
        if refuses_writes(&error) {
            return Err(Sent::Failed(Failure::Unknown(error.to_string())));
        }
        if error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error() {
            self.complain(up, &error.to_string());
            return Err(Sent::Failed(Failure::Unknown(error.to_string())));
        }
        Err(Sent::Failed(Failure::Wrong(error.to_string())))
    }

    /// This connection is no good: everybody waits for another.
    pub(crate) fn complain(&self, up: &Up, why: &str) {
        self.give_up(up, why, None);
    }

    /// `since`: when it was good last, if not just now.
    fn give_up(&self, up: &Up, why: &str, since: Option<Instant>) {
        self.state.send_if_modified(|state| match state {
            State::Up(current) if current.number == up.number => {
                *state = State::Down {
                    since: since.unwrap_or_else(Instant::now),
                    why: why.into(),
                };
                true
            }
            _ => false,
        });
    }

    /// Another node opened a show on what it takes for another Redis, and one of the two is wrong:
    /// a FLUSHALL took our generation, and who came since has begun a new one. Whoever asks again
    /// reads what all others read. Without this, two nodes would open the show anew in turn, for
    /// ever.
    fn doubt(&self, up: &Up) {
        if up.since.elapsed() >= TRUSTED {
            self.complain(up, "another node knows it by another identity");
        }
    }

    /// The same for whatever connection there is: somebody noticed elsewhere that Redis changed.
    pub(crate) fn look_again(&self, why: &str) {
        let current = match &*self.state.borrow() {
            State::Up(up) => Arc::clone(up),
            State::Down { .. } => return,
        };
        self.complain(&current, why);
    }

    /// A connection of its own, for blocking reads.
    pub(crate) async fn dial_reader(
        &self,
        response: Duration,
    ) -> Result<MultiplexedConnection, Failure> {
        let up = self.up(Instant::now() + self.patience.call).await?;
        let connection = timeout(self.patience.connect, self.dial.reader(&up.host, response)).await;
        match connection {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(Failure::Unknown(error.to_string())),
            Err(_) => Err(Failure::Unknown("no connection in time".into())),
        }
    }
}

impl Up {
    /// Where it leads, and which Redis that is.
    pub(crate) fn whose(&self) -> (Host, String) {
        (self.host.clone(), self.identity.to_string())
    }
}

enum Sent {
    NotCarriedOut(DriverError),
    Failed(Failure),
}

/// A failure of a call that had a connection.
fn ended(failure: Failure) -> (RedisOutcome, Failure) {
    let outcome = match &failure {
        Failure::Busy => RedisOutcome::Busy,
        Failure::Unknown(_) => RedisOutcome::Unknown,
        Failure::Moved(_)
        | Failure::NotOpen(_)
        | Failure::TooBig(_)
        | Failure::Wrong(_)
        | Failure::Refused(_) => RedisOutcome::Answered,
    };
    (outcome, failure)
}

/// Connects again and again.
async fn keep(link: Arc<Link>) {
    let mut number = 0;
    let mut pause = PAUSE;
    while !link.stopping.is_cancelled() {
        let dialled = tokio::select! {
            dialled = timeout(link.patience.connect, link.dial.prepared()) => dialled,
            () = link.stopping.cancelled() => break,
        };
        match dialled {
            Ok(Ok(prepared)) => {
                number += 1;
                pause = PAUSE;
                let identity = &prepared.identity;
                tracing::info!(redis = %link.dial, %identity, "connected to Redis");
                let up = Arc::new(Up {
                    connection: prepared.connection,
                    host: prepared.host,
                    identity: prepared.identity.into(),
                    number,
                    since: Instant::now(),
                });
                link.state.send_replace(State::Up(Arc::clone(&up)));
                link.watcher.connected();
                stay(&link, &up).await;
                continue;
            }
            Ok(Err(error)) => still_down(&link, &error.to_string()),
            Err(_) => still_down(&link, "no answer while connecting"),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = link.stopping.cancelled() => break,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
    link.state.send_replace(State::Down {
        since: Instant::now(),
        why: "the store is shutting down".into(),
    });
}

/// Until the connection is complained about, or the sentinels name another primary.
async fn stay(link: &Link, up: &Up) {
    let mut states = link.state.subscribe();
    loop {
        tokio::select! {
            why = why_down(&mut states) => {
                tracing::warn!(redis = %link.dial, %why, "the connection to Redis is given up");
                return;
            }
            () = tokio::time::sleep(RECHECK) => {
                if link.dial.has_moved(&up.host).await {
                    link.complain(up, "the sentinels name another primary");
                }
            }
            () = link.stopping.cancelled() => return,
        }
    }
}

async fn why_down(states: &mut watch::Receiver<State>) -> Arc<str> {
    match states
        .wait_for(|state| matches!(state, State::Down { .. }))
        .await
        .as_deref()
    {
        Ok(State::Down { why, .. }) => Arc::clone(why),
        Ok(State::Up(_)) | Err(_) => "the link is gone".into(),
    }
}

fn still_down(link: &Link, why: &str) {
    link.state.send_modify(|state| match state {
        State::Down { why: known, .. } if **known != *why => {
            tracing::warn!(redis = %link.dial, %why, "no connection to Redis");
            *known = why.into();
        }
        _ => {}
    });
}

/// The command, and whether enough replicas have what it wrote.
async fn acknowledged(
    connection: &mut MultiplexedConnection,
    command: &Cmd,
    ack: u8,
    patience: Patience,
) -> Result<(Value, bool), DriverError> {
    let mut wait = redis::cmd("WAIT");
    wait.arg(ack)
        .arg(u64::try_from(patience.ack.as_millis()).unwrap_or(u64::MAX));
    let mut both = Pipeline::with_capacity(2);
    both.add_command(command.clone()).add_command(wait);
    let mut answers = connection
        .send_packed_commands(&both, 0, 2)
        .await?
        .into_iter();
    let value = answers.next().unwrap_or(Value::Nil).extract_error()?;
    let replicas = answers.next().unwrap_or(Value::Nil).extract_error()?;
    let enough = matches!(replicas, Value::Int(count) if count >= i64::from(ack));
    Ok((value, enough))
}

/// Redis said so before it did anything.
fn was_not_carried_out(error: &DriverError) -> bool {
    match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly,
        ) => true,
        // `FUNCTION FLUSH`: the next connection loads the library again.
        _ => error.to_string().contains("Function not found"),
    }
}

fn is_moved(error: &DriverError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::ClusterDown
        )
    )
}

/// The connection is good, Redis is not: its disk, its memory or its replicas.
fn refuses_writes(error: &DriverError) -> bool {
    matches!(
        error.code(),
        Some("NOREPLICAS" | "MISCONF" | "OOM" | "BUSY")
    )
}
