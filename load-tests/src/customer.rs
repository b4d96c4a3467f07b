//! A customer who does not give up: reconnects by itself, at another node where there are several,
//! resuming where it was; sends what was not answered again with the same key; and writes down what
//! it was told. What it buys is decided elsewhere.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use tokio::sync::watch;
use vetrina_protocol::client::ClientMessage;
use vetrina_protocol::event::PrivateEvent;
use vetrina_protocol::id::{OrderId, ShowId};
use vetrina_protocol::refusal::Advice;
use vetrina_protocol::server::ServerMessage;
use vetrina_protocol::view::{Order, OrderState, Reservation};

use crate::buyer::{self, BuyerError, Session};
use crate::follower::Follower;
use crate::server::Server;

/// An answer that takes longer is taken for lost: ask again.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A node that cannot be reached in this time is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Between two tries while the server is not there; it doubles so many times, as the protocol asks.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(50);
const DOUBLED_MAX: u32 = 4;
/// Longest pause after "try again": the customer is in a hurry.
const PAUSE_MS_MAX: u64 = 2_000;

/// What a customer was told.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Orders by key: a key answered with two orders is a fault.
    pub(crate) by_key: BTreeMap<String, Vec<OrderId>>,
    /// The last state of each order that was acknowledged to this customer.
    pub(crate) orders: BTreeMap<OrderId, Order>,
    /// How every try of a command ended.
    pub(crate) tries: Vec<Try>,
}

/// One try of one command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Try {
    pub(crate) at: Instant,
    pub(crate) took: Duration,
    pub(crate) ended: Ended,
}

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Granted, or refused for good.
    Answered,
    /// "Try again."
    Later,
    /// Not at all: the connection broke, or it took too long.
    Not,
}

/// Where customers are.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// Opened so far.
    opened: AtomicUsize,
    /// Open now, at each node.
    at: Vec<AtomicUsize>,
}

impl Sessions {
    /// Nobody is anywhere.
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            opened: AtomicUsize::new(0),
            at: (0..nodes).map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    /// How many were opened so far.
    pub(crate) fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }

    /// How many are open at a node now.
    pub(crate) fn at(&self, node: usize) -> usize {
        self.at[node].load(Ordering::Relaxed)
    }
}

/// Who the customer is and where it can go.
pub(crate) struct Customer {
    /// Base URL and address of each node.
    nodes: Vec<(String, SocketAddr)>,
    /// At which of them it is.
    at: usize,
    source: IpAddr,
    show: ShowId,
    http: reqwest::Client,
    token: Option<String>,
    session: Option<Session>,
    /// Whether there is a server at all: customers do not hammer on closed doors.
    up: watch::Receiver<bool>,
    /// Tries to connect in a row that failed.
    failed: u32,
    next_id: u32,
    pub(crate) log: Log,
    pub(crate) follower: Follower,
    /// What changed about reservations since somebody looked.
    changed: Vec<Reservation>,
    /// Of all who share them.
    sessions: Arc<Sessions>,
}

impl Customer {
    /// The n-th customer of a show, who goes to `servers[n]` first, in the order of the ring.
    pub(crate) fn new(
        servers: &[&Server],
        show: ShowId,
        n: usize,
        up: watch::Receiver<bool>,
    ) -> Self {
        let nodes = servers
            .iter()
            .map(|server| (server.base.clone(), server.address));
        Self {
            nodes: nodes.collect(),
            at: n % servers.len(),
            source: buyer::source_address(n),
            show,
            http: reqwest::Client::new(),
            token: None,
            session: None,
            up,
            failed: 0,
            next_id: 1,
            log: Log::default(),
            follower: Follower::default(),
            changed: Vec::new(),
            sessions: Arc::new(Sessions::new(servers.len())),
        }
    }

    /// Comes with a token of its own, such as a host's.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Counts its sessions together with others'.
    pub(crate) fn counted(mut self, sessions: &Arc<Sessions>) -> Self {
        self.sessions = sessions.clone();
        self
    }

    /// An id for the next command.
    pub(crate) fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    /// Changes of reservations since the last call, oldest first.
    pub(crate) fn changed(&mut self) -> Vec<Reservation> {
        std::mem::take(&mut self.changed)
    }

    /// Sends until answered, always with the same key.
    pub(crate) async fn command(
        &mut self,
        command: ClientMessage,
    ) -> Result<ServerMessage, BuyerError> {
        let id = command.id().unwrap_or(0);
        loop {
            self.connect().await?;
            let at = Instant::now();
            let answer = tokio::time::timeout(ANSWER_WITHIN, self.exchange(id, &command)).await;
            let (ended, answer) = match answer {
                Ok(Ok(answer)) => match later(&answer) {
                    None => (Ended::Answered, Ok(answer)),
                    Some(pause) => (Ended::Later, Err(Some(pause))),
                },
                Ok(Err(_)) | Err(_) => (Ended::Not, Err(None)),
            };
            let took = at.elapsed();
            self.log.tries.push(Try { at, took, ended });
            match answer {
                Ok(answer) => return Ok(answer),
                Err(Some(pause)) => tokio::time::sleep(pause).await,
                Err(None) => self.leave(),
            }
        }
    }

    async fn exchange(
        &mut self,
        id: u32,
        command: &ClientMessage,
    ) -> Result<ServerMessage, BuyerError> {
        let session = self.session.as_mut().ok_or_else(closed)?;
        session.send(command).await?;
        loop {
            let message = self.next().await?;
            match &message {
                ServerMessage::Ok(done) if done.id == id => return Ok(message),
                ServerMessage::Refused { id: Some(of), .. } if *of == id => return Ok(message),
                _ => {}
            }
        }
    }

    /// The next message, after it was taken note of.
    async fn next(&mut self) -> Result<ServerMessage, BuyerError> {
        let session = self.session.as_mut().ok_or_else(closed)?;
        let message = session.next().await?;
        match &message {
            ServerMessage::Private { event, .. } => self.note(event.clone()),
            ServerMessage::GoAway { .. } => {
                return Err(BuyerError::Closed("node is leaving".into()));
            }
            message => self.follower.take(message),
        }
        Ok(message)
    }

    fn note(&mut self, event: PrivateEvent) {
        match event {
            PrivateEvent::OrderChanged { order } => self.learn(order),
            PrivateEvent::ReservationChanged { reservation }
            | PrivateEvent::WaitlistOffer { reservation } => self.changed.push(reservation),
            PrivateEvent::WaitlistChanged { .. } => {}
        }
    }

    /// Listens for this long, whatever comes; a lost connection is opened again.
    pub(crate) async fn listen(&mut self, within: Duration) -> Result<(), BuyerError> {
        let deadline = tokio::time::Instant::now() + within;
        loop {
            match tokio::time::timeout_at(deadline, self.connect()).await {
                Ok(connected) => connected?,
                Err(_) => return Ok(()),
            }
            match tokio::time::timeout_at(deadline, self.next()).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => self.leave(),
                Err(_) => return Ok(()),
            }
        }
    }

    /// Takes the next message; a lost connection is opened again, which tells all orders anew.
    async fn listen_once(&mut self) -> Result<(), BuyerError> {
        self.connect().await?;
        // A word that was lost with the server comes with the next Welcome.
        if !matches!(
            tokio::time::timeout(ANSWER_WITHIN, self.next()).await,
            Ok(Ok(_))
        ) {
            self.leave();
        }
        Ok(())
    }

    /// Presses a button of the provider's page, which may be away for a while.
    pub(crate) async fn press(
        &mut self,
        order: OrderId,
        form: &'static str,
    ) -> Result<(), BuyerError> {
        loop {
            let known = &self.log.orders[&order];
            if !matches!(known.state, OrderState::Pending | OrderState::Declined) {
                return Ok(());
            }
            let Some(payment) = known.payment.clone() else {
                self.listen_once().await?;
                continue;
            };
            let answer = self
                .http
                .post(&payment.url)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form)
                .send()
                .await;
            match answer {
                Ok(_) => return Ok(()),
                Err(_) => self.wait().await,
            }
        }
    }

    /// Listens until nothing more happens to the order by itself.
    pub(crate) async fn until_settled(&mut self, order: OrderId) -> Result<(), BuyerError> {
        while is_open(self.log.orders[&order].state) {
            self.listen_once().await?;
        }
        Ok(())
    }

    /// Opens the session unless it is open, however long the server is away.
    pub(crate) async fn connect(&mut self) -> Result<(), BuyerError> {
        while self.session.is_none() {
            match tokio::time::timeout(CONNECT_WITHIN, self.open()).await {
                Ok(Ok(())) => self.failed = 0,
                Ok(Err(BuyerError::Answer(status, text)))
                    if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS =>
                {
                    return Err(BuyerError::Answer(status, text));
                }
                Ok(Err(_)) | Err(_) => {
                    self.leave();
                    self.wait().await;
                }
            }
        }
        Ok(())
    }

    async fn open(&mut self) -> Result<(), BuyerError> {
        let (base, address) = &self.nodes[self.at];
        if self.token.is_none() {
            let grant = buyer::guest(&self.http, base, self.show).await?;
            self.token = Some(grant.token);
        }
        let token = self.token.clone().unwrap_or_default();
        let resume = self.follower.resume();
        let opened = Session::resume(*address, self.source, self.show, &token, resume).await?;
        let (session, welcome) = opened;
        self.session = Some(session);
        self.sessions.opened.fetch_add(1, Ordering::Relaxed);
        self.sessions.at[self.at].fetch_add(1, Ordering::Relaxed);
        self.follower.welcome(&welcome);
        self.changed.extend(welcome.mine.reservations);
        for order in welcome.mine.orders {
            self.learn(order);
        }
        Ok(())
    }

    /// Gives the session up; the next one is at any node, as behind a load balancer.
    fn leave(&mut self) {
        if self.session.take().is_some() {
            self.sessions.at[self.at].fetch_sub(1, Ordering::Relaxed);
        }
        self.at = rand::random_range(0..self.nodes.len());
    }

    async fn wait(&mut self) {
        let pause = TRY_AGAIN_AFTER * 2_u32.pow(self.failed.min(DOUBLED_MAX));
        self.failed += 1;
        // Not all in the same moment.
        let part = rand::random_range(0.5..1.0);
        tokio::time::sleep(pause.mul_f64(part)).await;
        // The sender lives as long as the run; without it there is nothing to wait for.
        let _ = self.up.clone().wait_for(|up| *up).await;
    }

    /// Keeps the newest word on an order.
    pub(crate) fn learn(&mut self, order: Order) {
        let known = self.log.orders.get(&order.id);
        if known.is_none_or(|known| order.version >= known.version) {
            self.log.orders.insert(order.id, order);
        }
    }
}

/// Whether something will still happen to an order of this state by itself, or should.
pub(crate) fn is_open(state: OrderState) -> bool {
    matches!(
        state,
        OrderState::Pending | OrderState::Declined | OrderState::Refunding
    )
}

/// How long to pause before the same command again, when that is the advice.
fn later(answer: &ServerMessage) -> Option<Duration> {
    let ServerMessage::Refused {
        code,
        retry_after_ms,
        ..
    } = answer
    else {
        return None;
    };
    let pause = retry_after_ms.unwrap_or(100).min(PAUSE_MS_MAX);
    (code.advice() == Advice::Retry).then(|| Duration::from_millis(pause))
}

fn closed() -> BuyerError {
    BuyerError::Closed("not open".into())
}
