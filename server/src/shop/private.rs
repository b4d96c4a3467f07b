//! What is one person's alone: a buyer's own state, the seller's desk, single orders.

use vetrina_core::refused::Refused;
use vetrina_protocol::id::{OrderId, ShowId, UserId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::server::{Desk, Mine};
use vetrina_protocol::view::{DeskOrder, Order, Role};

use super::Shop;
use super::limits::{ORDERS_DESK_MAX, ORDERS_MINE_MAX};
use crate::auth::Principal;
use vetrina_store::ledger::{OrderRow, PAGE_ITEMS_MAX, PageRequest};

impl Shop {
    /// The whole private state of one buyer in a show. The ledger is not asked when it is known
    /// that the buyer has `no_order` at a version.
    ///
    /// # Errors
    /// `try_again` when a store does not answer.
    pub async fn mine(
        &self,
        show: ShowId,
        buyer: UserId,
        no_order: impl FnOnce(u64) -> bool,
    ) -> Result<Mine, Refused> {
        // The hot part first: its version must not promise an order that is read too early.
        let hot = self
            .hot()
            .mine(show, buyer)
            .await
            .map_err(|error| self.refusal(error))?;
        let orders = if no_order(hot.version) {
            Vec::new()
        } else {
            let orders = self
                .ledger()
                .orders_of_buyer(buyer, Some(show), ORDERS_MINE_MAX);
            orders.await.map_err(|error| self.refusal(error))?
        };
        Ok(Mine {
            reservations: hot.reservations,
            orders: orders.iter().map(OrderRow::view).collect(),
            waitlist: hot.waitlist,
            version: hot.version,
        })
    }

    /// Who has an order in a show, and a version of the show that this includes.
    ///
    /// # Errors
    /// `try_again` when a store does not answer.
    pub async fn buyers(&self, show: ShowId) -> Result<(u64, Vec<UserId>), Refused> {
        // Nobody's state is empty: its version is what is asked.
        let nobody = self.hot().mine(show, UserId(0)).await;
        let version = nobody.map_err(|error| self.refusal(error))?.version;
        let buyers = self.ledger().buyers_of_show(show).await;
        Ok((version, buyers.map_err(|error| self.refusal(error))?))
    }

    /// The seller's desk as this role may see it: addresses for fulfilment only.
    ///
    /// # Errors
    /// `try_again` when a store does not answer.
    pub async fn desk(&self, show: ShowId, role: Role) -> Result<Desk, Refused> {
        let hot = self
            .hot()
            .desk(show)
            .await
            .map_err(|error| self.refusal(error))?;
        let mut orders = Vec::new();
        let mut page = PageRequest {
            cursor: None,
            limit: PAGE_ITEMS_MAX,
        };
        loop {
            let part = self.ledger().orders_of_show(show, page.clone()).await;
            let part = part.map_err(|error| self.refusal(error))?;
            orders.extend(part.items.iter().map(|row| desk_order(row, role)));
            page.cursor = part.next_cursor;
            if page.cursor.is_none() || orders.len() >= ORDERS_DESK_MAX as usize {
                break;
            }
        }
        orders.truncate(ORDERS_DESK_MAX as usize);
        Ok(Desk {
            reservations: hot.reservations,
            orders,
            version: hot.version,
        })
    }

    /// One order as its buyer, or the seller's staff, may see it.
    ///
    /// # Errors
    /// `order_unknown` for everybody else; `try_again` when the ledger does not answer.
    pub async fn order(&self, by: &Principal, order: OrderId) -> Result<Order, Refused> {
        let row = self
            .ledger()
            .order(order)
            .await
            .map_err(|error| self.refusal(error))?;
        match row {
            Some(row) if row.buyer == by.user => Ok(row.view()),
            Some(row) if by.is_staff() && by.may_enter(row.seller, row.show) => {
                Ok(row.staff_view(by.role == Role::Fulfilment))
            }
            _ => Err(Refused::new(RefusalCode::OrderUnknown, "no such order")),
        }
    }
}

fn desk_order(row: &OrderRow, role: Role) -> DeskOrder {
    DeskOrder {
        buyer: row.buyer,
        buyer_name: row.buyer_name.clone(),
        order: row.staff_view(role == Role::Fulfilment),
    }
}
