//! A model of the SQL ledger: tables that outlive every crash, claims decided in batches over the
//! rows a batch needs, results written set-wise. It calls core as the real ledger does; the oracle
//! does not look in here.

use std::collections::BTreeMap;

use vetrina_core::checkout::{
    ClaimAnswer, ClaimBook, ClaimLine, ClaimRequest, KnownOrder, StockRow, decide_claims,
};
use vetrina_core::hot::{BuyerUnits, Mirror, Settled};
use vetrina_core::order::{OrderInput, OrderLife, OrderOutput, OrderStep};
use vetrina_core::refused::Refused;
use vetrina_protocol::id::{ListingId, OrderId, ReservationId, UserId};
use vetrina_protocol::money::Money;
use vetrina_protocol::time::UnixMs;

pub(crate) struct LedgerOrder {
    pub(crate) buyer: UserId,
    pub(crate) lines: Vec<ClaimLine>,
    pub(crate) life: OrderLife,
    pub(crate) changed_at: UnixMs,
}

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) stock: BTreeMap<ListingId, StockRow>,
    pub(crate) prices: BTreeMap<ListingId, Money>,
    units: BTreeMap<(ListingId, UserId), u32>,
    pub(crate) keys: BTreeMap<(UserId, String), KnownOrder>,
    lines: BTreeMap<ReservationId, OrderId>,
    pub(crate) orders: BTreeMap<OrderId, LedgerOrder>,
}

impl Ledger {
    pub(crate) fn add(&mut self, row: StockRow, price: Money) {
        self.prices.insert(row.listing, price);
        self.stock.insert(row.listing, row);
    }

    /// One transaction of claims: answers, and the mirrors of what it changed.
    pub(crate) fn claim(
        &mut self,
        now: UnixMs,
        deadline_ms: i64,
        batch: &[ClaimRequest],
    ) -> (Vec<ClaimAnswer>, Vec<Mirror>) {
        let mut book = ClaimBook::default();
        for request in batch {
            self.read(&mut book, request.buyer, &request.lines);
            let key = (request.buyer, request.key.clone());
            if let Some(known) = self.keys.get(&key) {
                book.orders.insert(key, *known);
            }
        }
        let answers = decide_claims(&mut book, batch);
        let mut settled = Vec::new();
        for (request, answer) in batch.iter().zip(&answers) {
            if let ClaimAnswer::Claimed { order, .. } = answer {
                self.insert_order(now, deadline_ms, request);
                settled.extend(request.lines.iter().map(|line| (line, *order)));
            }
        }
        let mirrors = self.write(&book, &settled);
        (answers, mirrors)
    }

    /// One transaction of an order's input. Outputs that concern the ledger itself are carried out
    /// here; the others come back.
    pub(crate) fn step(
        &mut self,
        now: UnixMs,
        id: OrderId,
        input: OrderInput,
    ) -> Result<(OrderStep, Vec<Mirror>), Refused> {
        let Some(order) = self.orders.get_mut(&id) else {
            let outputs = Vec::new();
            return Ok((
                OrderStep {
                    changed: false,
                    outputs,
                },
                Vec::new(),
            ));
        };
        let step = order.life.apply(input)?;
        if step.changed {
            order.changed_at = now;
        }
        let (buyer, lines) = (order.buyer, order.lines.clone());
        let mut book = ClaimBook::default();
        self.read(&mut book, buyer, &lines);
        for output in &step.outputs {
            match output {
                OrderOutput::MarkPaid => book.mark_paid(buyer, &lines),
                OrderOutput::ReleaseUnits { paid } => book.give_back(buyer, &lines, *paid),
                OrderOutput::CancelIntent | OrderOutput::Reclaim | OrderOutput::Refund => {}
            }
        }
        let mirrors = self.write(&book, &[]);
        Ok((step, mirrors))
    }

    /// One transaction of a late payment: the units again, under new reservations, or a refusal.
    pub(crate) fn reclaim(
        &mut self,
        now: UnixMs,
        id: OrderId,
        seats: &[ReservationId],
    ) -> (bool, OrderStep, Vec<Mirror>) {
        let Some(order) = self.orders.get_mut(&id) else {
            unreachable!("only known orders are reclaimed");
        };
        let (buyer, lines) = (order.buyer, order.lines.clone());
        let mut book = ClaimBook::default();
        self.read(&mut book, buyer, &lines);
        let taken = !seats.is_empty() && book.take(buyer, &lines).is_ok();
        let input = if taken {
            OrderInput::Reclaimed
        } else {
            OrderInput::ReclaimRefused
        };
        let order = self.orders.get_mut(&id).expect("it was there a line ago");
        let step = order.life.apply(input).expect("facts are never refused");
        if !step.changed {
            // Decided before: nothing is written.
            return (false, step, Vec::new());
        }
        order.changed_at = now;
        if taken {
            book.mark_paid(buyer, &lines);
        }
        let seated: Vec<_> = lines
            .iter()
            .zip(seats)
            .map(|(line, seat)| ClaimLine {
                reservation: *seat,
                ..*line
            })
            .collect();
        let settled: Vec<_> = if taken {
            seated.iter().map(|line| (line, id)).collect()
        } else {
            Vec::new()
        };
        for (line, order) in &settled {
            self.lines.insert(line.reservation, *order);
        }
        let mirrors = self.write(&book, &settled);
        (taken, step, mirrors)
    }

    /// The host's total; refused below what is claimed.
    pub(crate) fn set_total(&mut self, listing: ListingId, total: u32) -> Option<Mirror> {
        let row = self.stock.get_mut(&listing)?;
        if total < row.claimed {
            return None;
        }
        row.total = total;
        row.version += 1;
        Some(self.mirror(listing))
    }

    pub(crate) fn set_price(&mut self, listing: ListingId, price: Money) -> Option<Mirror> {
        self.stock.get_mut(&listing)?.version += 1;
        self.prices.insert(listing, price);
        Some(self.mirror(listing))
    }

    /// Everything about one listing, for a hot store that lost it; `rows` are the journal's.
    pub(crate) fn whole_mirror(&self, listing: ListingId, rows: &[ReservationId]) -> Mirror {
        let buyer_units = self
            .units
            .range((listing, UserId(0))..=(listing, UserId(u128::MAX)))
            .map(|((_, buyer), units)| BuyerUnits {
                buyer: *buyer,
                units: *units,
            })
            .collect();
        let settled = rows
            .iter()
            .filter_map(|row| self.lines.get(row).map(|order| (*row, *order)))
            .map(|(reservation, order)| Settled { reservation, order })
            .collect();
        Mirror {
            buyer_units,
            settled,
            ..self.mirror(listing)
        }
    }

    fn insert_order(&mut self, now: UnixMs, deadline_ms: i64, request: &ClaimRequest) {
        let known = KnownOrder {
            order: request.order,
            body: request.body,
        };
        self.keys
            .insert((request.buyer, request.key.clone()), known);
        for line in &request.lines {
            self.lines.insert(line.reservation, request.order);
        }
        let order = LedgerOrder {
            buyer: request.buyer,
            lines: request.lines.clone(),
            life: OrderLife::new(now.plus_ms(deadline_ms)),
            changed_at: now,
        };
        self.orders.insert(request.order, order);
    }

    fn read(&self, book: &mut ClaimBook, buyer: UserId, lines: &[ClaimLine]) {
        for line in lines {
            if let Some(row) = self.stock.get(&line.listing) {
                book.stock.insert(line.listing, *row);
            }
            let key = (line.listing, buyer);
            if let Some(units) = self.units.get(&key) {
                book.buyer_units.insert(key, *units);
            }
            if let Some(order) = self.lines.get(&line.reservation) {
                book.reservations.insert(line.reservation, *order);
            }
        }
    }

    fn write(&mut self, book: &ClaimBook, settled: &[(&ClaimLine, OrderId)]) -> Vec<Mirror> {
        for listing in &book.changed {
            self.stock.insert(*listing, book.stock[listing]);
        }
        for key in &book.changed_buyers {
            self.units.insert(*key, book.buyer_units[key]);
        }
        let mirror = |listing: &ListingId| {
            let buyer_units = book
                .changed_buyers
                .iter()
                .filter(|(changed, _)| changed == listing)
                .map(|key| BuyerUnits {
                    buyer: key.1,
                    units: self.units[key],
                })
                .collect();
            let settled = settled
                .iter()
                .filter(|(line, _)| line.listing == *listing)
                .map(|(line, order)| Settled {
                    reservation: line.reservation,
                    order: *order,
                })
                .collect();
            Mirror {
                buyer_units,
                settled,
                ..self.mirror(*listing)
            }
        };
        book.changed.iter().map(mirror).collect()
    }

    fn mirror(&self, listing: ListingId) -> Mirror {
        let row = self.stock[&listing];
        Mirror {
            listing,
            total: row.total,
            claimed: row.claimed,
            paid: row.paid,
            per_buyer: row.per_buyer,
            unit_price: self.prices[&listing],
            version: row.version,
            buyer_units: Vec::new(),
            settled: Vec::new(),
        }
    }
}
