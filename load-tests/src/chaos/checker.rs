//! The checker: when everything is quiet it compares the ledger's rows, the provider's charges,
//! what newcomers to each node are shown, and the logs of all clients. It never asks the server for
//! its opinion of itself. Each finding is printed; the figures count them.

#![expect(clippy::print_stderr, reason = "a command-line tool")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use vetrina_protocol::id::{ListingId, OrderId, ShowId};
use vetrina_protocol::server::{ServerMessage, Snapshot, Welcome};
use vetrina_protocol::view::OrderState;

use super::account::Fate;
use super::host::Settings;
use super::ledger::{Books, Sold};
use super::shopper::Shopper;
use crate::buyer::{self, BuyerError, Session};
use crate::follower::{Follower, disagreements};
use crate::report::Figures;
use crate::server::Server;
use crate::stack::StackError;
use crate::stack::sandbox::{Charge, Provider};

/// Payments settle and reservations run out within this time.
const QUIET_WITHIN: Duration = Duration::from_secs(60);
/// The provider charges this long after an order was given up, at most.
const LATE_WITHIN: Duration = Duration::from_secs(3);
/// Twice the lease of a node's viewers, which is 15 s.
const PRESENCE_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A watcher is told how many watch at least this often.
const AUDIENCE_WITHIN: Duration = Duration::from_secs(8);
/// Findings of one kind that are printed.
const PRINTED_MAX: u32 = 10;

/// Counts of what should not be.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    oversold: i64,
    doubled: u32,
    lost: u32,
    orphan_charges: u32,
    /// Sums that do not add up: I1, and screens that do not show the books.
    books_wrong: u32,
    presence_wrong: u32,
    granted: u32,
    broken: u32,
    offset_gaps: u32,
    resumed: u32,
    resets: u32,
    comments_lost: u32,
    orders: usize,
    paid: usize,
}

/// Where the checker looks.
pub(crate) struct Places<'a> {
    pub(crate) database: &'a str,
    pub(crate) provider: &'a Provider,
    pub(crate) servers: &'a [Server],
    pub(crate) show: ShowId,
}

impl Findings {
    fn find(&mut self, of: fn(&mut Self) -> &mut u32, what: impl FnOnce() -> String) {
        let count = of(self);
        *count += 1;
        if *count <= PRINTED_MAX {
            eprintln!("found: {}", what());
        }
    }

    /// I1, I2, I3 and the charges; while the clients are still there. `most`: the most units that
    /// were seen to be promised beyond what there was, at any time.
    pub(crate) async fn books(
        &mut self,
        places: &Places<'_>,
        host: &Settings,
        most: i64,
    ) -> Result<Books, StackError> {
        let books = quiet(places).await?;
        if !books.is_quiet() {
            self.unsettled(&books);
        }
        self.orders = books.orders.len();
        self.paid = books
            .orders
            .values()
            .filter(|order| order.is_paid())
            .count();
        self.stock(&books, most);
        for (n, server) in places.servers.iter().enumerate() {
            let welcome = shown(server, places.show, &books).await?;
            for entry in welcome.desk.iter().flat_map(|desk| &desk.reservations) {
                eprintln!("found: node {} has {:?}", n + 1, entry.reservation);
            }
            let snapshot = welcome.snapshot.ok_or_else(no_snapshot)?;
            self.screens(n, &snapshot, &books);
            self.settings(&snapshot, &books, host);
        }
        self.charges(&places.provider.charges().await?, &books);
        Ok(books)
    }

    fn unsettled(&mut self, books: &Books) {
        let open = books.orders.iter().filter(|(_, order)| !order.is_settled());
        for (id, order) in open {
            self.find(
                |it| &mut it.books_wrong,
                || format!("order {id} is still {} after {QUIET_WITHIN:?}", order.phase),
            );
        }
        if books.outbox > 0 {
            self.find(
                |it| &mut it.books_wrong,
                || format!("{} pieces of work wait in the outbox", books.outbox),
            );
        }
    }

    /// The ledger's own sums, counted again from its orders.
    fn stock(&mut self, books: &Books, most: i64) {
        let mut now = 0;
        for (id, sold) in &books.listings {
            let (promised, paid) = (books.promised(*id), books.paid(*id));
            let beyond = promised.max(sold.claimed) - sold.total;
            now += beyond.max(0);
            if promised != sold.claimed || paid != sold.paid || sold.claimed < 0 {
                self.find(
                    |it| &mut it.books_wrong,
                    || format!("listing {id}: {sold:?}, but orders say {promised} and {paid} paid"),
                );
            }
        }
        self.oversold = now.max(most);
        if self.oversold > 0 {
            eprintln!("found: {now} units oversold at the end, {most} at worst");
        }
    }

    /// I1 by what people see: the hot store's figures.
    fn screens(&mut self, node: usize, snapshot: &Snapshot, books: &Books) {
        for listing in &snapshot.listings {
            let stock = listing.stock;
            let sums = stock.reserved + stock.claimed + stock.available == stock.total;
            let same = books
                .listings
                .get(&listing.id)
                .is_some_and(|sold| agrees(sold, stock));
            if !sums || !same {
                self.find(
                    |it| &mut it.books_wrong,
                    || {
                        let sold = books.listings.get(&listing.id);
                        format!("node {} shows {stock:?}, the ledger has {sold:?}", node + 1)
                    },
                );
            }
        }
    }

    /// I3: what the host was told is there.
    fn settings(&mut self, snapshot: &Snapshot, books: &Books, host: &Settings) {
        for (id, total) in &host.totals {
            let sold = books.listings.get(id);
            if sold.is_none_or(|sold| sold.total != i64::from(*total)) {
                let what = || format!("listing {id}: the host was told {total}, now {sold:?}");
                self.find(|it| &mut it.lost, what);
            }
        }
        for (id, price) in &host.prices {
            let sold = books.listings.get(id);
            if sold.is_none_or(|sold| sold.price_minor != price.amount_minor) {
                let what = || format!("listing {id}: the host was told {price:?}, now {sold:?}");
                self.find(|it| &mut it.lost, what);
            }
        }
        let pinned = snapshot.pin.map(|pin| pin.listing);
        if host.pin.is_some() && pinned != host.pin {
            self.find(
                |it| &mut it.lost,
                || format!("the host was told {:?} is pinned, now {pinned:?}", host.pin),
            );
        }
    }

    /// One charge an order; one that was kept belongs to a paid order; none is missing.
    fn charges(&mut self, charges: &[Charge], books: &Books) {
        let mut count: BTreeMap<OrderId, u32> = BTreeMap::new();
        for charge in charges {
            let order = books.orders.get(&charge.order);
            let paid = order.is_some_and(super::ledger::OrderRow::is_paid);
            *count.entry(charge.order).or_default() += 1;
            let phase = order.map(|order| order.phase.clone());
            if charge.refunded == paid {
                let what = || {
                    let given_back = if charge.refunded {
                        "given back"
                    } else {
                        "kept"
                    };
                    format!(
                        "a charge of order {} is {given_back}: {phase:?}",
                        charge.order
                    )
                };
                let of: fn(&mut Self) -> &mut u32 = if paid {
                    |it| &mut it.doubled
                } else {
                    |it| &mut it.orphan_charges
                };
                self.find(of, what);
            }
            let amount = order.map(|order| order.total_minor);
            if amount.is_some_and(|amount| amount != charge.amount.amount_minor) {
                let what = || format!("order {}: {amount:?}, charged {charge:?}", charge.order);
                self.find(|it| &mut it.books_wrong, what);
            }
        }
        for (order, times) in count.iter().filter(|(_, times)| **times > 1) {
            let what = || format!("order {order} was charged {times} times");
            self.find(|it| &mut it.doubled, what);
        }
        for (id, order) in &books.orders {
            if order.is_paid() && !count.contains_key(id) {
                let what = || format!("order {id} counts as paid without a charge");
                self.find(|it| &mut it.lost, what);
            }
        }
    }

    /// I2 and I3 by what the buyers were told, and their promises.
    pub(crate) fn buyers(&mut self, shoppers: &[Shopper], books: &Books) {
        let mut keys: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for order in books.orders.values() {
            *keys.entry((&order.buyer, &order.key)).or_default() += 1;
        }
        for (key, times) in keys.iter().filter(|(_, times)| **times > 1) {
            let what = || format!("{times} orders of one key of one buyer: {key:?}");
            self.find(|it| &mut it.doubled, what);
        }
        for shopper in shoppers {
            self.one_buyer(shopper, books);
        }
    }

    fn one_buyer(&mut self, shopper: &Shopper, books: &Books) {
        let log = &shopper.customer.log;
        for (key, orders) in &log.by_key {
            if orders.iter().any(|order| *order != orders[0]) {
                let what = || format!("the key {key} was answered with {orders:?}");
                self.find(|it| &mut it.doubled, what);
            }
        }
        for (id, told) in &log.orders {
            let row = books.orders.get(id);
            let version = i64::try_from(told.version).unwrap_or(i64::MAX);
            let kept = row.is_some_and(|row| {
                row.version >= version && (told.state != OrderState::Paid || row.is_paid())
            });
            if !kept {
                self.find(
                    |it| &mut it.lost,
                    || {
                        format!(
                            "order {id}: told {:?} version {version}, now {row:?}",
                            told.state
                        )
                    },
                );
            }
        }
        for (id, grant) in &shopper.account.grants {
            self.granted += 1;
            if let Fate::Broken { how, at_ms } = grant.fate {
                let (from, until) = (grant.granted_at_ms, grant.expires_at_ms);
                let turn = if grant.from_waitlist {
                    " by its turn"
                } else {
                    ""
                };
                let what = || {
                    format!(
                        "reservation {id} was granted{turn} at {from} ms until {until} ms; \
                         at {at_ms} ms: {how}"
                    )
                };
                self.find(|it| &mut it.broken, what);
            }
        }
    }

    /// I4: every client's offsets, and that all were told the same.
    pub(crate) fn logs(&mut self, shoppers: &[Shopper], others: &[&Follower]) {
        let mut all: Vec<&Follower> = shoppers
            .iter()
            .map(|shopper| &shopper.customer.follower)
            .collect();
        all.extend(others);
        for follower in &all {
            self.offset_gaps += follower.gaps;
            self.resumed += follower.resumed;
            self.resets += follower.resets;
        }
        let differ = disagreements(&all);
        if self.offset_gaps > 0 {
            eprintln!("found: {} gaps in offsets", self.offset_gaps);
        }
        for what in differ {
            self.find(|it| &mut it.offset_gaps, || what);
        }
        let told: std::collections::BTreeSet<&str> = all
            .iter()
            .flat_map(|follower| follower.seen.values().map(String::as_str))
            .collect();
        let said = shoppers
            .iter()
            .flat_map(|shopper| &shopper.account.comments);
        let lost = said.filter(|id| !told.contains(format!("comment {id}").as_str()));
        self.comments_lost = u32::try_from(lost.count()).unwrap_or(u32::MAX);
    }

    /// I5: every node shows how many watch, within twice the lease.
    pub(crate) async fn presence(
        &mut self,
        places: &Places<'_>,
        watching: usize,
    ) -> Result<Duration, BuyerError> {
        let began = Instant::now();
        for (n, server) in places.servers.iter().enumerate() {
            let mut shown = None;
            while shown.map(|shown: u32| shown as usize) != Some(watching)
                && began.elapsed() < PRESENCE_WITHIN
            {
                shown = viewers(server, places.show, watching).await?;
            }
            if shown.map(|shown| shown as usize) != Some(watching) {
                self.find(
                    |it| &mut it.presence_wrong,
                    || {
                        format!(
                            "node {} shows {shown:?} viewers, there are {watching}",
                            n + 1
                        )
                    },
                );
            }
        }
        Ok(began.elapsed())
    }

    pub(crate) fn report(&self, figures: &mut Figures) {
        let count = |figures: &mut Figures, name, value: u32| figures.add(name, f64::from(value));
        count(figures, "reservations", self.granted);
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        for (name, value) in [("orders", self.orders), ("paid", self.paid)] {
            figures.add(name, value as f64);
        }
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        figures.add("oversold", self.oversold as f64);
        count(figures, "doubled", self.doubled);
        count(figures, "lost", self.lost);
        count(figures, "orphan_charges", self.orphan_charges);
        let percent = 100.0 * f64::from(self.broken) / f64::from(self.granted.max(1));
        figures.add("broken_promises_percent", percent);
        count(figures, "broken_promises", self.broken);
        count(figures, "books_wrong", self.books_wrong);
        count(figures, "offset_gaps", self.offset_gaps);
        count(figures, "resumed", self.resumed);
        count(figures, "resets", self.resets);
        count(figures, "comments_lost", self.comments_lost);
        count(figures, "presence_wrong", self.presence_wrong);
    }
}

/// The books once nothing is under way here or at the provider, or as they are when that takes too
/// long.
async fn quiet(places: &Places<'_>) -> Result<Books, StackError> {
    let deadline = Instant::now() + QUIET_WITHIN;
    let mut since = None;
    loop {
        let books = Books::read(places.database, places.show).await?;
        let charges = places.provider.charges().await?;
        let settled = |charge: &Charge| {
            let order = books.orders.get(&charge.order);
            order.is_some_and(|order| order.is_paid() != charge.refunded)
        };
        let is_quiet = books.is_quiet() && charges.iter().all(settled);
        let quiet_for = is_quiet.then(|| since.get_or_insert_with(Instant::now).elapsed());
        if quiet_for.is_none() {
            since = None;
        }
        if quiet_for.is_some_and(|time| time > LATE_WITHIN) || Instant::now() > deadline {
            return Ok(books);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What a newcomer is shown once it agrees with the books, or at last: reservations that nobody
/// remembers run out by themselves.
async fn shown(server: &Server, show: ShowId, books: &Books) -> Result<Welcome, BuyerError> {
    let deadline = Instant::now() + QUIET_WITHIN;
    loop {
        let source = buyer::source_address(0);
        let (_, welcome) = Session::open(server.address, source, show, server.token()).await?;
        let snapshot = welcome.snapshot.as_ref().ok_or_else(no_snapshot)?;
        let sold = |id: &ListingId| books.listings.get(id);
        let agree = snapshot
            .listings
            .iter()
            .all(|shown| sold(&shown.id).is_some_and(|sold| agrees(sold, shown.stock)));
        if agree || Instant::now() > deadline {
            return Ok(*welcome);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn no_snapshot() -> BuyerError {
    BuyerError::Protocol("a first Welcome without a snapshot".into())
}

/// Nobody has a reservation any more: all buyers gave theirs back, ordered, or let them run out.
fn agrees(sold: &Sold, shown: vetrina_protocol::view::Stock) -> bool {
    i64::from(shown.total) == sold.total
        && i64::from(shown.claimed) == sold.claimed
        && i64::from(shown.paid) == sold.paid
        && shown.reserved == 0
}

/// How many watch, as a host at this node is told: the wanted number as soon as it comes, else the
/// last one.
async fn viewers(server: &Server, show: ShowId, wanted: usize) -> Result<Option<u32>, BuyerError> {
    let source = buyer::source_address(0);
    let (mut session, welcome) =
        Session::open(server.address, source, show, server.token()).await?;
    let mut last = welcome.snapshot.map(|snapshot| snapshot.viewers);
    let deadline = tokio::time::Instant::now() + AUDIENCE_WITHIN;
    while last.map(|last| last as usize) != Some(wanted) {
        match tokio::time::timeout_at(deadline, session.next()).await {
            Ok(Ok(ServerMessage::Audience { viewers, .. })) => last = Some(viewers),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => break,
        }
    }
    Ok(last)
}
