//! [`Orders`]: one input to one order with everything that follows from it, in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use tokio::sync::watch;
use vetrina_core::checkout::{ClaimBook, ClaimLine};
use vetrina_core::hot::{Mirror, Settled};
use vetrina_core::order::{OrderInput, OrderOutput, OrderPhase};
use vetrina_core::refused::Refused;
use vetrina_protocol::id::{ListingId, OrderId, SellerId, ShowId, UserId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::rest::Page;
use vetrina_protocol::time::UnixMs;

use super::db::{Db, query};
use super::locks::Locks;
use super::pages::Window;
use super::writer::Failure;
use super::{Dialect, SqlLedger, claims, listings, order_rows, outbox, shows};
use crate::StoreError;
use crate::ledger::{
    Checkout, Claimed, ListingRow, OrderChange, OrderLineRow, OrderRequest, OrderRow, Orders,
    PAGE_ITEMS_MAX, PageRequest, PaymentRow, ReclaimSeat, WebhookId, Work, WorkKind,
};

#[async_trait]
impl<D: Dialect> Orders for SqlLedger<D> {
    async fn claim(&self, checkout: Checkout) -> Result<Claimed, StoreError> {
        let claimed = self.claim_units(checkout).await?;
        self.tell_workers();
        Ok(claimed)
    }

    async fn order(&self, order: OrderId) -> Result<Option<OrderRow>, StoreError> {
        self.read(order, |db, order| Box::pin(order_rows::order(db, *order)))
            .await
    }

    async fn orders_of_buyer(
        &self,
        buyer: UserId,
        show: Option<ShowId>,
        limit: u32,
    ) -> Result<Vec<OrderRow>, StoreError> {
        let limit = limit.min(PAGE_ITEMS_MAX);
        self.read((buyer, show, limit), |db, (buyer, show, limit)| {
            Box::pin(order_rows::of_buyer(db, *buyer, *show, *limit))
        })
        .await
    }

    async fn buyers_of_show(&self, show: ShowId) -> Result<Vec<UserId>, StoreError> {
        self.read(show, |db, show| Box::pin(order_rows::buyers_of(db, *show)))
            .await
    }

    async fn orders_of_show(
        &self,
        show: ShowId,
        page: PageRequest,
    ) -> Result<Page<OrderRow>, StoreError> {
        let window = Window::of(&page)?;
        let rows = self
            .read((show, window), |db, (show, window)| {
                Box::pin(order_rows::of_show(db, *show, window))
            })
            .await?;
        Ok(page_of(&window, rows))
    }

    async fn orders_of_seller(
        &self,
        seller: SellerId,
        page: PageRequest,
    ) -> Result<Page<OrderRow>, StoreError> {
        let window = Window::of(&page)?;
        let rows = self
            .read((seller, window), |db, (seller, window)| {
                Box::pin(order_rows::of_seller(db, *seller, window))
            })
            .await?;
        Ok(page_of(&window, rows))
    }

    async fn order_input(&self, request: OrderRequest) -> Result<OrderChange, StoreError> {
        let locks = Locks::order(request.order);
        let change = self
            .write(locks, request, |db, request| Box::pin(apply(db, request)))
            .await?;
        self.tell_workers();
        Ok(change)
    }

    async fn set_payment(
        &self,
        order: OrderId,
        payment: PaymentRow,
    ) -> Result<OrderRow, StoreError> {
        self.write(Locks::order(order), (order, payment), |db, input| {
            Box::pin(pay_at(db, input.0, &input.1))
        })
        .await
    }

    async fn orders_past_deadline(
        &self,
        now: UnixMs,
        limit: u32,
    ) -> Result<Vec<OrderId>, StoreError> {
        self.read((now, limit), |db, (now, limit)| {
            Box::pin(order_rows::past_deadline(db, *now, *limit))
        })
        .await
    }

    async fn orders_awaiting_provider(
        &self,
        made_before: UnixMs,
        after: Option<OrderId>,
        limit: u32,
    ) -> Result<Vec<OrderRow>, StoreError> {
        let limit = limit.min(PAGE_ITEMS_MAX);
        self.read((made_before, after, limit), |db, input| {
            let (made_before, after, limit) = *input;
            Box::pin(order_rows::awaiting_provider(db, made_before, after, limit))
        })
        .await
    }

    async fn take_work(
        &self,
        worker: &str,
        kinds: &[WorkKind],
        now: UnixMs,
        lease_ms: i64,
        limit: u32,
    ) -> Result<Vec<Work>, StoreError> {
        let input = (kinds.to_vec(), now);
        // Nothing due costs no write.
        let due = self.read(input, |db, (kinds, now)| {
            Box::pin(outbox::any_due(db, kinds, *now))
        });
        if !due.await? {
            return Ok(Vec::new());
        }
        let input = (worker.to_owned(), kinds.to_vec(), now, lease_ms, limit);
        self.write(Locks::none(), input, |db, input| {
            let (worker, kinds, now, lease_ms, limit) = input;
            Box::pin(outbox::take(db, worker, kinds, *now, *lease_ms, *limit))
        })
        .await
    }

    async fn finish_work(&self, worker: &str, work: i64) -> Result<bool, StoreError> {
        let input = (worker.to_owned(), work);
        self.write(Locks::none(), input, |db, (worker, work)| {
            Box::pin(outbox::finish(db, worker, *work))
        })
        .await
    }

    async fn retry_work(
        &self,
        worker: &str,
        work: i64,
        not_before: UnixMs,
    ) -> Result<bool, StoreError> {
        let input = (worker.to_owned(), work, not_before);
        self.write(Locks::none(), input, |db, (worker, work, not_before)| {
            Box::pin(outbox::retry(db, worker, *work, *not_before))
        })
        .await
    }

    fn work_watch(&self) -> watch::Receiver<u64> {
        self.work.subscribe()
    }
}

fn page_of(window: &Window, rows: Vec<OrderRow>) -> Page<OrderRow> {
    window.page(rows, |row| (row.created_at, row.id.0))
}

async fn apply(db: &mut Db<'_>, request: &OrderRequest) -> Result<OrderChange, Failure> {
    let mut order = required(db, request.order).await?;
    if let Some(webhook) = &request.webhook
        && !mark(db, webhook, request.order).await?
    {
        return Ok(OrderChange {
            order,
            changed: false,
            duplicate: true,
            mirrors: Vec::new(),
        });
    }
    let mut counters = Counters::read(db, &order).await?;
    let input = counters.decide_input(&order, request.input);
    let step = order.life.apply(input)?;
    let work = counters.carry_out(&order, &step.outputs);
    counters.write(db, &order).await?;
    if step.changed {
        write_life(db, &order).await?;
    }
    outbox::add(db, order.id, &work).await?;
    let seats = seat(db, request, &order).await?;
    Ok(OrderChange {
        mirrors: counters.mirrors(&order, &seats),
        changed: step.changed,
        duplicate: false,
        order,
    })
}

/// The rows of an order's listings and what core counts on them.
struct Counters {
    listings: BTreeMap<ListingId, ListingRow>,
    book: ClaimBook,
    lines: Vec<ClaimLine>,
    /// Units came back: where the show is over and done, they are the inventory's.
    came_back: bool,
}

impl Counters {
    async fn read(db: &mut Db<'_>, order: &OrderRow) -> sqlx::Result<Self> {
        let lines: Vec<ClaimLine> = order.lines.iter().map(claim_line).collect();
        let listings = listings::many(db, lines.iter().map(|line| line.listing)).await?;
        let pairs: BTreeSet<_> = lines
            .iter()
            .map(|line| (line.listing, order.buyer))
            .collect();
        let book = ClaimBook {
            stock: claims::stock_rows(&listings),
            buyer_units: claims::units_of(db, &pairs).await?,
            ..ClaimBook::default()
        };
        Ok(Self {
            listings,
            book,
            lines,
            came_back: false,
        })
    }

    /// A late payment gets its units in this transaction, or is refused in it.
    fn decide_input(&mut self, order: &OrderRow, input: OrderInput) -> OrderInput {
        if input != OrderInput::Reclaimed || order.life.phase != OrderPhase::Reclaiming {
            return input;
        }
        match self.book.take(order.buyer, &self.lines) {
            Ok(()) => OrderInput::Reclaimed,
            Err(_) => OrderInput::ReclaimRefused,
        }
    }

    /// Carries out what happens inside this transaction, and gives what is left for workers.
    fn carry_out(&mut self, order: &OrderRow, outputs: &[OrderOutput]) -> Vec<WorkKind> {
        let mut work = Vec::new();
        for output in outputs {
            match output {
                OrderOutput::MarkPaid => self.book.mark_paid(order.buyer, &self.lines),
                OrderOutput::ReleaseUnits { paid } => {
                    self.book.give_back(order.buyer, &self.lines, *paid);
                    self.came_back = true;
                }
                OrderOutput::CancelIntent => work.push(WorkKind::CancelIntent),
                OrderOutput::Reclaim => work.push(WorkKind::Reclaim),
                OrderOutput::Refund => work.push(WorkKind::Refund),
            }
        }
        work
    }

    async fn write(&mut self, db: &mut Db<'_>, order: &OrderRow) -> sqlx::Result<()> {
        claims::write_book(db, &mut self.listings, &self.book).await?;
        if !self.came_back || !shows::is_released(db, order.show).await? {
            return Ok(());
        }
        for line in &self.lines {
            query(
                "UPDATE skus SET inventory = inventory + $2
                 WHERE id = (SELECT sku FROM listings WHERE id = $1)",
            )
            .bind(line.listing)
            .bind(line.quantity)
            .execute(&mut *db)
            .await?;
        }
        for listing in self.listings.values_mut() {
            query("UPDATE listings SET total = claimed WHERE id = $1")
                .bind(listing.id)
                .execute(&mut *db)
                .await?;
            listing.total = listing.claimed;
        }
        Ok(())
    }

    /// For the hot store: all listings of the order, whether they changed now or before.
    fn mirrors(&self, order: &OrderRow, seats: &[ReclaimSeat]) -> Vec<Mirror> {
        let mirror = |listing: &ListingRow| {
            let mut mirror = claims::own_mirror(listing, &self.book, order);
            let seats = seats.iter().filter(|seat| seat.listing == listing.id);
            mirror.settled.extend(seats.map(|seat| Settled {
                reservation: seat.reservation,
                order: order.id,
            }));
            mirror
        };
        self.listings.values().map(mirror).collect()
    }
}

fn claim_line(line: &OrderLineRow) -> ClaimLine {
    ClaimLine {
        reservation: line.reservation,
        listing: line.listing,
        quantity: line.quantity,
        unit_price: line.unit_price,
    }
}

/// Marks a webhook as applied; false when it was.
async fn mark(db: &mut Db<'_>, webhook: &WebhookId, order: OrderId) -> sqlx::Result<bool> {
    let done = query(
        "INSERT INTO webhook_seen (provider, event, order_id) VALUES ($1, $2, $3)
         ON CONFLICT (provider, event) DO NOTHING",
    )
    .bind(&webhook.provider)
    .bind(&webhook.event)
    .bind(order)
    .execute(db)
    .await?;
    Ok(done == 1)
}

async fn write_life(db: &mut Db<'_>, order: &OrderRow) -> sqlx::Result<()> {
    query("UPDATE orders SET phase = $2, paid_at = $3, version = $4 WHERE id = $1")
        .bind(order.id)
        .bind(order.life.phase.as_str())
        .bind(order.life.paid_at)
        .bind(i64::try_from(order.life.version).unwrap_or(i64::MAX))
        .execute(db)
        .await?;
    Ok(())
}

/// Remembers the reservations that a late payment's units were put aside with.
async fn seat(
    db: &mut Db<'_>,
    request: &OrderRequest,
    order: &OrderRow,
) -> sqlx::Result<Vec<ReclaimSeat>> {
    if order.life.phase != OrderPhase::Paid || request.input != OrderInput::Reclaimed {
        return Ok(Vec::new());
    }
    for seat in &request.seats {
        query(
            "INSERT INTO order_seats (reservation, order_id, listing) VALUES ($1, $2, $3)
             ON CONFLICT (reservation) DO NOTHING",
        )
        .bind(seat.reservation)
        .bind(order.id)
        .bind(seat.listing)
        .execute(&mut *db)
        .await?;
    }
    Ok(request.seats.clone())
}

async fn pay_at(db: &mut Db<'_>, id: OrderId, payment: &PaymentRow) -> Result<OrderRow, Failure> {
    let mut order = required(db, id).await?;
    if order.payment.is_some() {
        return Ok(order);
    }
    order.life.version += 1;
    query(
        "UPDATE orders SET provider = $2, intent = $3, pay_url = $4, version = version + 1
         WHERE id = $1",
    )
    .bind(id)
    .bind(&payment.provider)
    .bind(&payment.intent)
    .bind(&payment.pay_url)
    .execute(db)
    .await?;
    order.payment = Some(payment.clone());
    Ok(order)
}

async fn required(db: &mut Db<'_>, id: OrderId) -> Result<OrderRow, Failure> {
    let order = order_rows::order(db, id).await?;
    order.ok_or_else(|| {
        Failure::Refused(Refused::new(
            RefusalCode::OrderUnknown,
            "there is no such order",
        ))
    })
}
