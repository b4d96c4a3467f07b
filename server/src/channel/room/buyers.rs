//! Who has an order in the room's show. Nearly everybody who joins has none, and a storm of joins
//! must not become a storm of questions to the ledger.
//!
//! It refuses to know the orders themselves.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use vetrina_protocol::event::PrivateEvent;
use vetrina_protocol::id::UserId;
use vetrina_store::hot::Notice;

/// The buyers of a show as the ledger told them, and as notices have told since. The lock is taken
/// for a look-up; it exists because sessions look while the room's task writes.
#[derive(Debug)]
pub(in crate::channel) struct Buyers(RwLock<Known>);

#[derive(Debug)]
struct Known {
    buyers: HashSet<UserId>,
    /// All notices up to this version were heard.
    heard: u64,
}

impl Buyers {
    /// `buyers` were read from the ledger after the show had this version.
    pub(in crate::channel) fn new(version: u64, buyers: impl IntoIterator<Item = UserId>) -> Self {
        Self(RwLock::new(Known {
            buyers: buyers.into_iter().collect(),
            heard: version,
        }))
    }

    /// Takes note of a private fact.
    pub(super) fn hear(&self, notice: &Notice) {
        // Whole after every statement, so a poisoned lock is usable.
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(notice.event, PrivateEvent::OrderChanged { .. }) {
            known.buyers.insert(notice.buyer);
        }
        known.heard = known.heard.max(notice.version);
    }

    /// Whether this person certainly had no order when the show had this version. What is newer
    /// comes as a notice.
    pub(in crate::channel) fn has_none(&self, buyer: UserId, version: u64) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        version <= known.heard && !known.buyers.contains(&buyer)
    }
}

#[cfg(test)]
mod tests {
    use vetrina_protocol::id::{ListingId, OrderId, ShowId};
    use vetrina_protocol::money::{Currency, Money};
    use vetrina_protocol::time::UnixMs;
    use vetrina_protocol::view::{Order, OrderState};

    use super::*;

    const ADA: UserId = UserId(1);
    const BEA: UserId = UserId(2);

    fn notice(version: u64, buyer: UserId, event: PrivateEvent) -> Notice {
        Notice {
            version,
            buyer,
            buyer_name: String::new(),
            event,
        }
    }

    fn order() -> PrivateEvent {
        let order = Order {
            id: OrderId(1),
            number: "V-1001".into(),
            show: ShowId(1),
            state: OrderState::Pending,
            lines: Vec::new(),
            total: Money::new(1_990, Currency::EUR),
            created_at_ms: UnixMs(1),
            pay_by_ms: UnixMs(2),
            paid_at_ms: None,
            payment: None,
            delivery: None,
            version: 1,
        };
        PrivateEvent::OrderChanged { order }
    }

    #[test]
    fn who_has_none_is_certain_or_not_said() {
        let buyers = Buyers::new(10, [ADA]);
        assert!(!buyers.has_none(ADA, 10), "the ledger knows one");
        assert!(buyers.has_none(BEA, 9) && buyers.has_none(BEA, 10));
        assert!(!buyers.has_none(BEA, 11), "not heard yet: it may be hers");
        let left = PrivateEvent::WaitlistChanged {
            listing: ListingId(1),
            place: None,
        };
        buyers.hear(&notice(11, BEA, left));
        assert!(buyers.has_none(BEA, 11), "a queue is no order");
        buyers.hear(&notice(12, BEA, order()));
        assert!(!buyers.has_none(BEA, 12));
        assert!(buyers.has_none(UserId(3), 12));
    }
}
