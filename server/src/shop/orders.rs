//! How changes of an order reach everybody who must know: the hot store's counters, the buyer, the
//! seller's desk. Everything that changes an order after its claim goes through here.

use std::collections::BTreeMap;

use async_trait::async_trait;
use vetrina_core::hot::{HotAnswer, HotCommand, Mirror, Reserve};
use vetrina_core::order::OrderInput;
use vetrina_core::refused::Refused;
use vetrina_protocol::event::PrivateEvent;
use vetrina_protocol::id::{ListingId, OrderId, ShowId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::server::Done;
use vetrina_protocol::view::OrderState;

use super::Shop;
use super::command::Ask;
use super::ids;
use crate::ops::metrics::Part;
use crate::payment::worker::OrderDesk;
use crate::store::StoreError;
use crate::store::ledger::{OrderChange, OrderRequest, OrderRow, ReclaimSeat};

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
    /// not free for a late payment. What was reserved before one listing refused goes back.
    async fn reclaim(&self, order: &OrderRow) -> Result<Option<Vec<ReclaimSeat>>, StoreError> {
        let mut wanted: BTreeMap<ListingId, u32> = BTreeMap::new();
        for line in &order.lines {
            *wanted.entry(line.listing).or_default() += line.quantity;
        }
        let mut seats = Vec::new();
        for (listing, quantity) in wanted {
            let reservation = ids::reclaim(order.show, order.buyer, order.id, listing);
            let command = HotCommand::Reserve(Reserve {
                reservation,
                buyer: order.buyer,
                buyer_name: order.buyer_name.clone(),
                listing,
                quantity,
                media_time: None,
            });
            match self.hot().apply(order.show, command).await?.answer {
                HotAnswer::Reservation { .. } => seats.push(ReclaimSeat {
                    listing,
                    reservation,
                }),
                _ => {
                    self.give_back(order, &seats).await?;
                    return Ok(None);
                }
            }
        }
        Ok(Some(seats))
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

    /// Brings the ledger's counters to the hot store. A mirror that gets lost is made up for by the
    /// next one of the listing, or by the next load of the show: they are absolute.
    pub(super) async fn mirror(&self, show: ShowId, mirrors: Vec<Mirror>) {
        for mirror in mirrors {
            let listing = mirror.listing;
            if let Err(error) = self.hot().apply(show, HotCommand::Mirror(mirror)).await {
                self.metrics().error(Part::Store);
                tracing::warn!(%error, %show, %listing, "a listing's counters were not mirrored");
            }
        }
    }

    async fn give_back(&self, order: &OrderRow, seats: &[ReclaimSeat]) -> Result<(), StoreError> {
        for seat in seats {
            let command = HotCommand::Release {
                reservation: seat.reservation,
                buyer: order.buyer,
            };
            // A refusal means that they are back already.
            self.hot().apply(order.show, command).await?;
        }
        Ok(())
    }
}
