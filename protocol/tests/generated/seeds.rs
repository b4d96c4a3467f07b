//! What the fuzzers begin with (`protocol/fuzz`): one frame of every message that a client can say,
//! in both encodings.

use vetrina_protocol::client::{ClientMessage, Reaction};
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::id::{CommentId, ListingId, OrderId, ReservationId, UserId};
use vetrina_protocol::money::{Currency, Money};

use crate::vectors::from_client;
use crate::{REGENERATE, generated};

/// Those that no golden vector holds.
#[expect(clippy::too_many_lines, reason = "a list")]
fn others() -> Vec<ClientMessage> {
    use ClientMessage as M;
    let (id, listing, media_time) = (7, ListingId(4), None);
    let key = || "k".to_owned();
    vec![
        M::ExtendReservation {
            id,
            key: key(),
            reservation: ReservationId(7),
        },
        M::ReleaseReservation {
            id,
            key: key(),
            reservation: ReservationId(7),
        },
        M::JoinWaitlist {
            id,
            key: key(),
            listing,
            quantity: 2,
        },
        M::LeaveWaitlist {
            id,
            key: key(),
            listing,
        },
        M::BuyNow {
            id,
            key: key(),
            listing,
            quantity: 1,
            delivery: None,
            media_time,
        },
        M::CancelOrder {
            id,
            key: key(),
            order: OrderId(8),
        },
        M::Comment {
            id,
            key: key(),
            text: "bellissimo 🏺".into(),
            media_time,
        },
        M::RefreshToken {
            id,
            token: "a.b.c".into(),
        },
        M::StartShow { id, key: key() },
        M::Pin {
            id,
            key: key(),
            listing,
            media_time,
        },
        M::Unpin { id, key: key() },
        M::SetStock {
            id,
            key: key(),
            listing,
            total: 10,
        },
        M::SetPrice {
            id,
            key: key(),
            listing,
            price: Money::new(-1, Currency::EUR),
        },
        M::OrderListings {
            id,
            key: key(),
            listings: vec![listing, ListingId(5)],
        },
        M::EndShow { id, key: key() },
        M::DeleteComment {
            id,
            key: key(),
            comment: CommentId(10),
        },
        M::MuteViewer {
            id,
            key: key(),
            viewer: UserId(3),
            muted: false,
        },
        M::SlowMode {
            id,
            key: key(),
            seconds: 30,
        },
        M::React {
            id,
            reaction: Reaction::Fire,
        },
    ]
}

#[test]
fn seeds_are_up_to_date() {
    let golden = from_client().into_iter().map(|(_, messages)| messages);
    let others = others().into_iter().map(|message| vec![message]);
    let mut stale = Vec::new();
    for (number, messages) in golden.chain(others).enumerate() {
        let is_hello = matches!(messages[0], ClientMessage::Hello { .. });
        let kind = if is_hello { "hello" } else { "commands" };
        for (encoding, name) in [(Encoding::MessagePack, "msgpack"), (Encoding::Json, "json")] {
            let path = format!("protocol/fuzz/generated/{kind}_{name}/{number:02}.{name}");
            stale.extend(generated(&path, &encoding.encode(&messages)));
        }
    }
    assert!(stale.is_empty(), "out of date: {stale:?}; {REGENERATE}");
}
