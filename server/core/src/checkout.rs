//! Claims: which checkouts the ledger promises units to. Pure decisions over rows that the ledger
//! read in its transaction and will write set-wise afterwards.
//!
//! It refuses to know SQL, the hot store and the provider. What happens to an order after its
//! claim is [`crate::order`]'s.

use std::collections::{BTreeMap, BTreeSet};

use vetrina_protocol::BAG_LINES_MAX;
use vetrina_protocol::id::{ListingId, OrderId, ReservationId, UserId};
use vetrina_protocol::money::Money;
use vetrina_protocol::refusal::RefusalCode;

use crate::breakage::{self, Breakage};
use crate::refused::Refused;
use crate::reservation::check_quantity;

/// The ledger's row of one listing in one show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StockRow {
    /// Which.
    pub listing: ListingId,
    /// Units the show may sell.
    pub total: u32,
    /// Units of pending and paid orders.
    pub claimed: u32,
    /// Of those, paid.
    pub paid: u32,
    /// Most units of one buyer.
    pub per_buyer: u32,
    /// Grows with every change.
    pub version: u64,
}

/// One reservation to be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimLine {
    /// Which; becomes an order line's unique reservation.
    pub reservation: ReservationId,
    /// Of what.
    pub listing: ListingId,
    /// Units.
    pub quantity: u32,
    /// Price of one, as reserved.
    pub unit_price: Money,
}

/// One checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The order to make.
    pub order: OrderId,
    /// Whose.
    pub buyer: UserId,
    /// Idempotency key, unique with the buyer.
    pub key: String,
    /// What the request said, hashed by the caller: the same key with another body is refused.
    pub body: BodyDigest,
    /// All or nothing.
    pub lines: Vec<ClaimLine>,
}

/// A hash of a request's body, so that a repeated key can be told from a reused one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BodyDigest(pub [u8; 32]);

/// An order that (buyer, key) made before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownOrder {
    /// Which.
    pub order: OrderId,
    /// Of the request that made it.
    pub body: BodyDigest,
}

/// What the ledger said to one checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimAnswer {
    /// Units are promised; write the order.
    Claimed {
        /// The order.
        order: OrderId,
        /// To pay.
        total: Money,
    },
    /// This buyer's key made this order before; nothing to write.
    Existing {
        /// The order.
        order: OrderId,
    },
    /// `invalid`, `currency`, `key_reused`, `reservation_closed`, `listing_unknown`, `sold_out`,
    /// `too_few`, `buyer_limit`.
    Refused(Refused),
}

/// The rows a batch of claims needs, read in the transaction that will write them back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimBook {
    /// Every listing that a line names and that exists.
    pub stock: BTreeMap<ListingId, StockRow>,
    /// Units owned per listing and buyer; missing is none.
    pub buyer_units: BTreeMap<(ListingId, UserId), u32>,
    /// Orders that a buyer's key made before.
    pub orders: BTreeMap<(UserId, String), KnownOrder>,
    /// Orders that reservations of the batch are part of already, whatever became of the order.
    pub reservations: BTreeMap<ReservationId, OrderId>,
    /// Listings whose row was changed by the decisions: write these, with `buyer_units` of
    /// `changed_buyers`.
    pub changed: BTreeSet<ListingId>,
    /// Entries of `buyer_units` that were changed.
    pub changed_buyers: BTreeSet<(ListingId, UserId)>,
}

/// Decides a batch in order: each request sees what the ones before it were granted. The book is
/// updated to what must be written.
#[must_use]
pub fn decide_claims(book: &mut ClaimBook, requests: &[ClaimRequest]) -> Vec<ClaimAnswer> {
    requests
        .iter()
        .map(|request| match book.claim(request) {
            Ok(answer) => answer,
            Err(refused) => ClaimAnswer::Refused(refused),
        })
        .collect()
}

impl ClaimBook {
    /// One checkout. A refusal changes nothing.
    ///
    /// # Errors
    /// See [`ClaimAnswer::Refused`].
    pub fn claim(&mut self, request: &ClaimRequest) -> Result<ClaimAnswer, Refused> {
        let key = (request.buyer, request.key.clone());
        if let Some(known) = self.orders.get(&key) {
            if known.body == request.body {
                return Ok(ClaimAnswer::Existing { order: known.order });
            }
            return Err(Refused::new(
                RefusalCode::KeyReused,
                "key: it made another order before; use a new key for a new checkout",
            ));
        }
        let total = check_lines(&request.lines)?;
        if request
            .lines
            .iter()
            .any(|line| self.reservations.contains_key(&line.reservation))
        {
            return Err(Refused::new(
                RefusalCode::ReservationClosed,
                "a reservation in this bag is part of another order already; remove it",
            ));
        }
        self.take(request.buyer, &request.lines)?;
        let known = KnownOrder {
            order: request.order,
            body: request.body,
        };
        self.orders.insert(key, known);
        for line in &request.lines {
            self.reservations.insert(line.reservation, request.order);
        }
        Ok(ClaimAnswer::Claimed {
            order: request.order,
            total,
        })
    }

    /// Promises the units of all lines to `buyer`, or of none. This alone is what a late payment
    /// of an expired order needs (`OrderOutput::Reclaim`).
    ///
    /// # Errors
    /// `listing_unknown`, `sold_out`, `too_few`, `buyer_limit`.
    pub fn take(&mut self, buyer: UserId, lines: &[ClaimLine]) -> Result<(), Refused> {
        let wanted = units_per_listing(lines);
        for (listing, quantity) in &wanted {
            let row = self.stock.get(listing).ok_or_else(listing_unknown)?;
            let owned = self
                .buyer_units
                .get(&(*listing, buyer))
                .copied()
                .unwrap_or(0);
            may_claim(row, owned, *quantity)?;
        }
        for (listing, quantity) in wanted {
            self.shift(listing, buyer, i64::from(quantity), 0);
        }
        Ok(())
    }

    /// Gives the units of an order back (`OrderOutput::ReleaseUnits`); `paid` when they had been
    /// counted as paid.
    pub fn give_back(&mut self, buyer: UserId, lines: &[ClaimLine], paid: bool) {
        for (listing, quantity) in units_per_listing(lines) {
            let quantity = i64::from(quantity);
            self.shift(listing, buyer, -quantity, if paid { -quantity } else { 0 });
        }
    }

    /// Counts the units of an order as paid (`OrderOutput::MarkPaid`).
    pub fn mark_paid(&mut self, buyer: UserId, lines: &[ClaimLine]) {
        for (listing, quantity) in units_per_listing(lines) {
            self.shift(listing, buyer, 0, i64::from(quantity));
        }
    }

    fn shift(&mut self, listing: ListingId, buyer: UserId, claimed: i64, paid: i64) {
        let Some(row) = self.stock.get_mut(&listing) else {
            return;
        };
        row.claimed = shifted(row.claimed, claimed);
        row.paid = shifted(row.paid, paid).min(row.claimed);
        row.version += 1;
        self.changed.insert(listing);
        if claimed != 0 {
            let owned = self.buyer_units.entry((listing, buyer)).or_default();
            *owned = shifted(*owned, claimed);
            self.changed_buyers.insert((listing, buyer));
        }
    }
}

/// The guard that nothing can oversell past: it runs inside the ledger's transaction.
fn may_claim(row: &StockRow, owned: u32, quantity: u32) -> Result<(), Refused> {
    if u64::from(owned) + u64::from(quantity) > u64::from(row.per_buyer) {
        return Err(Refused::new(
            RefusalCode::BuyerLimit,
            format!(
                "one buyer may have {} of this listing, and you have {owned}",
                row.per_buyer
            ),
        ));
    }
    let slack = u64::from(breakage::is_on(Breakage::Oversell));
    if u64::from(row.claimed) + u64::from(quantity) <= u64::from(row.total) + slack {
        return Ok(());
    }
    let free = row.total.saturating_sub(row.claimed);
    if free == 0 {
        return Err(Refused::new(
            RefusalCode::SoldOut,
            "the last unit was sold to somebody else; join the waitlist",
        ));
    }
    Err(Refused::new(
        RefusalCode::TooFew,
        format!("only {free} units are left; ask for at most {free}"),
    ))
}

fn check_lines(lines: &[ClaimLine]) -> Result<Money, Refused> {
    if lines.is_empty() || lines.len() > BAG_LINES_MAX {
        return Err(Refused::new(
            RefusalCode::Invalid,
            format!("reservations: a bag has from 1 to {BAG_LINES_MAX}"),
        ));
    }
    let distinct: BTreeSet<_> = lines.iter().map(|line| line.reservation).collect();
    if distinct.len() != lines.len() {
        return Err(Refused::new(
            RefusalCode::Invalid,
            "reservations: the same one is named twice; name each once",
        ));
    }
    let mut total = Money::new(0, lines[0].unit_price.currency);
    for line in lines {
        check_quantity(line.quantity)?;
        if line.unit_price.currency != total.currency {
            return Err(Refused::new(
                RefusalCode::Currency,
                "reservations: an order has one currency; check out one currency at a time",
            ));
        }
        let sum = line
            .unit_price
            .times(line.quantity)
            .and_then(|line| total.plus(line));
        total = sum.ok_or_else(|| {
            Refused::new(
                RefusalCode::Invalid,
                "reservations: the sum is too large; buy less",
            )
        })?;
    }
    Ok(total)
}

fn units_per_listing(lines: &[ClaimLine]) -> BTreeMap<ListingId, u32> {
    let mut units = BTreeMap::new();
    for line in lines {
        let sum: &mut u32 = units.entry(line.listing).or_default();
        *sum = sum.saturating_add(line.quantity);
    }
    units
}

fn shifted(value: u32, by: i64) -> u32 {
    u32::try_from((i64::from(value) + by).max(0)).unwrap_or(u32::MAX)
}

fn listing_unknown() -> Refused {
    Refused::new(
        RefusalCode::ListingUnknown,
        "a listing of this bag is not part of the show",
    )
}
