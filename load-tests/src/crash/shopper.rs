//! One buyer who goes on buying through a crash: what was not answered is sent again with the same
//! key, what was acknowledged is written into a log of the buyer's own.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use vetrina_protocol::client::ClientMessage;
use vetrina_protocol::event::PrivateEvent;
use vetrina_protocol::id::{ListingId, OrderId, ShowId};
use vetrina_protocol::refusal::Advice;
use vetrina_protocol::server::ServerMessage;
use vetrina_protocol::view::{Listing, Order, OrderState};

use crate::buyer::{self, BuyerError, Session};
use crate::server::Server;

/// Purchases a buyer tries in a round.
const PURCHASES: u32 = 3;
/// An answer that takes longer is taken for lost: ask again.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Between two tries while the server is not there.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// What a buyer was told.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Orders by key: a key answered with two orders is a fault.
    pub(super) by_key: BTreeMap<String, Vec<OrderId>>,
    /// The last state of each order that was acknowledged to this buyer.
    pub(super) orders: BTreeMap<OrderId, Order>,
}

pub(super) struct Shopper {
    base: String,
    server: SocketAddr,
    source: IpAddr,
    show: ShowId,
    listings: Vec<ListingId>,
    random: StdRng,
    http: reqwest::Client,
    token: Option<String>,
    session: Option<Session>,
    log: Log,
    next_id: u32,
}

impl Shopper {
    pub(super) fn new(
        server: &Server,
        show: ShowId,
        listings: &[Listing],
        n: usize,
        seed: u64,
    ) -> Self {
        Self {
            base: server.base.clone(),
            server: server.address,
            source: buyer::source_address(n),
            show,
            listings: listings.iter().map(|listing| listing.id).collect(),
            random: StdRng::seed_from_u64(seed),
            http: reqwest::Client::new(),
            token: None,
            session: None,
            log: Log::default(),
            next_id: 1,
        }
    }

    /// Buys, pays or gives up, a few times; ends when every order is settled.
    pub(super) async fn shop(mut self, up: watch::Receiver<bool>) -> Result<Log, BuyerError> {
        for n in 0..PURCHASES {
            let listing = self.listings[self.random.random_range(0..self.listings.len())];
            let key = format!("buy-{n}");
            let Some(order) = self.order(&key, listing, &up).await? else {
                continue;
            };
            match self.random.random_range(0..10) {
                0 => self.give_up(order, &up).await?,
                1 | 2 => {
                    self.press(order, "choice=decline", &up).await?;
                    self.press(order, "choice=approve", &up).await?;
                    self.until_settled(order, &up).await?;
                }
                _ => {
                    self.press(order, "choice=approve", &up).await?;
                    self.until_settled(order, &up).await?;
                }
            }
        }
        Ok(self.log)
    }

    /// Makes an order, at once or by a reservation; `None`: refused.
    async fn order(
        &mut self,
        key: &str,
        listing: ListingId,
        up: &watch::Receiver<bool>,
    ) -> Result<Option<OrderId>, BuyerError> {
        let id = self.id();
        let key = key.to_owned();
        let (delivery, media_time, quantity) = (None, None, 1);
        let command = if self.random.random_bool(0.5) {
            ClientMessage::BuyNow {
                id,
                key: key.clone(),
                listing,
                quantity,
                delivery,
                media_time,
            }
        } else {
            let reserve = format!("{key}-reserve");
            let reserve = ClientMessage::Reserve {
                id,
                key: reserve,
                listing,
                quantity,
                media_time,
            };
            let ServerMessage::Ok(done) = self.command(reserve, up).await? else {
                return Ok(None);
            };
            let reservations = done.reservation.iter().map(|r| r.id).collect();
            let id = self.id();
            ClientMessage::Checkout {
                id,
                key: key.clone(),
                reservations,
                delivery,
            }
        };
        match self.command(command, up).await? {
            ServerMessage::Ok(done) => {
                let order = done.order.ok_or_else(|| {
                    BuyerError::Protocol("a checkout was acknowledged without its order".into())
                })?;
                self.log.by_key.entry(key).or_default().push(order.id);
                let id = order.id;
                self.learn(order);
                Ok(Some(id))
            }
            // Reservations of the last moments before a crash may be gone; that is stated.
            _ => Ok(None),
        }
    }

    async fn give_up(
        &mut self,
        order: OrderId,
        up: &watch::Receiver<bool>,
    ) -> Result<(), BuyerError> {
        let cancel = ClientMessage::CancelOrder {
            id: self.id(),
            key: format!("no-{order}"),
            order,
        };
        if let ServerMessage::Ok(done) = self.command(cancel, up).await?
            && let Some(order) = done.order
        {
            self.learn(order);
        }
        self.until_settled(order, up).await
    }

    /// Presses a button of the provider's page, which goes down with the server here.
    async fn press(
        &mut self,
        order: OrderId,
        form: &'static str,
        up: &watch::Receiver<bool>,
    ) -> Result<(), BuyerError> {
        loop {
            let known = &self.log.orders[&order];
            if !matches!(known.state, OrderState::Pending | OrderState::Declined) {
                return Ok(());
            }
            let Some(payment) = known.payment.clone() else {
                self.listen(up).await?;
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
                Err(_) => self.wait(up).await,
            }
        }
    }

    async fn until_settled(
        &mut self,
        order: OrderId,
        up: &watch::Receiver<bool>,
    ) -> Result<(), BuyerError> {
        while matches!(
            self.log.orders[&order].state,
            OrderState::Pending | OrderState::Declined | OrderState::Refunding
        ) {
            self.listen(up).await?;
        }
        Ok(())
    }

    /// Takes the next message; a lost connection is opened again, which tells all orders anew.
    async fn listen(&mut self, up: &watch::Receiver<bool>) -> Result<(), BuyerError> {
        self.connect(up).await?;
        let Some(session) = self.session.as_mut() else {
            return Ok(());
        };
        // A word that was lost with the server comes with the next Welcome.
        match tokio::time::timeout(ANSWER_WITHIN, session.next()).await {
            Ok(Ok(ServerMessage::Private {
                event: PrivateEvent::OrderChanged { order },
                ..
            })) => {
                self.learn(order);
            }
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => self.session = None,
        }
        Ok(())
    }

    /// Sends until answered, always with the same key.
    async fn command(
        &mut self,
        command: ClientMessage,
        up: &watch::Receiver<bool>,
    ) -> Result<ServerMessage, BuyerError> {
        let id = command.id().unwrap_or(0);
        loop {
            self.connect(up).await?;
            let Some(session) = self.session.as_mut() else {
                continue;
            };
            let exchange = async {
                session.send(&command).await?;
                session.answer(id).await
            };
            match tokio::time::timeout(ANSWER_WITHIN, exchange).await {
                Ok(Ok(ServerMessage::Refused {
                    code,
                    retry_after_ms,
                    ..
                })) if code.advice() == Advice::Retry => {
                    let pause = Duration::from_millis(retry_after_ms.unwrap_or(100).min(2_000));
                    tokio::time::sleep(pause).await;
                }
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err::<_, BuyerError>(_)) | Err(_) => self.session = None,
            }
        }
    }

    /// Opens the session unless it is open, however long the server is away.
    async fn connect(&mut self, up: &watch::Receiver<bool>) -> Result<(), BuyerError> {
        while self.session.is_none() {
            if self.token.is_none() {
                match buyer::guest(&self.http, &self.base, self.show).await {
                    Ok(grant) => self.token = Some(grant.token),
                    Err(BuyerError::Answer(status, text)) if status.is_client_error() => {
                        return Err(BuyerError::Answer(status, text));
                    }
                    Err(_) => {
                        self.wait(up).await;
                        continue;
                    }
                }
            }
            let token = self.token.clone().unwrap_or_default();
            match Session::open(self.server, self.source, self.show, &token).await {
                Ok((session, welcome)) => {
                    self.session = Some(session);
                    for order in welcome.mine.orders {
                        self.learn(order);
                    }
                }
                Err(_) => self.wait(up).await,
            }
        }
        Ok(())
    }

    async fn wait(&mut self, up: &watch::Receiver<bool>) {
        tokio::time::sleep(TRY_AGAIN_AFTER).await;
        // The sender lives as long as the round; without it there is nothing to wait for.
        let _ = up.clone().wait_for(|up| *up).await;
    }

    /// Keeps the newest word on an order.
    fn learn(&mut self, order: Order) {
        let known = self
            .log
            .orders
            .get(&order.id)
            .map_or(0, |known| known.version);
        if order.version >= known {
            self.log.orders.insert(order.id, order);
        }
    }

    fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }
}
