//! What has to happen at the provider because of orders, and what the provider says. Work comes
//! from the ledger's outbox, so a crash forgets nothing; every call may be repeated. Three sources
//! bring an order forward: signed webhooks, the answers to our own calls, and a reconciliation
//! query for orders about which the provider has been silent.
//!
//! What an input means for an order is core's; this module refuses to know it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use reqwest::header::HeaderMap;
use tokio::time::MissedTickBehavior;
use vetrina_core::order::{OrderInput, OrderPhase};
use vetrina_protocol::id::OrderId;
use vetrina_protocol::refusal::RefusalCode;

use super::intents::{Intents, OpenError};
use super::provider::{
    IntentState, PaymentProvider, ProviderError, ProviderEvent, ProviderEventKind, RefundState,
};
use crate::clock::Clock;
use vetrina_store::ledger::{
    OrderChange, OrderRequest, OrderRow, ReclaimSeat, WebhookId, Work, WorkKind,
};
use vetrina_store::{Ledger, StoreError};

/// What the shop does about orders; the worker calls it after the ledger has decided.
#[async_trait]
pub trait OrderDesk: Send + Sync {
    /// An order changed: mirror its stock, tell the buyer and the seller's desk. What fails here
    /// is repaired by the next mirror, so it is logged and not returned.
    async fn order_changed(&self, change: OrderChange);

    /// Reserves the units of a late payment as any buyer would. `None`: they are not free.
    ///
    /// # Errors
    /// When the hot store does not answer.
    async fn reclaim(&self, order: &OrderRow) -> Result<Option<Vec<ReclaimSeat>>, StoreError>;
}

/// What to answer a webhook with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookAnswer {
    /// Applied, or applied before.
    Taken,
    /// Not signed, altered, too old, or not what it should be: 400.
    NotBelieved,
    /// Signed, but of an order that is not ours: 404.
    UnknownOrder,
    /// Could not be written down: 503, send it again.
    TryAgain,
}

/// A worker's piece of work is its own for this time; a provider call takes at most five seconds.
const LEASE_MS: i64 = 15_000;
/// Provider calls at a time.
const CALLS_MAX: usize = 16;
/// Work taken at a time: two rounds of calls fit well into the lease.
const TAKEN_MAX: u32 = 32;
/// Without a signal the outbox and the deadlines are looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Reconciliation asks about orders older than this ...
const SILENT_MS: i64 = 20_000;
/// ... this many in a round ...
const RECONCILED_MAX: u32 = 50;
/// ... and this often.
const RECONCILE_EVERY: Duration = Duration::from_secs(5);
/// First pause after a failed try; it doubles.
const PAUSE_MS: i64 = 500;
/// Longest pause: an order's deadline is minutes.
const PAUSE_MS_MAX: i64 = 30_000;
/// A payment or refund that the provider is working on is asked about again after this time.
const PROCESSING_MS: i64 = 2_000;

/// How a piece of work ended.
enum Done {
    /// Forget it.
    Yes,
    /// Do it again after this time.
    Again(i64),
}

/// One worker; each node has one.
pub struct Worker {
    name: String,
    ledger: Arc<dyn Ledger>,
    provider: Arc<dyn PaymentProvider>,
    intents: Intents,
    desk: Arc<dyn OrderDesk>,
    clock: Clock,
}

impl Worker {
    /// A worker of this name, unique among the nodes.
    #[must_use]
    pub fn new(
        name: String,
        ledger: Arc<dyn Ledger>,
        provider: Arc<dyn PaymentProvider>,
        intents: Intents,
        desk: Arc<dyn OrderDesk>,
        clock: Clock,
    ) -> Self {
        Self {
            name,
            ledger,
            provider,
            intents,
            desk,
            clock,
        }
    }

    /// Works until dropped.
    pub async fn run(&self) {
        tokio::join!(self.drain_outbox(), self.reconcile());
    }

    /// Takes a webhook: verifies it, applies it once.
    pub async fn webhook(&self, headers: &HeaderMap, body: &[u8]) -> WebhookAnswer {
        let event = match self.provider.verify_webhook(headers, body) {
            Ok(Some(event)) => event,
            Ok(None) => return WebhookAnswer::Taken,
            Err(error) => {
                tracing::warn!(%error, "a webhook was not believed");
                return WebhookAnswer::NotBelieved;
            }
        };
        match self.take_event(event).await {
            Ok(answer) => answer,
            Err(StoreError::Refused(refused)) if refused.code == RefusalCode::OrderUnknown => {
                WebhookAnswer::UnknownOrder
            }
            Err(error) => {
                tracing::error!(%error, "a webhook could not be written down; it will come again");
                WebhookAnswer::TryAgain
            }
        }
    }

    async fn take_event(&self, event: ProviderEvent) -> Result<WebhookAnswer, StoreError> {
        let Some(order) = self.ledger.order(event.order).await? else {
            return Ok(WebhookAnswer::UnknownOrder);
        };
        if event.amount != order.total {
            tracing::error!(
                order = %event.order,
                "the provider names another amount than the order's: look into its account"
            );
            return Ok(WebhookAnswer::NotBelieved);
        }
        let input = match event.kind {
            ProviderEventKind::Succeeded => OrderInput::ProviderSucceeded { at: event.at },
            ProviderEventKind::Declined => OrderInput::ProviderDeclined,
            ProviderEventKind::Canceled => OrderInput::ProviderCanceled,
            ProviderEventKind::Refunded => OrderInput::RefundConfirmed,
        };
        let webhook = WebhookId {
            provider: self.provider.name().to_owned(),
            event: event.id,
        };
        self.input(event.order, input, Some(webhook), Vec::new())
            .await?;
        Ok(WebhookAnswer::Taken)
    }

    /// Applies one input and tells the shop.
    async fn input(
        &self,
        order: OrderId,
        input: OrderInput,
        webhook: Option<WebhookId>,
        seats: Vec<ReclaimSeat>,
    ) -> Result<(), StoreError> {
        let request = OrderRequest {
            order,
            input,
            webhook,
            seats,
        };
        let change = self.ledger.order_input(request).await?;
        if change.changed || !change.mirrors.is_empty() {
            self.desk.order_changed(change).await;
        }
        Ok(())
    }

    async fn drain_outbox(&self) {
        let mut stored = self.ledger.work_watch();
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = stored.changed() => {
                    // The ledger is gone: the server is stopping.
                    if changed.is_err() { return; }
                }
                _ = tick.tick() => self.pass_deadlines().await,
            }
            while self.work_once().await {}
        }
    }

    /// Does what is due; `true` when there may be more.
    async fn work_once(&self) -> bool {
        let now = self.clock.now();
        let taken = self
            .ledger
            .take_work(&self.name, &WorkKind::ALL, now, LEASE_MS, TAKEN_MAX)
            .await;
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) => {
                tracing::error!(%error, "cannot read the outbox; trying again");
                return false;
            }
        };
        let full = taken.len() == TAKEN_MAX as usize;
        stream::iter(taken)
            .for_each_concurrent(CALLS_MAX, |work| self.carry_out(work))
            .await;
        full
    }

    async fn carry_out(&self, work: Work) {
        let done = self.attempt(&work).await.unwrap_or_else(|error| {
            tracing::warn!(
                order = %work.order, work = work.kind.as_str(), attempts = work.attempts, %error,
                "work for an order failed; trying again"
            );
            Done::Again((PAUSE_MS << work.attempts.min(10)).min(PAUSE_MS_MAX))
        });
        let written = match done {
            Done::Yes => self.ledger.finish_work(&self.name, work.id).await,
            Done::Again(after_ms) => {
                let not_before = self.clock.now().plus_ms(after_ms);
                self.ledger
                    .retry_work(&self.name, work.id, not_before)
                    .await
            }
        };
        if let Err(error) = written {
            // Its lease runs out and it is done again, which every call allows.
            tracing::warn!(order = %work.order, %error, "cannot write down what was done");
        }
    }

    async fn attempt(&self, work: &Work) -> Result<Done, WorkError> {
        let Some(order) = self.ledger.order(work.order).await? else {
            return Ok(Done::Yes);
        };
        match work.kind {
            WorkKind::OpenIntent => self.open_intent(order).await,
            WorkKind::CancelIntent => self.cancel_intent(order).await,
            WorkKind::Reclaim => self.reclaim(order).await,
            WorkKind::Refund => self.refund(order).await,
        }
    }

    async fn open_intent(&self, order: OrderRow) -> Result<Done, WorkError> {
        if !order.life.phase.is_payable() || order.payment.is_some() {
            return Ok(Done::Yes);
        }
        let order = self.intents.open(order).await?;
        let change = OrderChange {
            order,
            changed: true,
            duplicate: false,
            mirrors: Vec::new(),
        };
        self.desk.order_changed(change).await;
        Ok(Done::Yes)
    }

    async fn cancel_intent(&self, order: OrderRow) -> Result<Done, WorkError> {
        let waits = matches!(
            order.life.phase,
            OrderPhase::ExpiringPending
                | OrderPhase::ExpiringDeclined
                | OrderPhase::CancelingPending
                | OrderPhase::CancelingDeclined
        );
        if !waits {
            return Ok(Done::Yes);
        }
        // Without an answer to its opening there may be an intent all the same: opening again
        // finds it, or makes one that is cancelled at once.
        let id = order.id;
        let order = self.intents.open(order).await?;
        let Some(payment) = order.payment else {
            return Ok(Done::Again(PROCESSING_MS));
        };
        let input = match self.provider.cancel_intent(&payment.intent).await? {
            IntentState::Canceled => OrderInput::ProviderCanceled,
            IntentState::Succeeded => OrderInput::ProviderSucceeded {
                at: self.clock.now(),
            },
            IntentState::Processing | IntentState::Open | IntentState::Declined => {
                return Ok(Done::Again(PROCESSING_MS));
            }
        };
        self.input(id, input, None, Vec::new()).await?;
        Ok(Done::Yes)
    }

    async fn reclaim(&self, order: OrderRow) -> Result<Done, WorkError> {
        if order.life.phase != OrderPhase::Reclaiming {
            return Ok(Done::Yes);
        }
        let (input, seats) = match self.desk.reclaim(&order).await? {
            Some(seats) => (OrderInput::Reclaimed, seats),
            None => (OrderInput::ReclaimRefused, Vec::new()),
        };
        self.input(order.id, input, None, seats).await?;
        Ok(Done::Yes)
    }

    async fn refund(&self, order: OrderRow) -> Result<Done, WorkError> {
        let waits = matches!(
            order.life.phase,
            OrderPhase::Refunding
                | OrderPhase::RefundingWithRestock
                | OrderPhase::RefundingKeepingUnits
        );
        let Some(payment) = order.payment.filter(|_| waits) else {
            return Ok(Done::Yes);
        };
        match self.provider.refund(order.id, &payment.intent).await? {
            RefundState::Succeeded => {
                self.input(order.id, OrderInput::RefundConfirmed, None, Vec::new())
                    .await?;
                Ok(Done::Yes)
            }
            RefundState::Pending => Ok(Done::Again(PROCESSING_MS)),
        }
    }

    async fn pass_deadlines(&self) {
        let now = self.clock.now();
        let due = match self.ledger.orders_past_deadline(now, TAKEN_MAX).await {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(%error, "cannot read which orders are past their time");
                return;
            }
        };
        for order in due {
            let passed = OrderInput::DeadlinePassed { now };
            if let Err(error) = self.input(order, passed, None, Vec::new()).await {
                tracing::error!(%order, %error, "an order past its time stays open; trying again");
            }
        }
    }

    /// Asks the provider about orders it has been silent about, a page at a time, for ever.
    async fn reconcile(&self) {
        let mut after = None;
        let mut tick = tokio::time::interval(RECONCILE_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let made_before = self.clock.now().plus_ms(-SILENT_MS);
            let page = self
                .ledger
                .orders_awaiting_provider(made_before, after, RECONCILED_MAX)
                .await;
            match page {
                Ok(orders) => {
                    let full = orders.len() == RECONCILED_MAX as usize;
                    after = orders.last().map(|order| order.id).filter(|_| full);
                    stream::iter(orders)
                        .for_each_concurrent(CALLS_MAX, |order| self.compare(order))
                        .await;
                }
                Err(error) => tracing::error!(%error, "cannot read which orders to reconcile"),
            }
        }
    }

    /// One order against what the provider says of it.
    async fn compare(&self, order: OrderRow) {
        let compared = async {
            let input = match (&order.payment, order.life.phase) {
                (
                    _,
                    OrderPhase::Refunding
                    | OrderPhase::RefundingWithRestock
                    | OrderPhase::RefundingKeepingUnits
                    | OrderPhase::Reclaiming,
                )
                | (None, _) => OrderInput::Resume,
                (Some(payment), _) => match self.provider.intent_state(&payment.intent).await? {
                    IntentState::Succeeded => OrderInput::ProviderSucceeded {
                        at: self.clock.now(),
                    },
                    IntentState::Canceled => OrderInput::ProviderCanceled,
                    IntentState::Declined => OrderInput::ProviderDeclined,
                    IntentState::Open | IntentState::Processing => OrderInput::Resume,
                },
            };
            self.input(order.id, input, None, Vec::new()).await?;
            Ok::<(), WorkError>(())
        };
        if let Err(error) = compared.await {
            tracing::warn!(order = %order.id, %error, "cannot reconcile an order; trying again");
        }
    }
}

/// Why a piece of work did not get done this time.
#[derive(Debug, thiserror::Error)]
enum WorkError {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Provider(#[from] ProviderError),
    #[error("{0}")]
    Open(#[from] OpenError),
}
