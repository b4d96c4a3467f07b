//! The host of the chaos run: adds units to listings that are sold out, so that there is something
//! to fight over until the end, changes prices and pins. What was acknowledged is durable by the
//! protocol's table, so the last acknowledged value must be in the ledger afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use vetrina_protocol::client::ClientMessage;
use vetrina_protocol::id::ListingId;
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::server::ServerMessage;

use super::shopper::Signals;
use crate::buyer::BuyerError;
use crate::customer::Customer;

/// Between two changes.
const CHANGES_EVERY: Duration = Duration::from_millis(150);
/// Units added at a time: fewer than are wanted.
const ADDED_MAX: u32 = 4;

/// What was acknowledged last.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) totals: BTreeMap<ListingId, u32>,
    pub(crate) prices: BTreeMap<ListingId, Money>,
    pub(crate) pin: Option<ListingId>,
}

pub(crate) struct Host {
    pub(crate) customer: Customer,
    pub(crate) settings: Settings,
    random: StdRng,
    signals: Signals,
    keys: u32,
}

impl Host {
    /// `totals`: as the listings were made.
    pub(crate) fn new(
        customer: Customer,
        totals: BTreeMap<ListingId, u32>,
        random: StdRng,
        signals: Signals,
    ) -> Self {
        let settings = Settings {
            totals,
            ..Settings::default()
        };
        Self {
            customer,
            settings,
            random,
            signals,
            keys: 0,
        }
    }

    /// Works until the sale closes.
    pub(crate) async fn work(mut self) -> Result<Self, BuyerError> {
        while *self.signals.open.borrow() {
            let listings: Vec<ListingId> = self.settings.totals.keys().copied().collect();
            let listing = listings[self.random.random_range(0..listings.len())];
            match self.random.random_range(0..10) {
                0..6 => self.add_units(listing).await?,
                6..8 => self.set_price(listing).await?,
                _ => self.pin(listing).await?,
            }
            self.customer.listen(CHANGES_EVERY).await?;
        }
        Ok(self)
    }

    async fn add_units(&mut self, listing: ListingId) -> Result<(), BuyerError> {
        let added = self.random.random_range(1..=ADDED_MAX);
        let total = self.settings.totals[&listing] + added;
        let (id, key) = self.next("stock");
        let command = ClientMessage::SetStock {
            id,
            key,
            listing,
            total,
        };
        if self.acknowledged(command).await? {
            self.settings.totals.insert(listing, total);
        }
        Ok(())
    }

    async fn set_price(&mut self, listing: ListingId) -> Result<(), BuyerError> {
        let price = Money::new(self.random.random_range(100..10_000), Currency::EUR);
        let (id, key) = self.next("price");
        let command = ClientMessage::SetPrice {
            id,
            key,
            listing,
            price,
        };
        if self.acknowledged(command).await? {
            self.settings.prices.insert(listing, price);
        }
        Ok(())
    }

    async fn pin(&mut self, listing: ListingId) -> Result<(), BuyerError> {
        let (id, key) = self.next("pin");
        let command = ClientMessage::Pin {
            id,
            key,
            listing,
            media_time: None,
        };
        if self.acknowledged(command).await? {
            self.settings.pin = Some(listing);
        }
        Ok(())
    }

    fn next(&mut self, what: &str) -> (u32, String) {
        self.keys += 1;
        (self.customer.id(), format!("{what}-{}", self.keys))
    }

    /// Whether it was carried out; a refusal is for good, everything else was tried again.
    async fn acknowledged(&mut self, command: ClientMessage) -> Result<bool, BuyerError> {
        let answer = self.customer.command(command).await?;
        Ok(matches!(answer, ServerMessage::Ok(_)))
    }
}
