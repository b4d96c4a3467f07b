//! A buyer of the chaos run: reserves, queues for what is sold out, thinks, extends, releases,
//! checks out, pays, declines, pays too late, gives up, says something; and keeps account of what
//! was promised to it.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::Rng;
use rand::rngs::StdRng;
use tokio::sync::watch;
use vetrina_protocol::client::ClientMessage;
use vetrina_protocol::id::{ListingId, OrderId, ReservationId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::server::ServerMessage;
use vetrina_protocol::view::{OrderState, Reservation, ReservationState};

use super::account::{Account, Fate, Grant};
use crate::buyer::BuyerError;
use crate::customer::Customer;

/// A promise that is this close to its end is not held against anybody.
const NEAR_ITS_END_MS: i64 = 2_000;
/// Longest thought before a checkout.
const THINKS_MS_MAX: u64 = 2_500;
/// How many of those who come too late queue. A queue is served before everybody else: with more,
/// nobody would fight for units any more.
const QUEUES: f64 = 0.04;
/// Between two wishes.
const RESTS_MS: std::ops::Range<u64> = 100..900;

/// What happens to everybody at once.
#[derive(Clone)]
pub(crate) struct Signals {
    /// Counts rushes: everybody with a reservation checks out now, the others buy.
    pub(crate) rush: watch::Receiver<u64>,
    /// The sale goes on.
    pub(crate) open: watch::Receiver<bool>,
    /// Everything was checked: go home.
    pub(crate) over: watch::Receiver<bool>,
}

pub(crate) struct Shopper {
    pub(crate) customer: Customer,
    pub(crate) account: Account,
    listings: Vec<ListingId>,
    /// Where it may be in a queue.
    queues: BTreeSet<ListingId>,
    /// Reservations that the waitlist's turn made, not yet looked at.
    offered: Vec<ReservationId>,
    random: StdRng,
    signals: Signals,
    keys: u32,
}

impl Shopper {
    pub(crate) fn new(
        customer: Customer,
        listings: Vec<ListingId>,
        random: StdRng,
        signals: Signals,
    ) -> Self {
        Self {
            customer,
            account: Account::default(),
            listings,
            queues: BTreeSet::new(),
            offered: Vec::new(),
            random,
            signals,
            keys: 0,
        }
    }

    /// Shops until the sale closes and every order is settled, tells `done`, and stays to watch
    /// until all is over.
    pub(crate) async fn shop(mut self, done: watch::Sender<usize>) -> Result<Self, BuyerError> {
        while *self.signals.open.borrow() {
            match self.random.random_range(0..100) {
                0..50 => self.reserve_first().await?,
                50..80 => self.buy_now().await?,
                80..90 => self.comment().await?,
                _ => self.reserve_and_release().await?,
            }
            self.take_turns().await?;
            let rest = self.random.random_range(RESTS_MS);
            self.listen(Duration::from_millis(rest)).await?;
        }
        self.settle().await?;
        done.send_modify(|done| *done += 1);
        let mut over = self.signals.over.clone();
        while !*over.borrow() {
            tokio::select! {
                listened = self.customer.listen(Duration::from_secs(1)) => listened?,
                _ = over.changed() => {}
            }
        }
        Ok(self)
    }

    /// Reserves, thinks, and mostly checks out.
    async fn reserve_first(&mut self) -> Result<(), BuyerError> {
        let Some(first) = self.reserve().await? else {
            return Ok(());
        };
        let mut bag = vec![first];
        if self.random.random_bool(0.2) {
            bag.extend(self.reserve().await?);
        }
        let thinks = self.random.random_range(0..THINKS_MS_MAX);
        self.listen(Duration::from_millis(thinks)).await?;
        if self.random.random_bool(0.1) {
            self.extend(first).await?;
        }
        if self.random.random_bool(0.9) {
            self.checkout(bag).await?;
        }
        // Else it runs out by itself.
        Ok(())
    }

    async fn reserve_and_release(&mut self) -> Result<(), BuyerError> {
        let Some(reservation) = self.reserve().await? else {
            return Ok(());
        };
        let thinks = self.random.random_range(0..THINKS_MS_MAX);
        self.listen(Duration::from_millis(thinks)).await?;
        self.release(reservation).await
    }

    async fn release(&mut self, reservation: ReservationId) -> Result<(), BuyerError> {
        let command = ClientMessage::ReleaseReservation {
            id: self.customer.id(),
            key: self.key("release"),
            reservation,
        };
        // Who gives back is promised nothing any more, whatever the answer.
        self.fate(reservation, Fate::Over);
        let answer = self.command(command).await?;
        self.refused(&answer);
        Ok(())
    }

    async fn extend(&mut self, reservation: ReservationId) -> Result<(), BuyerError> {
        let command = ClientMessage::ExtendReservation {
            id: self.customer.id(),
            key: self.key("extend"),
            reservation,
        };
        match self.command(command).await? {
            ServerMessage::Ok(done) => {
                if let Some(extended) = done.reservation {
                    self.granted(&extended);
                }
            }
            ServerMessage::Refused { code, .. } => self.not_honoured(&[reservation], code),
            _ => {}
        }
        Ok(())
    }

    async fn reserve(&mut self) -> Result<Option<ReservationId>, BuyerError> {
        let listing = self.listing();
        let command = ClientMessage::Reserve {
            id: self.customer.id(),
            key: self.key("reserve"),
            listing,
            quantity: self.random.random_range(1..=2),
            media_time: None,
        };
        let answer = self.command(command).await?;
        let ServerMessage::Ok(done) = answer else {
            self.refused(&answer);
            if code_of(&answer) == Some(RefusalCode::SoldOut) && self.random.random_bool(QUEUES) {
                self.queue(listing).await?;
            }
            return Ok(None);
        };
        let reservation = done.reservation.ok_or_else(|| missing("reservation"))?;
        self.granted(&reservation);
        Ok(Some(reservation.id))
    }

    async fn queue(&mut self, listing: ListingId) -> Result<(), BuyerError> {
        let command = ClientMessage::JoinWaitlist {
            id: self.customer.id(),
            key: self.key("queue"),
            listing,
            quantity: self.random.random_range(1..=2),
        };
        // In the queue from the moment of asking: an answer may be overtaken by the turn.
        self.queues.insert(listing);
        let answer = self.command(command).await?;
        self.refused(&answer);
        Ok(())
    }

    /// Mostly buys what the waitlist's turn has reserved; else it runs out by itself.
    async fn take_turns(&mut self) -> Result<(), BuyerError> {
        while let Some(reservation) = self.offered.pop() {
            if self.random.random_bool(0.8) {
                self.checkout(vec![reservation]).await?;
            }
        }
        Ok(())
    }

    async fn leave_queues(&mut self) -> Result<(), BuyerError> {
        for listing in std::mem::take(&mut self.queues) {
            let command = ClientMessage::LeaveWaitlist {
                id: self.customer.id(),
                key: self.key("leave"),
                listing,
            };
            // Most queues were left long ago, by their turn.
            self.command(command).await?;
        }
        Ok(())
    }

    async fn checkout(&mut self, reservations: Vec<ReservationId>) -> Result<(), BuyerError> {
        let key = self.key("order");
        let command = ClientMessage::Checkout {
            id: self.customer.id(),
            key: key.clone(),
            reservations: reservations.clone(),
            delivery: None,
        };
        match self.command(command).await? {
            ServerMessage::Refused { code, .. } => self.not_honoured(&reservations, code),
            ServerMessage::Ok(done) => {
                for reservation in reservations {
                    self.fate(reservation, Fate::Ordered);
                }
                let order = done.order.ok_or_else(|| missing("order"))?;
                self.ordered(key, order.id);
                self.customer.learn(order.clone());
                self.pay(order.id).await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn buy_now(&mut self) -> Result<(), BuyerError> {
        let key = self.key("order");
        let command = ClientMessage::BuyNow {
            id: self.customer.id(),
            key: key.clone(),
            listing: self.listing(),
            quantity: 1,
            delivery: None,
            media_time: None,
        };
        let answer = self.command(command).await?;
        let ServerMessage::Ok(done) = answer else {
            self.refused(&answer);
            return Ok(());
        };
        let order = done.order.ok_or_else(|| missing("order"))?;
        self.ordered(key, order.id);
        let id = order.id;
        self.customer.learn(order);
        self.pay(id).await
    }

    /// Two orders of one key would be a fault, so all that were told are kept.
    fn ordered(&mut self, key: String, order: OrderId) {
        self.customer.log.by_key.entry(key).or_default().push(order);
    }

    /// Half of the orders end without a sale, so that units come back and are fought over.
    async fn pay(&mut self, order: OrderId) -> Result<(), BuyerError> {
        match self.random.random_range(0..100) {
            0..50 => self.customer.press(order, "choice=approve").await?,
            50..60 => {
                self.customer.press(order, "choice=decline").await?;
                self.customer.press(order, "choice=approve").await?;
            }
            60..70 => {
                self.customer.press(order, "choice=decline").await?;
                self.cancel(order).await?;
            }
            // Charged when the shop has given the order up: honoured if there are units, else
            // the money goes back.
            70..80 => {
                self.customer.press(order, "choice=late").await?;
                self.account.late += 1;
                self.cancel(order).await?;
            }
            _ => self.cancel(order).await?,
        }
        self.customer.until_settled(order).await
    }

    async fn cancel(&mut self, order: OrderId) -> Result<(), BuyerError> {
        let command = ClientMessage::CancelOrder {
            id: self.customer.id(),
            key: self.key("cancel"),
            order,
        };
        if let ServerMessage::Ok(done) = self.command(command).await?
            && let Some(order) = done.order
        {
            self.customer.learn(order);
        }
        Ok(())
    }

    async fn comment(&mut self) -> Result<(), BuyerError> {
        let key = self.key("comment");
        let command = ClientMessage::Comment {
            id: self.customer.id(),
            text: format!("How lovely! {key}"),
            key,
            media_time: None,
        };
        let answer = self.command(command).await?;
        match &answer {
            ServerMessage::Ok(done) => self.account.comments.extend(done.comment),
            answer => self.refused(answer),
        }
        Ok(())
    }

    /// Nothing is left half done: open reservations go back, orders end.
    async fn settle(&mut self) -> Result<(), BuyerError> {
        self.leave_queues().await?;
        self.look();
        let open: Vec<ReservationId> = self
            .account
            .grants
            .iter()
            .filter(|(_, grant)| grant.fate == Fate::Open && grant.expires_at_ms > now_ms())
            .map(|(id, _)| *id)
            .collect();
        for reservation in open {
            self.release(reservation).await?;
        }
        let orders: Vec<OrderId> = self.customer.log.orders.keys().copied().collect();
        for order in orders {
            let state = self.customer.log.orders[&order].state;
            if matches!(state, OrderState::Pending | OrderState::Declined) {
                self.cancel(order).await?;
            }
            self.customer.until_settled(order).await?;
        }
        Ok(())
    }

    /// Listens; a rush cuts it short.
    async fn listen(&mut self, within: Duration) -> Result<(), BuyerError> {
        tokio::select! {
            listened = self.customer.listen(within) => listened?,
            _ = self.signals.rush.changed() => {}
        }
        self.look();
        Ok(())
    }

    async fn command(&mut self, command: ClientMessage) -> Result<ServerMessage, BuyerError> {
        let answer = self.customer.command(command).await;
        self.look();
        answer
    }

    /// Takes note of what was said about reservations meanwhile.
    fn look(&mut self) {
        for reservation in self.customer.changed() {
            self.told(&reservation);
        }
    }

    fn told(&mut self, reservation: &Reservation) {
        let Some(grant) = self.account.grants.get_mut(&reservation.id) else {
            if reservation.from_waitlist && reservation.state == ReservationState::Reserved {
                self.account.offers += 1;
                self.queues.remove(&reservation.listing);
                self.offered.push(reservation.id);
                self.granted(reservation);
            }
            return;
        };
        let early = now_ms() < grant.expires_at_ms - NEAR_ITS_END_MS;
        match reservation.state {
            ReservationState::Expired | ReservationState::Released
                if grant.fate == Fate::Open && early =>
            {
                grant.fate = broken("told that it is gone");
            }
            ReservationState::Reserved => grant.expires_at_ms = reservation.expires_at_ms.0,
            _ => {}
        }
    }

    /// A reservation was granted, or extended.
    fn granted(&mut self, reservation: &Reservation) {
        let known = self.account.grants.get(&reservation.id);
        let grant = Grant {
            granted_at_ms: known.map_or_else(now_ms, |known| known.granted_at_ms),
            from_waitlist: reservation.from_waitlist,
            expires_at_ms: reservation.expires_at_ms.0,
            fate: Fate::Open,
        };
        self.account.grants.insert(reservation.id, grant);
    }

    fn fate(&mut self, reservation: ReservationId, fate: Fate) {
        if let Some(grant) = self.account.grants.get_mut(&reservation) {
            grant.fate = fate;
        }
    }

    /// What was granted and is still good was refused.
    fn not_honoured(&mut self, reservations: &[ReservationId], code: RefusalCode) {
        *self.account.refused.entry(code.as_str()).or_default() += 1;
        // Two reservations in a bag: which of them is gone is not said; count those still good.
        for id in reservations {
            let Some(grant) = self.account.grants.get_mut(id) else {
                continue;
            };
            let good = now_ms() < grant.expires_at_ms - NEAR_ITS_END_MS;
            if grant.fate == Fate::Open && code != RefusalCode::ExtensionLimit {
                grant.fate = if good {
                    broken(code.as_str())
                } else {
                    Fate::Over
                };
            }
        }
    }

    fn refused(&mut self, answer: &ServerMessage) {
        if let Some(code) = code_of(answer) {
            *self.account.refused.entry(code.as_str()).or_default() += 1;
        }
    }

    fn listing(&mut self) -> ListingId {
        self.listings[self.random.random_range(0..self.listings.len())]
    }

    fn key(&mut self, what: &str) -> String {
        self.keys += 1;
        format!("{what}-{}", self.keys)
    }
}

fn code_of(answer: &ServerMessage) -> Option<RefusalCode> {
    match answer {
        ServerMessage::Refused { code, .. } => Some(*code),
        _ => None,
    }
}

/// The customer's own watch; it shows the server's time, since both are on this machine.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

fn broken(how: &'static str) -> Fate {
    let at_ms = now_ms();
    Fate::Broken { how, at_ms }
}

fn missing(what: &str) -> BuyerError {
    BuyerError::Protocol(format!("acknowledged without its {what}"))
}
