//! Reservations in the hot store: one step with their events, back after a restart, gone in time.

use std::sync::Arc;

use vetrina_core::checkout::ClaimLine;
use vetrina_core::hot::{CheckoutOutcome, HotAnswer, HotCommand};
use vetrina_core::show::ShowTransition;
use vetrina_protocol::event::{Event, PrivateEvent};
use vetrina_protocol::id::{ListingId, OrderId, ReservationId, UserId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::view::{ReservationState, ShowState, Stock};
use vetrina_store::hot::{Entries, Position};

use super::world::{Backend, DEADLINE, World, code};

async fn stock<B: Backend>(world: &World<B>, listing: ListingId) -> Stock {
    let (_, fold) = world.hot.fold(world.show).await.expect("the fold");
    fold.listing(listing).expect("the listing").stock
}

fn join<B: Backend>(world: &World<B>, buyer: UserId, listing: ListingId) -> HotCommand {
    HotCommand::JoinWaitlist {
        reservation: ReservationId(world.fresh()),
        buyer,
        buyer_name: "Bea".into(),
        listing,
        quantity: 1,
    }
}

pub(crate) async fn a_reservation_and_its_event_are_one_step<B: Backend>(world: World<B>) {
    let listing = world.listing(3).await;
    let before = world.hot.position(world.show).await.expect("a position");
    let mut notices = world.hot.notices(world.show).await.expect("notices");
    let buyer = world.buyer();
    let command = world.reserve_command(buyer, listing.id, 2);
    let applied = world.apply(command.clone()).await;
    assert_eq!(applied.position.offset.0, before.offset.0 + 1);
    let Entries::Next { events, .. } = world
        .hot
        .read(world.show, before, 10)
        .await
        .expect("readable")
    else {
        panic!("a reset");
    };
    let Event::StockChanged { listing: of, stock } = &events[0].event else {
        panic!("{events:?}");
    };
    assert_eq!((*of, stock.reserved, stock.available), (listing.id, 2, 1));
    let notice = tokio::time::timeout(DEADLINE, notices.recv())
        .await
        .expect("in time");
    let notice = notice.expect("a notice");
    assert_eq!(notice.buyer, buyer);
    assert!(matches!(
        notice.event,
        PrivateEvent::ReservationChanged { .. }
    ));
    let mine = world.hot.mine(world.show, buyer).await.expect("mine");
    assert_eq!((mine.reservations.len(), mine.version), (1, notice.version));
    let desk = world.hot.desk(world.show).await.expect("the desk");
    assert_eq!(desk.reservations[0].buyer_name, "Ada");
    // The same command again does nothing more.
    let again = world.apply(command).await;
    assert!(matches!(
        again.answer,
        HotAnswer::Reservation { repeated: true, .. }
    ));
    assert_eq!(again.position, applied.position);
}

pub(crate) async fn a_thousand_buyers_and_ten_units<B: Backend>(world: World<B>) {
    let listing = world.listing(10).await;
    let mut asks = Vec::new();
    for _ in 0..1_000 {
        let (hot, show) = (Arc::clone(&world.hot), world.show);
        let command = world.reserve_command(world.buyer(), listing.id, 1);
        asks.push(tokio::spawn(async move { hot.apply(show, command).await }));
    }
    let mut granted = 0;
    for ask in asks {
        match ask.await.expect("no panic").expect("answered").answer {
            HotAnswer::Reservation { .. } => granted += 1,
            HotAnswer::Refused(refused) => assert_eq!(refused.code, RefusalCode::SoldOut),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(granted, 10);
    let stock = stock(&world, listing.id).await;
    assert_eq!((stock.reserved, stock.available), (10, 0));
}

pub(crate) async fn an_unknown_listing_is_refused<B: Backend>(world: World<B>) {
    let unknown = world.reserve_command(world.buyer(), ListingId(5), 1);
    assert_eq!(
        code(world.hot.apply(world.show, unknown).await),
        RefusalCode::ListingUnknown
    );
    let nowhere = vetrina_protocol::id::ShowId(5);
    assert_eq!(
        code(world.hot.position(nowhere).await),
        RefusalCode::ShowUnknown
    );
    // One that the ledger knows and nobody published is learned on the way.
    let sku = world.sku(5).await;
    let new = world.new_listing(world.show, sku, 5);
    let row = world
        .ledger
        .create_listing(world.once_new(), new)
        .await
        .expect("made");
    world.reserve(world.buyer(), row.id, 1).await;
    assert_eq!(stock(&world, row.id).await.available, 4);
}

pub(crate) async fn reservations_and_queues_come_back<B: Backend>(mut world: World<B>) {
    let listing = world.listing(2).await;
    let (owner, first, second) = (world.buyer(), world.buyer(), world.buyer());
    let reservation = world.reserve(owner, listing.id, 2).await;
    for buyer in [first, second] {
        let place = world.apply(join(&world, buyer, listing.id)).await.answer;
        assert!(matches!(place, HotAnswer::Waiting { .. }), "{place:?}");
    }
    let before = world.hot.mine(world.show, owner).await.expect("mine");
    world.restart().await;
    let after = world.hot.mine(world.show, owner).await.expect("mine");
    assert_eq!(after.reservations, vec![reservation.clone()]);
    assert_eq!(after.reservations, before.reservations);
    let places = world
        .hot
        .mine(world.show, second)
        .await
        .expect("mine")
        .waitlist;
    assert_eq!(places[0].position, 2);
    let now = stock(&world, listing.id).await;
    assert_eq!((now.reserved, now.available, now.waiting), (2, 0, 2));
    let release = HotCommand::Release {
        reservation: reservation.id,
        buyer: owner,
    };
    world.apply(release).await;
    let offered = world.hot.mine(world.show, first).await.expect("mine");
    assert!(offered.reservations[0].from_waitlist && offered.waitlist.is_empty());
}

pub(crate) async fn a_claim_moves_units_from_reserved_to_claimed<B: Backend>(mut world: World<B>) {
    let listing = world.listing(5).await;
    let buyer = world.buyer();
    let reservation = world.reserve(buyer, listing.id, 2).await;
    let order = OrderId(world.fresh());
    let reservations = vec![reservation.id];
    let begin = HotCommand::BeginCheckout {
        order,
        buyer,
        reservations: reservations.clone(),
        fence_ms: 30_000,
    };
    assert!(matches!(world.apply(begin).await.answer, HotAnswer::Bag(_)));
    let line = ClaimLine {
        reservation: reservation.id,
        listing: listing.id,
        quantity: 2,
        unit_price: reservation.unit_price,
    };
    let mut checkout = world.checkout_of(buyer, "bag", vec![line]);
    checkout.claim.order = order;
    let claimed = world.ledger.claim(checkout).await.expect("claimed");
    let end = HotCommand::EndCheckout {
        order,
        reservations,
        outcome: CheckoutOutcome::Claimed,
    };
    world.apply(end).await;
    for mirror in claimed.mirrors {
        world.apply(HotCommand::Mirror(mirror)).await;
    }
    let expect = |stock: Stock| {
        assert_eq!((stock.reserved, stock.claimed, stock.available), (0, 2, 3));
    };
    expect(stock(&world, listing.id).await);
    let more = world
        .apply(world.reserve_command(buyer, listing.id, 1))
        .await
        .answer;
    let HotAnswer::Refused(refused) = more else {
        panic!("two per buyer, owned ones too: {more:?}");
    };
    assert_eq!(refused.code, RefusalCode::BuyerLimit);
    world.restart().await;
    expect(stock(&world, listing.id).await);
    let again = world
        .apply(world.reserve_command(buyer, listing.id, 1))
        .await
        .answer;
    assert!(
        matches!(again, HotAnswer::Refused(_)),
        "remembered after a restart: {again:?}"
    );
}

pub(crate) async fn time_alone_expires_a_reservation<B: Backend>(world: World<B>) {
    let listing = world.listing(1).await;
    let (buyer, next) = (world.buyer(), world.buyer());
    world.reserve(buyer, listing.id, 1).await;
    world.apply(join(&world, next, listing.id)).await;
    let mut notices = world.hot.notices(world.show).await.expect("notices");
    world.advance_ms(120_000);
    // No command comes: the store's own upkeep notices.
    let mut told = Vec::new();
    while told.len() < 2 {
        let notice = tokio::time::timeout(DEADLINE, notices.recv())
            .await
            .expect("in time");
        let notice = notice.expect("a notice");
        match &notice.event {
            PrivateEvent::ReservationChanged { reservation } => {
                assert_eq!(
                    (notice.buyer, reservation.state),
                    (buyer, ReservationState::Expired)
                );
                told.push("expired");
            }
            PrivateEvent::WaitlistOffer { reservation } => {
                assert_eq!((notice.buyer, reservation.quantity), (next, 1));
                told.push("offered");
            }
            _ => {}
        }
    }
    assert_eq!(told, vec!["expired", "offered"]);
    assert_eq!(stock(&world, listing.id).await.reserved, 1);
}

pub(crate) async fn the_end_of_a_show_closes_its_selling<B: Backend>(mut world: World<B>) {
    let listing = world.listing(3).await;
    let buyer = world.buyer();
    let open = world.reserve(buyer, listing.id, 1).await;
    let end = world
        .ledger
        .move_show(world.show, ShowTransition::End, world.now())
        .await;
    end.expect("ended");
    let ended = Event::ShowStateChanged {
        state: ShowState::Ended,
    };
    let appended = world
        .hot
        .append(world.show, vec![ended])
        .await
        .expect("appended");
    world
        .hot
        .durable(world.show, appended.position.offset)
        .await
        .expect("durable");
    for round in ["before", "after"] {
        let late = world
            .apply(world.reserve_command(world.buyer(), listing.id, 1))
            .await
            .answer;
        let HotAnswer::Refused(refused) = late else {
            panic!("{round} a restart: {late:?}");
        };
        assert_eq!(refused.code, RefusalCode::NotLive);
        let mine = world.hot.mine(world.show, buyer).await.expect("mine");
        assert_eq!(
            mine.reservations,
            vec![open.clone()],
            "it may still be paid"
        );
        world.restart().await;
    }
    let (position, fold) = world.hot.fold(world.show).await.expect("the fold");
    assert_eq!(fold.show().state, ShowState::Ended);
    assert_ne!(position, Position::default());
}
