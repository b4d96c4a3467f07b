//! What a shop promises: one answer per key, prices of the server, roles, queues in order.

use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use vetrina_protocol::client::ClientMessage;
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::event::{Event, PrivateEvent};
use vetrina_protocol::id::{CommentId, ListingId, ReservationId, UserId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::view::{OrderState, Reservation, ReservationState, Role};

use super::house::{House, eur};
use crate::harness::{Client, Refusal};

async fn reserve(
    client: &mut Client,
    listing: ListingId,
    quantity: u32,
) -> Result<Reservation, Refusal> {
    let asked = client.command(|id, key| ClientMessage::Reserve {
        id,
        key,
        listing,
        quantity,
        media_time: None,
    });
    asked
        .await
        .map(|done| done.reservation.expect("a reservation"))
}

fn buy_now(id: u32, key: String, listing: ListingId, quantity: u32) -> ClientMessage {
    ClientMessage::BuyNow {
        id,
        key,
        listing,
        quantity,
        delivery: None,
        media_time: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_fifty_times_at_once_is_one_order() {
    let house = House::open(&[(100, 100)]).await;
    let listing = house.listings[0];
    let anna = house.person(Role::Viewer);
    let mut sessions = JoinSet::new();
    for _ in 0..10 {
        let mut client = house.join_as(&anna, Encoding::MessagePack).await;
        sessions.spawn(async move {
            let five: Vec<_> = (1..=5)
                .map(|id| buy_now(id, "once".into(), listing, 2))
                .collect();
            client.send(&five).await;
            let mut answers = Vec::new();
            for id in 1..=5 {
                answers.push(
                    client
                        .answer(id)
                        .await
                        .expect("bought")
                        .order
                        .expect("an order"),
                );
            }
            answers
        });
    }
    let answers: Vec<_> = sessions.join_all().await.into_iter().flatten().collect();
    assert_eq!(answers.len(), 50);
    assert!(
        answers.iter().all(|order| *order == answers[0]),
        "fifty equal answers"
    );
    assert_eq!(answers[0].state, OrderState::Pending);

    let mut client = Client::connect(house.address, house.show, Encoding::MessagePack).await;
    let welcome = client.hello(&house.token(&anna), None).await;
    assert_eq!(welcome.mine.orders.len(), 1);
    // The snapshot may be a tick older than the answers; what it lacks follows.
    let first = welcome.snapshot.expect("a snapshot").listings[0].stock;
    let settled = |client: &Client| {
        let mut stocks = client
            .events
            .iter()
            .filter_map(|logged| match &logged.event {
                Event::StockChanged { stock, .. } => Some(*stock),
                _ => None,
            });
        let stock = stocks.next().unwrap_or(first);
        ((stock.claimed, stock.reserved, stock.available) == (2, 0, 98)).then_some(())
    };
    client.until(settled).await;

    let reused = client
        .command_as("once", |id, key| buy_now(id, key, listing, 3))
        .await;
    assert_eq!(reused.unwrap_err().code, RefusalCode::KeyReused);
    let other = house.person(Role::Viewer);
    let mut other = house.join_as(&other, Encoding::MessagePack).await;
    let theirs = other
        .command_as("once", |id, key| buy_now(id, key, listing, 1))
        .await;
    assert_ne!(
        theirs.expect("a key is one person's").order.unwrap().id,
        answers[0].id
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_repeated_after_a_restart() {
    let house = House::open(&[(10, 5)]).await;
    let listing = house.listings[0];
    let anna = house.person(Role::Viewer);
    let mut client = house.join_as(&anna, Encoding::MessagePack).await;
    let first = client
        .command_as("once", |id, key| buy_now(id, key, listing, 2))
        .await;
    let first = first.expect("bought").order.expect("an order");

    let house = house.restart().await;
    let mut client = house.join_as(&anna, Encoding::MessagePack).await;
    let again = client
        .command_as("once", |id, key| buy_now(id, key, listing, 2))
        .await;
    assert_eq!(
        again.expect("repeated").order.expect("an order").id,
        first.id
    );
    let reused = client
        .command_as("once", |id, key| buy_now(id, key, listing, 1))
        .await;
    assert_eq!(reused.unwrap_err().code, RefusalCode::KeyReused);
    let mut client = Client::connect(house.address, house.show, Encoding::MessagePack).await;
    assert_eq!(
        client
            .hello(&house.token(&anna), None)
            .await
            .mine
            .orders
            .len(),
        1
    );
}

type Make = Box<dyn Fn(u32, String) -> ClientMessage>;

/// Those of the host alone first, moderation last.
fn commands_of_the_host(listing: ListingId) -> Vec<Make> {
    let viewer = UserId::now();
    vec![
        Box::new(move |id, key| ClientMessage::Pin {
            id,
            key,
            listing,
            media_time: None,
        }),
        Box::new(|id, key| ClientMessage::Unpin { id, key }),
        Box::new(move |id, key| ClientMessage::SetStock {
            id,
            key,
            listing,
            total: 1,
        }),
        Box::new(move |id, key| ClientMessage::SetPrice {
            id,
            key,
            listing,
            price: eur(1),
        }),
        Box::new(move |id, key| ClientMessage::OrderListings {
            id,
            key,
            listings: vec![listing],
        }),
        Box::new(|id, key| ClientMessage::EndShow { id, key }),
        Box::new(|id, key| ClientMessage::StartShow { id, key }),
        Box::new(|id, key| ClientMessage::DeleteComment {
            id,
            key,
            comment: CommentId::now(),
        }),
        Box::new(move |id, key| ClientMessage::MuteViewer {
            id,
            key,
            viewer,
            muted: true,
        }),
        Box::new(|id, key| ClientMessage::SlowMode {
            id,
            key,
            seconds: 5,
        }),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_do_not_run_the_show() {
    let house = House::open(&[(3, 2)]).await;
    let listing = house.listings[0];
    let mut moderator = house.join(Role::Moderator, Encoding::MessagePack).await;
    let slow = |seconds| move |id, key| ClientMessage::SlowMode { id, key, seconds };
    let before = moderator
        .command(slow(3))
        .await
        .expect("slower")
        .offset
        .expect("in the log");
    let commands = commands_of_the_host(listing);
    for role in [Role::Viewer, Role::Fulfilment] {
        let mut client = house.join(role, Encoding::MessagePack).await;
        for make in &commands {
            let refused = client.command(make).await.unwrap_err();
            assert_eq!(refused.code, RefusalCode::Forbidden, "{role:?}");
        }
    }
    for make in &commands[..7] {
        let refused = moderator.command(make).await.unwrap_err();
        assert_eq!(refused.code, RefusalCode::Forbidden);
    }
    let after = moderator.command(slow(4)).await.expect("slower").offset;
    assert_eq!(
        after,
        Some(before.next()),
        "nothing was broadcast in between"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prices_and_quantities_are_the_servers() {
    let house = House::open(&[(10, 5)]).await;
    let listing = house.listings[0];
    let mut host = house.join(Role::Host, Encoding::MessagePack).await;
    let mut buyer = house.join(Role::Viewer, Encoding::Json).await;
    let before = reserve(&mut buyer, listing, 1).await.expect("reserved");
    let price = |price| {
        move |id, key| ClientMessage::SetPrice {
            id,
            key,
            listing,
            price,
        }
    };
    host.command(price(eur(3_000))).await.expect("a new price");
    let after = reserve(&mut buyer, listing, 1).await.expect("reserved");
    assert_eq!(
        (before.unit_price, after.unit_price),
        (eur(2_400), eur(3_000))
    );
    let dollars = vetrina_protocol::money::Money::new(100, "USD".parse().expect("a currency"));
    assert_eq!(
        host.command(price(dollars)).await.unwrap_err().code,
        RefusalCode::Currency
    );
    assert_eq!(
        host.command(price(eur(-1))).await.unwrap_err().code,
        RefusalCode::Invalid
    );

    for quantity in [
        "0",
        "-1",
        "1.5",
        "9223372036854775808",
        "101",
        "\"2\"",
        "null",
    ] {
        let message = format!(
            r#"[{{"type":"Reserve","id":900,"key":"q{quantity}","listing":"{listing}",
                 "quantity":{quantity},"price":{{"amount_minor":1,"currency":"EUR"}}}}]"#
        );
        let message = message.replace("key\":\"q\"2\"\"", "key\":\"q\"");
        buyer.send_raw(Message::Text(message.into())).await;
        assert_eq!(
            buyer.answer(900).await.unwrap_err().code,
            RefusalCode::Invalid,
            "{quantity}"
        );
    }
    let bag = vec![before.id, after.id];
    let bought = buyer.command(|id, key| ClientMessage::Checkout {
        id,
        key,
        reservations: bag,
        delivery: None,
    });
    assert_eq!(
        bought.await.expect("bought").order.expect("an order").total,
        eur(5_400)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reservation_is_its_buyers_and_has_a_time() {
    let house = House::open(&[(2, 2)]).await;
    let listing = house.listings[0];
    let mut anna = house.join(Role::Viewer, Encoding::MessagePack).await;
    let mut bruno = house.join(Role::Viewer, Encoding::MessagePack).await;
    let hers = reserve(&mut anna, listing, 1).await.expect("reserved");
    let theft = |reservation: ReservationId| {
        move |id, key| ClientMessage::Checkout {
            id,
            key,
            reservations: vec![reservation],
            delivery: None,
        }
    };
    let refused = bruno.command(theft(hers.id)).await.unwrap_err();
    assert_eq!(refused.code, RefusalCode::ReservationUnknown);
    let longer = anna.command(|id, key| ClientMessage::ExtendReservation {
        id,
        key,
        reservation: hers.id,
    });
    let longer = longer
        .await
        .expect("extended")
        .reservation
        .expect("a reservation");
    assert_eq!(longer.extensions_left, hers.extensions_left - 1);

    house.clock.advance_ms(121_000);
    let gone = anna.until_private(|event| match event {
        PrivateEvent::ReservationChanged { reservation }
            if reservation.state == ReservationState::Expired =>
        {
            Some(reservation.id)
        }
        _ => None,
    });
    assert_eq!(gone.await, hers.id);
    let refused = anna.command(theft(hers.id)).await.unwrap_err();
    assert_eq!(refused.code, RefusalCode::ReservationExpired);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_moves_in_order() {
    let house = House::open(&[(1, 1)]).await;
    let listing = house.listings[0];
    let mut anna = house.join(Role::Viewer, Encoding::MessagePack).await;
    let mut bruno = house.join(Role::Viewer, Encoding::Json).await;
    let mut carla = house.join(Role::Viewer, Encoding::MessagePack).await;
    let hers = reserve(&mut anna, listing, 1).await.expect("reserved");
    let refused = reserve(&mut bruno, listing, 1).await.unwrap_err();
    assert_eq!(refused.code, RefusalCode::SoldOut);
    let join = |id, key| ClientMessage::JoinWaitlist {
        id,
        key,
        listing,
        quantity: 1,
    };
    for (client, position) in [(&mut bruno, 1), (&mut carla, 2)] {
        let place = client
            .command(join)
            .await
            .expect("queued")
            .place
            .expect("a place");
        assert_eq!(place.position, position);
    }
    let again = bruno.command(join).await.unwrap_err();
    assert_eq!(again.code, RefusalCode::AlreadyWaiting);

    let release = |reservation| {
        move |id, key| ClientMessage::ReleaseReservation {
            id,
            key,
            reservation,
        }
    };
    anna.command(release(hers.id)).await.expect("released");
    let offer = |event: &PrivateEvent| match event {
        PrivateEvent::WaitlistOffer { reservation } => Some(reservation.clone()),
        _ => None,
    };
    let his = bruno.until_private(offer).await;
    assert!(his.from_waitlist && his.state == ReservationState::Reserved);
    let moved = carla.until_private(|event| match event {
        PrivateEvent::WaitlistChanged { place, .. } => place.filter(|place| place.position == 1),
        _ => None,
    });
    moved.await;
    let early = reserve(&mut anna, listing, 1).await.unwrap_err();
    assert!(
        matches!(
            early.code,
            RefusalCode::WaitlistFirst | RefusalCode::SoldOut
        ),
        "nobody overtakes: {early:?}"
    );
    bruno.command(release(his.id)).await.expect("released");
    carla.until_private(offer).await;
}
