//! What a piece of work must have for itself before it reads what it decides over.
//!
//! SQLite has one writer and needs none of it. With PostgreSQL several nodes write at once: there a
//! transaction first locks the sellers that it is about, in order of their ids, then the logs, in
//! order of their shows. From then on it decides as if it were alone: everything that a decision
//! reads (stock, units of buyers, orders, keys) belongs to one of these sellers. No transaction
//! asks for such a lock later, so none of them can wait in a circle.

use std::collections::BTreeSet;

use vetrina_protocol::id::{OrderId, SellerId, ShowId};

use super::db::{Db, LedgerId as _, query};
use crate::ledger::Checkout;

/// See the module's words.
#[derive(Debug, Clone, Default)]
pub(crate) struct Locks {
    sellers: BTreeSet<SellerId>,
    /// Their sellers.
    shows: BTreeSet<ShowId>,
    /// Their sellers.
    orders: BTreeSet<OrderId>,
    /// Who may write the log of these shows.
    logs: BTreeSet<ShowId>,
}

impl Locks {
    /// The work is one statement that is right whatever runs beside it.
    pub(super) fn none() -> Self {
        Self::default()
    }

    pub(super) fn seller(seller: SellerId) -> Self {
        Self {
            sellers: [seller].into(),
            ..Self::default()
        }
    }

    /// The seller of this show.
    pub(super) fn show(show: ShowId) -> Self {
        Self {
            shows: [show].into(),
            ..Self::default()
        }
    }

    /// The seller of this order.
    pub(super) fn order(order: OrderId) -> Self {
        Self {
            orders: [order].into(),
            ..Self::default()
        }
    }

    /// The logs of these shows.
    pub(super) fn logs(shows: impl IntoIterator<Item = ShowId>) -> Self {
        Self {
            logs: shows.into_iter().collect(),
            ..Self::default()
        }
    }

    /// And those.
    pub(super) fn and(mut self, other: &Self) -> Self {
        self.add(other);
        self
    }

    /// What a batch needs, all together.
    pub(crate) fn of_batch<'j>(
        checkouts: &[Checkout],
        jobs: impl Iterator<Item = &'j Self>,
    ) -> Self {
        let mut all = Self {
            shows: checkouts.iter().map(|checkout| checkout.show).collect(),
            ..Self::default()
        };
        for locks in jobs {
            all.add(locks);
        }
        all
    }

    fn add(&mut self, other: &Self) {
        self.sellers.extend(&other.sellers);
        self.shows.extend(&other.shows);
        self.orders.extend(&other.orders);
        self.logs.extend(&other.logs);
    }

    /// A number that is the same for work about the same thing.
    pub(super) fn subject(&self) -> u128 {
        let shows = self.logs.first().or(self.shows.first());
        let first = shows.map(|show| show.number());
        first
            .or(self.orders.first().map(|order| order.number()))
            .or(self.sellers.first().map(|seller| seller.number()))
            .unwrap_or_default()
    }

    /// Takes all of them, for the rest of the transaction. PostgreSQL only.
    pub(crate) async fn take(&self, db: &mut Db<'_>) -> sqlx::Result<()> {
        if !(self.sellers.is_empty() && self.shows.is_empty() && self.orders.is_empty()) {
            // Rows that only refer to a seller may be written meanwhile: NO KEY.
            query(
                "SELECT id FROM sellers WHERE id IN (
                   SELECT unnest($1) UNION SELECT seller FROM shows WHERE id = ANY ($2)
                   UNION SELECT seller FROM orders WHERE id = ANY ($3))
                 ORDER BY id FOR NO KEY UPDATE",
            )
            .bind_ids(self.sellers.iter().copied())
            .bind_ids(self.shows.iter().copied())
            .bind_ids(self.orders.iter().copied())
            .fetch_all(db)
            .await?;
        }
        if !self.logs.is_empty() {
            query(
                "SELECT pg_advisory_xact_lock(hashtextextended(show::text, 0))::text
                 FROM unnest($1) AS show",
            )
            .bind_ids(self.logs.iter().copied())
            .fetch_all(db)
            .await?;
        }
        Ok(())
    }
}
