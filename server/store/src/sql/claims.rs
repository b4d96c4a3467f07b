//! A batch of claims in one transaction: rows are read as sets, core decides, what changed is
//! written as sets. The number of statements does not grow with the number of claims.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use vetrina_core::checkout::{ClaimAnswer, ClaimBook, ClaimLine, StockRow, decide_claims};
use vetrina_core::hot::{BuyerUnits, Mirror, Settled};
use vetrina_core::order::OrderLife;
use vetrina_core::refused::Refused;
use vetrina_protocol::id::{ListingId, OrderId, SellerId, ShowId, UserId};
use vetrina_protocol::money::Money;

use super::db::{Db, query, query_either};
use super::{claim_rows, listings, order_rows, shows};
use crate::ledger::{Checkout, Claimed, ListingRow, OrderLineRow, OrderRow, ShowRow};

/// Set by [`crate::ledger::without_guard`] alone: then every listing has units without end.
pub(crate) static GUARD_IS_OFF: AtomicBool = AtomicBool::new(false);

/// Decides and writes all of them; the answers are in the order asked.
pub(super) async fn claim_batch(
    db: &mut Db<'_>,
    checkouts: &[Checkout],
) -> sqlx::Result<Vec<Result<Claimed, Refused>>> {
    let mut batch = Batch::read(db, checkouts).await?;
    let (asked, mut answers) = batch.sort_out(checkouts);
    let requests: Vec<_> = asked
        .iter()
        .map(|index| checkouts[*index].claim.clone())
        .collect();
    if GUARD_IS_OFF.load(Ordering::Relaxed) {
        for row in batch.book.stock.values_mut() {
            row.total = u32::MAX;
        }
    }
    let decided = decide_claims(&mut batch.book, &requests);
    let mut made = Vec::new();
    for (index, answer) in asked.into_iter().zip(decided) {
        match answer {
            ClaimAnswer::Claimed { order, total } => made.push((index, order, total)),
            ClaimAnswer::Existing { order } => answers[index] = Some(Answer::Existing(order)),
            ClaimAnswer::Refused(refused) => answers[index] = Some(Answer::Refused(refused)),
        }
    }
    write_book(db, &mut batch.listings, &batch.book).await?;
    let orders = batch.make_orders(db, checkouts, &made).await?;
    claim_rows::insert_orders(db, checkouts, &made, &orders).await?;
    for ((index, _, _), order) in made.iter().zip(orders) {
        answers[*index] = Some(Answer::Made(Box::new(order)));
    }
    batch.answer(db, checkouts, answers).await
}

/// The rows of these listings as core wants them.
pub(super) fn stock_rows(
    listings: &BTreeMap<ListingId, ListingRow>,
) -> BTreeMap<ListingId, StockRow> {
    let row = |listing: &ListingRow| StockRow {
        listing: listing.id,
        total: listing.total,
        claimed: listing.claimed,
        paid: listing.paid,
        per_buyer: listing.per_buyer,
        version: listing.version,
    };
    listings
        .iter()
        .map(|(id, listing)| (*id, row(listing)))
        .collect()
}

/// Units that these buyers own of these listings.
pub(super) async fn units_of(
    db: &mut Db<'_>,
    pairs: &BTreeSet<(ListingId, UserId)>,
) -> sqlx::Result<BTreeMap<(ListingId, UserId), u32>> {
    let rows = query_either(
        "SELECT b.listing, b.buyer, b.units FROM json_each($1) j CROSS JOIN buyer_units b
         ON b.listing = j.value ->> 0 AND b.buyer = j.value ->> 1",
        "SELECT b.listing, b.buyer, b.units FROM jsonb_array_elements($1::jsonb) j
         JOIN buyer_units b ON b.listing = (j ->> 0)::uuid AND b.buyer = (j ->> 1)::uuid",
    )
    .bind_rows(pairs)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| Ok(((row.id("listing")?, row.id("buyer")?), row.count("units")?)))
        .collect()
}

/// Writes what core changed in the book, and brings `listings` up to it.
pub(super) async fn write_book(
    db: &mut Db<'_>,
    listings: &mut BTreeMap<ListingId, ListingRow>,
    book: &ClaimBook,
) -> sqlx::Result<()> {
    let mut stock = Vec::new();
    for id in &book.changed {
        if let (Some(row), Some(listing)) = (book.stock.get(id), listings.get_mut(id)) {
            (listing.claimed, listing.paid, listing.version) = (row.claimed, row.paid, row.version);
            stock.push((id, row.claimed, row.paid, row.version));
        }
    }
    if stock.is_empty() {
        return Ok(());
    }
    query_either(
        "UPDATE listings SET claimed = j.value ->> 1, paid = j.value ->> 2,
           version = j.value ->> 3
         FROM json_each($1) j WHERE listings.id = j.value ->> 0",
        "UPDATE listings SET claimed = (j ->> 1)::bigint, paid = (j ->> 2)::bigint,
           version = (j ->> 3)::bigint
         FROM jsonb_array_elements($1::jsonb) j WHERE listings.id = (j ->> 0)::uuid",
    )
    .bind_rows(&stock)
    .execute(&mut *db)
    .await?;
    let units: Vec<_> = book
        .changed_buyers
        .iter()
        .map(|pair| {
            let units = book.buyer_units.get(pair).copied().unwrap_or(0);
            (pair.0, pair.1, units)
        })
        .collect();
    if units.is_empty() {
        return Ok(());
    }
    query_either(
        "INSERT INTO buyer_units (listing, buyer, units)
         SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1) WHERE true
         ON CONFLICT (listing, buyer) DO UPDATE SET units = excluded.units",
        "INSERT INTO buyer_units (listing, buyer, units)
         SELECT (j ->> 0)::uuid, (j ->> 1)::uuid, (j ->> 2)::bigint
         FROM jsonb_array_elements($1::jsonb) j
         ON CONFLICT (listing, buyer) DO UPDATE SET units = excluded.units",
    )
    .bind_rows(&units)
    .execute(db)
    .await?;
    Ok(())
}

/// What one checkout came to, before it is told.
enum Answer {
    Made(Box<OrderRow>),
    Existing(OrderId),
    Refused(Refused),
}

struct Batch {
    listings: BTreeMap<ListingId, ListingRow>,
    shows: BTreeMap<ShowId, ShowRow>,
    book: ClaimBook,
    /// Reservations that became lines in this batch.
    settled: BTreeMap<ListingId, Vec<Settled>>,
}

impl Batch {
    async fn read(db: &mut Db<'_>, checkouts: &[Checkout]) -> sqlx::Result<Self> {
        let lines = || checkouts.iter().flat_map(|checkout| &checkout.claim.lines);
        let ids: BTreeSet<ListingId> = lines().map(|line| line.listing).collect();
        let listings = listings::many(db, ids.into_iter()).await?;
        let mut shows = BTreeMap::new();
        for id in checkouts
            .iter()
            .map(|checkout| checkout.show)
            .collect::<BTreeSet<_>>()
        {
            if let Some(show) = shows::show(db, id).await? {
                shows.insert(id, show);
            }
        }
        let pairs = checkouts
            .iter()
            .flat_map(|checkout| {
                let buyer = checkout.claim.buyer;
                checkout
                    .claim
                    .lines
                    .iter()
                    .map(move |line| (line.listing, buyer))
            })
            .collect();
        let reservations: Vec<_> = lines().map(|line| line.reservation).collect();
        let book = ClaimBook {
            stock: stock_rows(&listings),
            buyer_units: units_of(db, &pairs).await?,
            orders: claim_rows::known_orders(db, checkouts).await?,
            reservations: claim_rows::ordered(db, &reservations).await?,
            ..ClaimBook::default()
        };
        Ok(Self {
            listings,
            shows,
            book,
            settled: BTreeMap::new(),
        })
    }

    /// Refuses what is not core's to decide (a show or listing that is not there), unless the key
    /// says that it was decided before. Gives the indexes of the others.
    fn sort_out(&self, checkouts: &[Checkout]) -> (Vec<usize>, Vec<Option<Answer>>) {
        let mut asked = Vec::with_capacity(checkouts.len());
        let mut answers = Vec::with_capacity(checkouts.len());
        for (index, checkout) in checkouts.iter().enumerate() {
            let key = (checkout.claim.buyer, checkout.claim.key.clone());
            let of_show = |line: &ClaimLine| {
                let listing = self.listings.get(&line.listing);
                listing.is_none_or(|listing| listing.show == checkout.show)
            };
            let refused = if self.book.orders.contains_key(&key) {
                None
            } else if !self.shows.contains_key(&checkout.show) {
                Some(shows::unknown())
            } else if !checkout.claim.lines.iter().all(of_show) {
                Some(listings::unknown())
            } else {
                None
            };
            if refused.is_none() {
                asked.push(index);
            }
            answers.push(refused.map(Answer::Refused));
        }
        (asked, answers)
    }

    async fn make_orders(
        &mut self,
        db: &mut Db<'_>,
        checkouts: &[Checkout],
        made: &[(usize, OrderId, Money)],
    ) -> sqlx::Result<Vec<OrderRow>> {
        let show_of = |index: usize| self.shows.get(&checkouts[index].show);
        let sellers = made
            .iter()
            .filter_map(|(index, ..)| show_of(*index))
            .map(|show| show.seller);
        let mut numbers = Numbers::take(db, sellers).await?;
        let mut orders = Vec::with_capacity(made.len());
        for (index, id, total) in made {
            let checkout = &checkouts[*index];
            let show = show_of(*index).ok_or(sqlx::Error::RowNotFound)?;
            let deadline_ms = i64::from(show.order_deadline_s) * 1_000;
            orders.push(OrderRow {
                id: *id,
                number: order_rows::number_name(numbers.next(show.seller)),
                seller: show.seller,
                show: show.id,
                buyer: checkout.claim.buyer,
                buyer_name: checkout.buyer_name.clone(),
                life: OrderLife::new(checkout.now.plus_ms(deadline_ms)),
                lines: self.lines(&checkout.claim.lines),
                total: *total,
                created_at: checkout.now,
                payment: None,
                delivery: checkout.delivery.clone(),
            });
        }
        for order in &orders {
            for (listing, settled) in settled_of(order) {
                self.settled.entry(listing).or_default().push(settled);
            }
        }
        Ok(orders)
    }

    fn lines(&self, lines: &[ClaimLine]) -> Vec<OrderLineRow> {
        let line = |line: &ClaimLine| {
            let listing = self.listings.get(&line.listing);
            OrderLineRow {
                reservation: line.reservation,
                listing: line.listing,
                title: listing.map_or_else(String::new, |listing| listing.title.clone()),
                variant: listing.and_then(|listing| listing.variant.clone()),
                quantity: line.quantity,
                unit_price: line.unit_price,
            }
        };
        lines.iter().map(line).collect()
    }

    async fn answer(
        self,
        db: &mut Db<'_>,
        checkouts: &[Checkout],
        answers: Vec<Option<Answer>>,
    ) -> sqlx::Result<Vec<Result<Claimed, Refused>>> {
        let existing: Vec<OrderId> = answers
            .iter()
            .filter_map(|answer| match answer {
                Some(Answer::Existing(order)) => Some(*order),
                _ => None,
            })
            .collect();
        // Orders made by this very batch are here too: the inserts came before.
        let known = order_rows::many(db, &existing).await?;
        let mut told = BTreeSet::new();
        let mut all = Vec::with_capacity(checkouts.len());
        for answer in answers {
            all.push(match answer {
                Some(Answer::Refused(refused)) => Err(refused),
                Some(Answer::Made(order)) => {
                    let mirrors = self.mirrors(&order, &mut told);
                    Ok(Claimed {
                        order: *order,
                        existing: false,
                        mirrors,
                    })
                }
                Some(Answer::Existing(id)) => {
                    let order = known.get(&id).cloned().ok_or(sqlx::Error::RowNotFound)?;
                    let mut told = order.lines.iter().map(|line| line.listing).collect();
                    let mirrors = self.mirrors(&order, &mut told);
                    Ok(Claimed {
                        order,
                        existing: true,
                        mirrors,
                    })
                }
                None => return Err(sqlx::Error::RowNotFound),
            });
        }
        Ok(all)
    }

    /// The first order of a batch carries each listing's whole news, so that all units of the batch
    /// move from reserved to claimed in one step; the others repeat their own part, in case the
    /// first one's messenger is lost.
    fn mirrors(&self, order: &OrderRow, told: &mut BTreeSet<ListingId>) -> Vec<Mirror> {
        let ids: BTreeSet<ListingId> = order.lines.iter().map(|line| line.listing).collect();
        let listings = ids.iter().filter_map(|id| self.listings.get(id));
        let mirror = |listing: &ListingRow| {
            if told.insert(listing.id) {
                let units = self
                    .book
                    .buyer_units
                    .iter()
                    .filter(|((of, _), _)| *of == listing.id);
                let units = units.map(|((_, buyer), units)| BuyerUnits {
                    buyer: *buyer,
                    units: *units,
                });
                let settled = self.settled.get(&listing.id).cloned().unwrap_or_default();
                return listing.mirror(units.collect(), settled);
            }
            own_mirror(listing, &self.book, order)
        };
        listings.map(mirror).collect()
    }
}

/// What one order means for one listing.
pub(super) fn own_mirror(listing: &ListingRow, book: &ClaimBook, order: &OrderRow) -> Mirror {
    let units = book
        .buyer_units
        .get(&(listing.id, order.buyer))
        .map(|units| BuyerUnits {
            buyer: order.buyer,
            units: *units,
        });
    let settled = settled_of(order).filter(|(of, _)| *of == listing.id);
    listing.mirror(
        units.into_iter().collect(),
        settled.map(|(_, settled)| settled).collect(),
    )
}

fn settled_of(order: &OrderRow) -> impl Iterator<Item = (ListingId, Settled)> {
    order.lines.iter().map(|line| {
        let settled = Settled {
            reservation: line.reservation,
            order: order.id,
        };
        (line.listing, settled)
    })
}

/// Order numbers, taken from each seller's counter once per batch.
struct Numbers(BTreeMap<SellerId, i64>);

impl Numbers {
    async fn take(db: &mut Db<'_>, sellers: impl Iterator<Item = SellerId>) -> sqlx::Result<Self> {
        let mut wanted: BTreeMap<SellerId, i64> = BTreeMap::new();
        for seller in sellers {
            *wanted.entry(seller).or_default() += 1;
        }
        let mut next = BTreeMap::new();
        for (seller, count) in wanted {
            let row = query(
                "UPDATE sellers SET last_order = last_order + $2 WHERE id = $1
                 RETURNING last_order",
            )
            .bind(seller)
            .bind(count)
            .fetch_one(&mut *db)
            .await?;
            next.insert(seller, row.int("last_order")? - count + 1);
        }
        Ok(Self(next))
    }

    fn next(&mut self, seller: SellerId) -> i64 {
        let number = self.0.entry(seller).or_default();
        *number += 1;
        *number - 1
    }
}
