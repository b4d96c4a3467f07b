//! The judge of money: claims, order states, refunds, and what is left when all has come to rest.

use vetrina_protocol::id::{ListingId, OrderId, ReservationId, UserId};
use vetrina_protocol::money::Money;
use vetrina_protocol::view::{OrderState, Stock};

use super::{Oracle, ToldOrder, Units, Verdict};
use crate::provider::{Intent, Provider};

impl Oracle {
    /// The ledger committed an order.
    pub(crate) fn claimed(
        &mut self,
        order: OrderId,
        buyer: UserId,
        bag: &[ReservationId],
        total: Money,
    ) -> Verdict {
        claim!(!self.orders.contains_key(&order), "{order} was made twice");
        let mut lines = Vec::new();
        let mut sum = 0;
        for id in bag {
            let told = self
                .told
                .get(id)
                .ok_or_else(|| format!("{order} has {id}: never given"))?;
            claim!(
                told.buyer == buyer,
                "{order} has {id}, which is another buyer's"
            );
            claim!(
                told.order.is_none(),
                "{order} has {id}, which is in {:?}",
                told.order
            );
            lines.push((told.listing, told.quantity));
            sum += told.price.amount_minor * i64::from(told.quantity);
        }
        claim!(
            sum == total.amount_minor,
            "{order} costs {total:?}, its bag {sum}"
        );
        let state = OrderState::Pending;
        let made = ToldOrder {
            buyer,
            lines,
            state,
            holds: false,
            restock: None,
            total,
        };
        self.orders.insert(order, made);
        self.attach(order, bag);
        self.hold(order, true)
    }

    /// The ledger refused a claim of units that were reserved.
    pub(crate) fn claim_refused(&self, order: OrderId, why: &str) -> Verdict {
        claim!(
            !self.strict,
            "{order} had its units reserved and was refused: {why}"
        );
        Ok(())
    }

    /// The ledger gave an order its units again.
    pub(crate) fn reclaimed(&mut self, order: OrderId, bag: &[ReservationId]) -> Verdict {
        self.reclaims += 1;
        self.attach(order, bag);
        self.hold(order, true)
    }

    pub(crate) fn refund_asked(&mut self, order: OrderId, restock: bool) {
        if let Some(told) = self.orders.get_mut(&order)
            && told.state == OrderState::Paid
        {
            told.restock = Some(restock);
        }
    }

    /// A buyer was told of an order's new state.
    pub(crate) fn order_told(
        &mut self,
        order: OrderId,
        state: OrderState,
        intent: Option<&Intent>,
    ) -> Verdict {
        let told = self
            .orders
            .get_mut(&order)
            .ok_or_else(|| format!("{order}: never made"))?;
        let before = std::mem::replace(&mut told.state, state);
        let (holds, restock) = (told.holds, told.restock);
        let charged = intent.is_some_and(|intent| intent.charges > 0);
        let canceled = intent.is_none_or(|intent| intent.canceled);
        use OrderState as S;
        match (before, state) {
            (before, after) if before == after => Ok(()),
            (S::Pending, S::Declined) => Ok(()),
            (S::Pending | S::Declined, S::Expired | S::Canceled) => {
                claim!(canceled, "{order} is {state:?}, and may still be paid");
                self.hold(order, false)
            }
            (S::Pending | S::Declined | S::Expired, S::Paid) => {
                claim!(
                    charged,
                    "{order} is said to be paid, the provider has no money"
                );
                claim!(holds, "{order} is paid and has no units");
                Ok(())
            }
            (S::Expired | S::Canceled | S::Paid, S::Refunding) => {
                claim!(charged, "{order} is refunded, and was never charged");
                claim!(
                    holds == (before == S::Paid),
                    "{order}: units do not fit {before:?}"
                );
                Ok(())
            }
            (S::Refunding, S::Refunded) => match restock {
                Some(true) => self.hold(order, false),
                _ => Ok(()),
            },
            (before, after) => Err(format!("{order} went from {before:?} to {after:?}")),
        }
    }

    pub(crate) fn refunded(&self, order: OrderId, intent: &Intent) -> Verdict {
        let refunds = intent.refunds.len();
        claim!(
            refunds <= intent.charges as usize,
            "{order} was refunded {refunds} times"
        );
        Ok(())
    }

    /// Everything has come to rest: money, units and words must agree.
    pub(crate) fn at_the_end(&self, provider: &Provider, stocks: &[(ListingId, Stock)]) -> Verdict {
        for (order, intent) in &provider.intents {
            let told = self
                .orders
                .get(order)
                .ok_or_else(|| format!("{order}: an intent alone"))?;
            let (charges, refunds) = (intent.charges, intent.refunds.len());
            claim!(charges <= 1, "{order} was charged {charges} times");
            claim!(
                intent.amount == told.total,
                "{order} has another price at the provider"
            );
            let fits = match told.state {
                OrderState::Paid => charges == 1 && refunds == 0 && told.holds,
                OrderState::Refunded => charges == 1 && refunds == 1,
                OrderState::Expired | OrderState::Canceled => charges == 0 && !told.holds,
                OrderState::Pending | OrderState::Declined | OrderState::Refunding => false,
            };
            claim!(
                fits,
                "{order} ends {:?} with {charges} charges and {refunds} refunds, units: {}",
                told.state,
                told.holds
            );
        }
        for (order, told) in &self.orders {
            let intent = provider.intents.contains_key(order);
            claim!(intent || !told.holds, "{order} has units and no intent");
        }
        for (listing, stock) in stocks {
            let Units { open, held } = self.shelves[listing].units;
            claim!(open == 0, "{open} of {listing} are reserved for ever");
            claim!(
                (stock.claimed, stock.reserved) == (held, 0),
                "{listing} ends as {stock:?}, orders hold {held}"
            );
        }
        Ok(())
    }

    pub(crate) fn paid_orders(&self) -> u64 {
        self.orders
            .values()
            .filter(|told| told.state == OrderState::Paid)
            .count() as u64
    }

    pub(crate) fn refunded_orders(&self) -> u64 {
        self.orders
            .values()
            .filter(|told| told.state == OrderState::Refunded)
            .count() as u64
    }

    fn attach(&mut self, order: OrderId, bag: &[ReservationId]) {
        for id in bag {
            if let Some(told) = self.told.get_mut(id) {
                told.order = Some(order);
                self.count(*id);
            }
        }
    }

    /// The one place that counts units in orders, and the check that nothing is oversold.
    fn hold(&mut self, order: OrderId, holds: bool) -> Verdict {
        let told = self
            .orders
            .get_mut(&order)
            .ok_or("an order that was never made")?;
        if std::mem::replace(&mut told.holds, holds) == holds {
            return Ok(());
        }
        for (listing, quantity) in &told.lines {
            let own = self.units.entry((*listing, told.buyer)).or_default();
            let shelf = self.shelves.get_mut(listing).expect("it was stocked");
            if !holds {
                own.held -= quantity;
                shelf.units.held -= quantity;
                continue;
            }
            own.held += quantity;
            shelf.units.held += quantity;
            let (held, total) = (shelf.units.held, shelf.total);
            claim!(
                held <= total,
                "oversold: {held} of {listing} are in orders, there are {total}"
            );
            let (owned, limit) = (own.held, shelf.per_buyer);
            claim!(
                owned <= limit,
                "{} owns {owned} of {listing}, limit {limit}",
                told.buyer
            );
        }
        Ok(())
    }
}
