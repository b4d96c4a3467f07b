//! One buyer who goes on buying through a crash: what was not answered is sent again with the same
//! key, what was acknowledged is written into a log of the buyer's own.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use vetrina_protocol::client::ClientMessage;
use vetrina_protocol::id::{ListingId, OrderId, ShowId};
use vetrina_protocol::server::ServerMessage;
use vetrina_protocol::view::Listing;

use crate::buyer::BuyerError;
use crate::customer::{Customer, Log};
use crate::server::Server;

/// Purchases a buyer tries in a round.
const PURCHASES: u32 = 3;

/// Who buys, and what.
pub(super) struct Shopper {
    customer: Customer,
    listings: Vec<ListingId>,
    random: StdRng,
}

impl Shopper {
    pub(super) fn new(
        server: &Server,
        show: ShowId,
        listings: &[Listing],
        n: usize,
        seed: u64,
        up: watch::Receiver<bool>,
    ) -> Self {
        Self {
            customer: Customer::new(&[server], show, n, up),
            listings: listings.iter().map(|listing| listing.id).collect(),
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// Buys, pays or gives up, a few times; ends when every order is settled.
    pub(super) async fn shop(mut self) -> Result<Log, BuyerError> {
        for n in 0..PURCHASES {
            let listing = self.listings[self.random.random_range(0..self.listings.len())];
            let key = format!("buy-{n}");
            let Some(order) = self.order(&key, listing).await? else {
                continue;
            };
            match self.random.random_range(0..10) {
                0 => self.give_up(order).await?,
                1 | 2 => {
                    self.customer.press(order, "choice=decline").await?;
                    self.customer.press(order, "choice=approve").await?;
                    self.customer.until_settled(order).await?;
                }
                _ => {
                    self.customer.press(order, "choice=approve").await?;
                    self.customer.until_settled(order).await?;
                }
            }
        }
        Ok(self.customer.log)
    }

    /// Makes an order, at once or by a reservation; `None`: refused.
    async fn order(
        &mut self,
        key: &str,
        listing: ListingId,
    ) -> Result<Option<OrderId>, BuyerError> {
        let id = self.customer.id();
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
            let ServerMessage::Ok(done) = self.customer.command(reserve).await? else {
                return Ok(None);
            };
            let reservations = done.reservation.iter().map(|r| r.id).collect();
            let id = self.customer.id();
            ClientMessage::Checkout {
                id,
                key: key.clone(),
                reservations,
                delivery,
            }
        };
        match self.customer.command(command).await? {
            ServerMessage::Ok(done) => {
                let order = done.order.ok_or_else(|| {
                    BuyerError::Protocol("a checkout was acknowledged without its order".into())
                })?;
                self.customer
                    .log
                    .by_key
                    .entry(key)
                    .or_default()
                    .push(order.id);
                let id = order.id;
                self.customer.learn(order);
                Ok(Some(id))
            }
            // Reservations of the last moments before a crash may be gone; that is stated.
            _ => Ok(None),
        }
    }

    async fn give_up(&mut self, order: OrderId) -> Result<(), BuyerError> {
        let cancel = ClientMessage::CancelOrder {
            id: self.customer.id(),
            key: format!("no-{order}"),
            order,
        };
        if let ServerMessage::Ok(done) = self.customer.command(cancel).await?
            && let Some(order) = done.order
        {
            self.customer.learn(order);
        }
        self.customer.until_settled(order).await
    }
}
