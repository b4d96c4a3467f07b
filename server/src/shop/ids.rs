//! Ids made of who asked for what under which key: a retry names the same thing, on any node and
//! after any crash. UUID version 8: a SHA-256 with a purpose of its own per kind.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use vetrina_protocol::id::{CommentId, OrderId, ReservationId, ShowId, UserId};

use super::command::Ask;
use super::command::Key;
use vetrina_store::ledger::OrderRow;

/// What a reservation made under this key is called.
pub(super) fn reservation(ask: &Ask, key: &Key) -> ReservationId {
    ReservationId(of(
        "reservation",
        ask.show,
        ask.by.user,
        key.text.as_bytes(),
    ))
}

/// What the reservation of a waitlist's turn is called.
pub(super) fn waitlist_reservation(ask: &Ask, key: &Key) -> ReservationId {
    ReservationId(of("waitlist", ask.show, ask.by.user, key.text.as_bytes()))
}

/// What the order made under this key is called.
pub(super) fn order(ask: &Ask, key: &Key) -> OrderId {
    OrderId(of("order", ask.show, ask.by.user, key.text.as_bytes()))
}

/// What the comment made under this key is called.
pub(super) fn comment(ask: &Ask, key: &Key) -> CommentId {
    CommentId(of("comment", ask.show, ask.by.user, key.text.as_bytes()))
}

/// The reservation that stands for one line of a late paid order.
pub(super) fn reclaim(order: &OrderRow, line: ReservationId) -> ReservationId {
    let key = [order.id.0.to_be_bytes(), line.0.to_be_bytes()].concat();
    ReservationId(of("reclaim", order.show, order.buyer, &key))
}

fn of(purpose: &str, show: ShowId, user: UserId, key: &[u8]) -> u128 {
    let mut hash = Sha256::new();
    // The purpose ends with a byte that none contains; the ids have a fixed length; the key is
    // last.
    hash.update(purpose.as_bytes());
    hash.update([0]);
    hash.update(show.0.to_be_bytes());
    hash.update(user.0.to_be_bytes());
    hash.update(key);
    let hash = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Uuid::new_v8(bytes).as_u128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_request_names_the_same_thing_and_no_other() {
        let id = |purpose, show, user, key: &str| {
            of(purpose, ShowId(show), UserId(user), key.as_bytes())
        };
        let first = id("order", 1, 2, "key");
        assert_eq!(first, id("order", 1, 2, "key"));
        for other in [
            id("reservation", 1, 2, "key"),
            id("order", 2, 2, "key"),
            id("order", 1, 3, "key"),
            id("order", 1, 2, "kez"),
        ] {
            assert_ne!(first, other);
        }
        assert_eq!(Uuid::from_u128(first).get_version_num(), 8);
    }
}
