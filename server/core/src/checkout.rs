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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use vetrina_protocol::money::Currency;

    const VASE: ListingId = ListingId(1);
    const BOWL: ListingId = ListingId(2);

    fn book(total: u32, per_buyer: u32) -> ClaimBook {
        let row = |listing| StockRow {
            listing,
            total,
            claimed: 0,
            paid: 0,
            per_buyer,
            version: 1,
        };
        ClaimBook {
            stock: [VASE, BOWL].map(|listing| (listing, row(listing))).into(),
            ..ClaimBook::default()
        }
    }

    fn line(reservation: u128, listing: ListingId, quantity: u32) -> ClaimLine {
        ClaimLine {
            reservation: ReservationId(reservation),
            listing,
            quantity,
            unit_price: Money::new(250, Currency::EUR),
        }
    }

    fn request(number: u128, buyer: u128, lines: Vec<ClaimLine>) -> ClaimRequest {
        ClaimRequest {
            order: OrderId(number),
            buyer: UserId(buyer),
            key: number.to_string(),
            body: BodyDigest([1; 32]),
            lines,
        }
    }

    fn code(answer: &ClaimAnswer) -> Option<RefusalCode> {
        match answer {
            ClaimAnswer::Refused(refused) => Some(refused.code),
            ClaimAnswer::Claimed { .. } | ClaimAnswer::Existing { .. } => None,
        }
    }

    #[test]
    fn a_batch_is_decided_in_order_and_each_bag_whole() {
        let mut book = book(2, 2);
        let answers = decide_claims(
            &mut book,
            &[
                request(1, 1, vec![line(1, VASE, 1), line(2, BOWL, 2)]),
                request(2, 2, vec![line(3, VASE, 1), line(4, BOWL, 1)]),
                request(3, 3, vec![line(5, VASE, 2)]),
                request(4, 3, vec![line(6, VASE, 1)]),
            ],
        );
        let total = Money::new(750, Currency::EUR);
        let order = OrderId(1);
        assert_eq!(answers[0], ClaimAnswer::Claimed { order, total });
        assert_eq!(
            code(&answers[1]),
            Some(RefusalCode::SoldOut),
            "the bowls are gone"
        );
        assert_eq!(
            code(&answers[2]),
            Some(RefusalCode::TooFew),
            "a refused bag took nothing"
        );
        assert_eq!(code(&answers[3]), None);
        assert_eq!(
            (book.stock[&VASE].claimed, book.stock[&BOWL].claimed),
            (2, 2)
        );
        assert_eq!(book.changed.len(), 2);
        assert!(book.stock[&VASE].version > 1);
    }

    #[test]
    fn a_key_makes_one_order_and_a_reservation_is_in_one() {
        let mut book = book(5, 5);
        let first = request(1, 1, vec![line(1, VASE, 1)]);
        let mut reused = first.clone();
        reused.body = BodyDigest([2; 32]);
        let stolen = request(2, 1, vec![line(1, VASE, 1)]);
        let mut other_buyer = first.clone();
        other_buyer.buyer = UserId(2);
        other_buyer.lines = vec![line(9, VASE, 1)];
        let batch = [first.clone(), first, reused, stolen, other_buyer];
        let answers = decide_claims(&mut book, &batch);
        assert_eq!(answers[1], ClaimAnswer::Existing { order: OrderId(1) });
        assert_eq!(code(&answers[2]), Some(RefusalCode::KeyReused));
        assert_eq!(code(&answers[3]), Some(RefusalCode::ReservationClosed));
        assert_eq!(code(&answers[4]), None, "keys are each buyer's own");
        assert_eq!(book.stock[&VASE].claimed, 2);
    }

    #[test]
    fn the_buyers_limit_counts_all_lines_and_orders() {
        let mut book = book(9, 3);
        let two_lines = vec![line(1, VASE, 1), line(2, VASE, 2)];
        let answers = decide_claims(
            &mut book,
            &[
                request(1, 1, two_lines),
                request(2, 1, vec![line(3, VASE, 1)]),
            ],
        );
        assert_eq!(code(&answers[0]), None);
        assert_eq!(code(&answers[1]), Some(RefusalCode::BuyerLimit));
        book.give_back(UserId(1), &[line(1, VASE, 1)], false);
        assert_eq!(book.buyer_units[&(VASE, UserId(1))], 2);
        assert!(book.take(UserId(1), &[line(4, VASE, 1)]).is_ok());
    }

    #[test]
    fn bad_bags_are_refused() {
        let mut book = book(9, 9);
        let twice = vec![line(1, VASE, 1), line(1, VASE, 1)];
        let mut dollars = line(2, VASE, 1);
        dollars.unit_price.currency = "USD".parse().unwrap();
        let mixed = vec![line(1, VASE, 1), dollars];
        let unknown = vec![line(1, ListingId(77), 1)];
        let bags = [vec![], twice, mixed, unknown, vec![line(1, VASE, 0)]];
        let requests: Vec<_> = (1..).zip(bags).map(|(n, bag)| request(n, 1, bag)).collect();
        let codes: Vec<_> = decide_claims(&mut book, &requests)
            .iter()
            .map(code)
            .collect();
        use RefusalCode as R;
        let expected = [
            R::Invalid,
            R::Invalid,
            R::Currency,
            R::ListingUnknown,
            R::Invalid,
        ];
        assert_eq!(codes, expected.map(Some));
        assert!(book.changed.is_empty());
    }

    proptest! {
        #[test]
        fn never_beyond_total_or_limit(
            total in 0u32..12,
            per_buyer in 1u32..5,
            bags in prop::collection::vec((0u128..4, 1u32..4, 0u32..3), 0..40),
        ) {
            let mut book = book(total, per_buyer);
            let requests: Vec<_> = (1u128..)
                .zip(bags)
                .map(|(n, (buyer, vases, bowls))| {
                    let mut lines = vec![line(n * 2, VASE, vases)];
                    if bowls > 0 {
                        lines.push(line(n * 2 + 1, BOWL, bowls));
                    }
                    request(n, buyer, lines)
                })
                .collect();
            let answers = decide_claims(&mut book, &requests);
            let mut sold = BTreeMap::new();
            for (request, answer) in requests.iter().zip(&answers) {
                if let ClaimAnswer::Claimed { .. } = answer {
                    for line in &request.lines {
                        *sold.entry(line.listing).or_insert(0) += line.quantity;
                    }
                }
            }
            for (listing, row) in &book.stock {
                prop_assert!(row.claimed <= total);
                prop_assert_eq!(row.claimed, sold.get(listing).copied().unwrap_or(0));
            }
            prop_assert!(book.buyer_units.values().all(|units| *units <= per_buyer));
        }
    }
}
