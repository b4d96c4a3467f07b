//! The account of a round: the buyers' and the host's own logs against the server's books and the
//! provider's charges, never against the server's counters.

#![expect(clippy::print_stderr, reason = "a command-line tool")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use vetrina_protocol::id::{ListingId, OrderId, ShowId};
use vetrina_protocol::rest::Page;
use vetrina_protocol::server::Snapshot;
use vetrina_protocol::view::{DeskOrder, Listing, OrderState};

use super::host;
use crate::buyer::{self, BuyerError, Session};
use crate::customer::Log;
use crate::report::Figures;
use crate::server::Server;
use crate::stack::sandbox::{Charge, Provider};

/// Orders that nobody waits for settle within this time.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);
/// Screens agree with the books within this time.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Sums over all rounds.
#[derive(Debug, Default)]
pub(super) struct Account {
    orders: u32,
    paid: u32,
    lost: u32,
    oversold: u32,
    doubled: u32,
    orphan_charges: u32,
}

impl Account {
    pub(super) async fn settle(
        &mut self,
        server: &Server,
        provider: &Provider,
        show: ShowId,
        listings: &[Listing],
        buyers: &[Log],
        host: &host::Log,
    ) -> Result<(), BuyerError> {
        let books = settled(server, show).await?;
        self.compare_orders(&books, buyers);
        self.compare_stock(server, show, listings, &books, host)
            .await?;
        self.compare_charges(&provider.charges().await?, &books);
        Ok(())
    }

    pub(super) fn report(&self, figures: &mut Figures) {
        figures.add("orders", f64::from(self.orders));
        figures.add("paid", f64::from(self.paid));
        figures.add("lost", f64::from(self.lost));
        figures.add("oversold", f64::from(self.oversold));
        figures.add("doubled", f64::from(self.doubled));
        figures.add("orphan_charges", f64::from(self.orphan_charges));
    }

    /// Counts a loss and says which.
    fn lose(&mut self, lost: bool, what: impl FnOnce() -> String) {
        if lost {
            self.lost += 1;
            eprintln!("lost: {}", what());
        }
    }

    fn compare_orders(&mut self, books: &BTreeMap<OrderId, DeskOrder>, buyers: &[Log]) {
        for log in buyers {
            for orders in log.by_key.values() {
                let other = orders.iter().filter(|order| **order != orders[0]).count();
                self.doubled += u32::try_from(other).unwrap_or(u32::MAX);
            }
            for (id, told) in &log.orders {
                self.orders += 1;
                self.paid += u32::from(told.state == OrderState::Paid);
                let kept = books.get(id).is_some_and(|entry| {
                    entry.order.version >= told.version
                        && (told.state != OrderState::Paid || entry.order.state == OrderState::Paid)
                });
                let now = books
                    .get(id)
                    .map(|entry| (entry.order.state, entry.order.version));
                self.lose(!kept, || {
                    format!(
                        "order {id}: told {:?} version {}, now {now:?}",
                        told.state, told.version
                    )
                });
            }
        }
    }

    /// Units of orders that stand never exceed the total; prices and the pin are as acknowledged.
    async fn compare_stock(
        &mut self,
        server: &Server,
        show: ShowId,
        listings: &[Listing],
        books: &BTreeMap<OrderId, DeskOrder>,
        host: &host::Log,
    ) -> Result<(), BuyerError> {
        let mut sold: BTreeMap<ListingId, u32> = BTreeMap::new();
        for entry in books
            .values()
            .filter(|entry| entry.order.state == OrderState::Paid)
        {
            for line in &entry.order.lines {
                *sold.entry(line.listing).or_default() += line.quantity;
            }
        }
        let snapshot = caught_up(server, show, &sold).await?;
        for listing in listings {
            let sold = sold.get(&listing.id).copied().unwrap_or(0);
            self.oversold += sold.saturating_sub(listing.stock.total);
            let Some(now) = snapshot.listings.iter().find(|now| now.id == listing.id) else {
                self.lose(true, || format!("listing {} is gone", listing.id));
                continue;
            };
            let promised = now.stock.reserved + now.stock.claimed;
            self.oversold += promised.saturating_sub(now.stock.total);
            // What the buyers' screens say is what the ledger has.
            self.lose(now.stock.paid != sold, || {
                format!(
                    "listing {}: {sold} sold, screens say {:?}",
                    listing.id, now.stock
                )
            });
            let price = host.prices.get(&listing.id);
            self.lose(price.is_some_and(|price| !price.allows(&now.price)), || {
                format!(
                    "listing {}: price {:?}, host was told {price:?}",
                    listing.id, now.price
                )
            });
        }
        let pinned = snapshot.pin.map(|pin| pin.listing);
        let as_told = match pinned {
            Some(pinned) => host.pin.allows(&pinned),
            None => host.pin.acknowledged.is_none(),
        };
        self.lose(!as_told, || {
            format!("pin {pinned:?}, host was told {:?}", host.pin)
        });
        Ok(())
    }

    /// One charge an order; one that was not given back belongs to a paid order; none is missing.
    fn compare_charges(&mut self, charges: &[Charge], books: &BTreeMap<OrderId, DeskOrder>) {
        let mut count: BTreeMap<OrderId, u32> = BTreeMap::new();
        for charge in charges {
            let Some(entry) = books.get(&charge.order) else {
                continue;
            };
            *count.entry(charge.order).or_default() += 1;
            let paid = entry.order.state == OrderState::Paid;
            self.orphan_charges += u32::from(!charge.refunded && !paid);
            self.doubled += u32::from(charge.refunded && paid);
        }
        self.doubled += count.values().map(|count| count - 1).sum::<u32>();
        let unpaid = books
            .values()
            .filter(|entry| entry.order.state == OrderState::Paid)
            .filter(|entry| !count.contains_key(&entry.order.id))
            .count();
        for _ in 0..unpaid {
            self.lose(true, || "an order counts as paid without a charge".into());
        }
    }
}

/// What a newcomer is shown, once it counts what was sold. A snapshot is of the room's last tick
/// and the events since follow it: it may be a moment behind the books, but not for ever.
async fn caught_up(
    server: &Server,
    show: ShowId,
    sold: &BTreeMap<ListingId, u32>,
) -> Result<Snapshot, BuyerError> {
    let deadline = Instant::now() + SHOWN_WITHIN;
    loop {
        let source = buyer::source_address(0);
        let (_, welcome) = Session::open(server.address, source, show, server.token()).await?;
        let snapshot = welcome
            .snapshot
            .ok_or_else(|| BuyerError::Protocol("a first Welcome without a snapshot".into()))?;
        let shown =
            |listing: &Listing| listing.stock.paid == sold.get(&listing.id).copied().unwrap_or(0);
        if snapshot.listings.iter().all(shown) || Instant::now() > deadline {
            return Ok(snapshot);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// All orders of the show, once none is open any more: one whose answer was lost with the server
/// has nobody to pay it and runs out by itself.
async fn settled(
    server: &Server,
    show: ShowId,
) -> Result<BTreeMap<OrderId, DeskOrder>, BuyerError> {
    let deadline = Instant::now() + SETTLED_WITHIN;
    loop {
        let books = orders(server, show).await?;
        let open = books
            .values()
            .any(|entry| entry.order.state == OrderState::Refunding);
        if !open || Instant::now() > deadline {
            return Ok(books);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn orders(server: &Server, show: ShowId) -> Result<BTreeMap<OrderId, DeskOrder>, BuyerError> {
    let mut all = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/shows/{show}/orders?limit=200{cursor}");
        let page: Page<DeskOrder> = server.read(&path).await?;
        all.extend(page.items.into_iter().map(|entry| (entry.order.id, entry)));
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(all),
        }
    }
}
