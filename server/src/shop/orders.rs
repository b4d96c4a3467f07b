//! How changes of an order reach everybody who must know: the hot store's counters, the buyer, the
//! seller's desk. Everything that changes an order after its claim goes through here.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use vetrina_core::hot::{HotAnswer, HotCommand, Mirror, OrderedUnits};
use vetrina_core::limits::CHECKOUT_FENCE_MS_DEFAULT;
use vetrina_core::order::OrderInput;
use vetrina_core::refused::Refused;
use vetrina_protocol::event::PrivateEvent;
use vetrina_protocol::id::{OrderId, ShowId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::server::Done;
use vetrina_protocol::view::OrderState;

use super::Shop;
use super::command::Ask;
use super::ids;
use super::limits::LATE_MIRRORS_MAX;
use crate::ops::metrics::Part;
use crate::payment::worker::OrderDesk;
use vetrina_store::StoreError;
use vetrina_store::ledger::{OrderChange, OrderRequest, OrderRow, ReclaimSeat};

#[async_trait]
impl OrderDesk for Shop {
    async fn order_changed(&self, change: OrderChange) {
        self.mirror(change.order.show, change.mirrors).await;
        if change.changed {
            let state = change.order.life.phase.state();
            // Every order begins pending, and was counted then.
            if state != OrderState::Pending {
                self.metrics().order(state);
            }
            self.tell_order(&change.order).await;
        }
    }

    /// Nobody in a queue is overtaken, no reservation is undercut: what is not free for anybody is
    /// not free for a late payment. All lines or none.
    async fn reclaim(&self, order: &OrderRow) -> Result<Option<Vec<ReclaimSeat>>, StoreError> {
        let lines: Vec<OrderedUnits> = order
            .lines
            .iter()
            .map(|line| OrderedUnits {
                reservation: ids::reclaim(order, line.reservation),
                listing: line.listing,
                quantity: line.quantity,
                unit_price: line.unit_price,
            })
            .collect();
        let seats = lines
            .iter()
            .map(|line| ReclaimSeat {
                listing: line.listing,
                reservation: line.reservation,
            })
            .collect();
        let command = HotCommand::ReserveForOrder {
            order: order.id,
            buyer: order.buyer,
            buyer_name: order.buyer_name.clone(),
            lines,
            fence_ms: CHECKOUT_FENCE_MS_DEFAULT,
        };
        match self.hot().apply(order.show, command).await?.answer {
            HotAnswer::Bag(_) => Ok(Some(seats)),
            _ => Ok(None),
        }
    }
}

impl Shop {
    pub(super) async fn cancel_order(&self, ask: &Ask, order: OrderId) -> Result<Done, Refused> {
        let known = self
            .ledger()
            .order(order)
            .await
            .map_err(|error| self.refusal(error))?;
        if known.is_none_or(|row| row.buyer != ask.by.user || row.show != ask.show) {
            return Err(Refused::new(
                RefusalCode::OrderUnknown,
                "you have no such order in this show",
            ));
        }
        let request = OrderRequest {
            order,
            input: OrderInput::CancelAsked,
            webhook: None,
            seats: Vec::new(),
        };
        let change = self.ledger().order_input(request).await;
        let change = change.map_err(|error| self.refusal(error))?;
        let order = change.order.view();
        self.order_changed(change).await;
        Ok(Done {
            order: Some(order),
            ..Done::default()
        })
    }

    /// Tells the buyer and the desk. When the hot store does not take it, the next `mine` has it.
    pub(super) async fn tell_order(&self, row: &OrderRow) {
        let event = PrivateEvent::OrderChanged { order: row.view() };
        let told = self
            .hot()
            .notify(row.show, row.buyer, row.buyer_name.clone(), event)
            .await;
        if let Err(error) = told {
            self.metrics().error(Part::Store);
            tracing::warn!(%error, order = %row.id, "nobody could be told of a changed order");
        }
    }

    /// Brings the ledger's counters to the hot store, after those that still wait for it. Counters
    /// are absolute, so order and repetition do no harm; but which reservations became orders is
    /// told by one mirror only, so none may get lost.
    pub(super) async fn mirror(&self, show: ShowId, mirrors: Vec<Mirror>) {
        for mirror in mirrors {
            let listing = mirror.listing;
            let command = HotCommand::Mirror(mirror);
            if let Err(error) = self.hot().apply(show, command.clone()).await {
                self.metrics().error(Part::Store);
                tracing::warn!(%error, %show, %listing, "a listing's counters wait to be mirrored");
                self.inner.late_mirrors.add(show, command);
            }
        }
    }

    /// Tries again what the hot store did not take. What it does not take now, waits on.
    pub(super) async fn mirror_late_ones(&self) -> Result<(), StoreError> {
        let late = self.inner.late_mirrors.take();
        let mut failure = None;
        for (show, command) in late {
            if failure.is_none() {
                match self.hot().apply(show, command.clone()).await {
                    Ok(_) => continue,
                    // It will never be taken: the listing or the show is not there.
                    Err(StoreError::Refused(refused)) => {
                        tracing::warn!(%show, code = refused.code.as_str(), "a mirror is refused");
                        continue;
                    }
                    Err(error) => failure = Some(error),
                }
            }
            self.inner.late_mirrors.add(show, command);
        }
        failure.map_or(Ok(()), Err)
    }
}

/// Mirrors that the hot store did not take. Bounded: when it is silent for so long that more
/// would wait, the oldest is given up, and the show's next load makes up for it.
#[derive(Debug, Default)]
pub(super) struct LateMirrors(Mutex<VecDeque<(ShowId, HotCommand)>>);

impl LateMirrors {
    fn add(&self, show: ShowId, command: HotCommand) {
        let mut waiting = self.waiting();
        if waiting.len() >= LATE_MIRRORS_MAX {
            tracing::error!("too many mirrors wait for the hot store: the oldest is given up");
            waiting.pop_front();
        }
        waiting.push_back((show, command));
    }

    fn take(&self) -> VecDeque<(ShowId, HotCommand)> {
        std::mem::take(&mut *self.waiting())
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<(ShowId, HotCommand)>> {
        // Whole after every statement, so a poisoned lock is usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
