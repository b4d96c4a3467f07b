//! A model of the payment provider. It takes money, confirms or contradicts cancellations, and
//! refunds under whatever key it is given: a second key is a second refund, so that a double refund
//! shows in its books. Its books are what the oracle believes.

use std::collections::{BTreeMap, BTreeSet};

use vetrina_protocol::id::OrderId;
use vetrina_protocol::money::Money;

/// What the provider knows of one order.
pub(crate) struct Intent {
    pub(crate) amount: Money,
    pub(crate) canceled: bool,
    pub(crate) charges: u32,
    pub(crate) refunds: BTreeSet<u64>,
}

/// What the provider answers to a payment attempt or a cancellation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Charged,
    AlreadyCharged,
    Canceled,
}

#[derive(Default)]
pub(crate) struct Provider {
    pub(crate) intents: BTreeMap<OrderId, Intent>,
}

impl Provider {
    pub(crate) fn open(&mut self, order: OrderId, amount: Money) {
        self.intents.entry(order).or_insert(Intent {
            amount,
            canceled: false,
            charges: 0,
            refunds: BTreeSet::new(),
        });
    }

    /// The buyer's bank agrees. `late`: it had agreed before the cancellation and says so after.
    pub(crate) fn pay(&mut self, order: OrderId, late: bool) -> Option<Word> {
        let intent = self.intents.get_mut(&order)?;
        if intent.charges > 0 {
            return Some(Word::AlreadyCharged);
        }
        if intent.canceled && !late {
            return Some(Word::Canceled);
        }
        intent.charges += 1;
        Some(Word::Charged)
    }

    pub(crate) fn cancel(&mut self, order: OrderId) -> Word {
        match self.intents.get_mut(&order) {
            Some(intent) if intent.charges > 0 => Word::AlreadyCharged,
            Some(intent) => {
                intent.canceled = true;
                Word::Canceled
            }
            None => Word::Canceled,
        }
    }

    /// False when there is nothing to refund.
    pub(crate) fn refund(&mut self, order: OrderId, key: u64) -> bool {
        match self.intents.get_mut(&order) {
            Some(intent) if intent.charges > 0 => {
                intent.refunds.insert(key);
                true
            }
            _ => false,
        }
    }
}
