//! Claims: what concurrency, retries and greed come to.

use std::collections::BTreeSet;
use std::sync::Arc;

use vetrina_core::checkout::{BodyDigest, ClaimLine};
use vetrina_core::order::OrderPhase;
use vetrina_protocol::id::ReservationId;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_store::StoreError;
use vetrina_store::ledger::{Checkout, Claimed, PageRequest};

use super::world::{Backend, World, code, eur};

/// All at once, each in its own task.
pub(crate) async fn claim_all<B: Backend>(
    world: &World<B>,
    checkouts: Vec<Checkout>,
) -> Vec<Result<Claimed, StoreError>> {
    let mut tasks = Vec::with_capacity(checkouts.len());
    for checkout in checkouts {
        let ledger = Arc::clone(&world.ledger);
        tasks.push(tokio::spawn(async move { ledger.claim(checkout).await }));
    }
    let mut answers = Vec::with_capacity(tasks.len());
    for task in tasks {
        answers.push(task.await.expect("no panic"));
    }
    answers
}

pub(crate) async fn fifty_equal_claims_make_one_order<B: Backend>(world: World<B>) {
    let listing = world.listing(10).await;
    let checkout = world.checkout(world.buyer(), &listing, 2);
    let answers = claim_all(&world, vec![checkout.clone(); 50]).await;
    let claimed: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.expect("claimed"))
        .collect();
    assert_eq!(
        claimed.iter().filter(|claimed| !claimed.existing).count(),
        1
    );
    for one in &claimed {
        assert_eq!(one.order, claimed[0].order);
        let mirror = &one.mirrors[0];
        assert_eq!((mirror.claimed, mirror.version), (2, listing.version + 1));
        assert!(
            mirror
                .settled
                .iter()
                .any(|settled| settled.order == one.order.id)
        );
    }
    let order = &claimed[0].order;
    assert_eq!(
        (order.total, order.life.phase),
        (eur(3_980), OrderPhase::Pending)
    );
    assert_eq!(order.life.pay_by, world.now().plus_ms(600_000));
    assert_eq!(
        world.ledger.order(order.id).await.expect("read").as_ref(),
        Some(order)
    );
    let later = world.ledger.claim(checkout).await.expect("repeated later");
    assert!(later.existing && later.order == *order);
    assert_eq!(world.row(listing.id).await.claimed, 2);
}

pub(crate) async fn a_key_is_for_one_request<B: Backend>(world: World<B>) {
    let listing = world.listing(10).await;
    let buyer = world.buyer();
    let first = world.checkout(buyer, &listing, 1);
    world.ledger.claim(first.clone()).await.expect("claimed");
    let mut other = world.checkout(buyer, &listing, 1);
    other.claim.key = first.claim.key.clone();
    other.claim.body = BodyDigest([8; 32]);
    assert_eq!(
        code(world.ledger.claim(other.clone()).await),
        RefusalCode::KeyReused
    );
    // Also when both come in one batch.
    let mut pair = vec![world.checkout(buyer, &listing, 1), other];
    pair[1].claim.key = pair[0].claim.key.clone();
    let answers = claim_all(&world, pair).await;
    let granted = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(granted, 1);
    assert_eq!(world.row(listing.id).await.claimed, 2);
}

pub(crate) async fn a_hot_sku_is_never_oversold<B: Backend>(world: World<B>) {
    let listing = world.listing(100).await;
    let buyers: Vec<_> = (0..300).map(|_| world.buyer()).collect();
    let asks = (0..900)
        .map(|ask| world.checkout(buyers[ask % 300], &listing, 1))
        .collect();
    let before = world.ledger.figures().await.expect("counted");
    let answers = claim_all(&world, asks).await;
    let after = world.ledger.figures().await.expect("counted");
    assert_eq!(after.claims - before.claims, 900);
    let batches = after.claim_batches - before.claim_batches;
    assert!((1..=900).contains(&batches), "{batches}");
    // Every order waits for its payment to be opened.
    assert_eq!(after.outbox_waiting - before.outbox_waiting, 100);
    let mut granted = 0;
    let mut refused = BTreeSet::new();
    for answer in answers {
        match answer {
            Ok(claimed) => granted += claimed.order.lines[0].quantity,
            Err(StoreError::Refused(refusal)) => {
                refused.insert(refusal.code);
            }
            Err(error) => panic!("neither granted nor refused: {error}"),
        }
    }
    assert_eq!(granted, 100);
    assert!(refused.contains(&RefusalCode::SoldOut), "{refused:?}");
    let row = world.row(listing.id).await;
    assert_eq!((row.claimed, row.total, row.paid), (100, 100, 0));
    let known = world.ledger.buyers_of_show(listing.show).await;
    let known = known.expect("read");
    assert_eq!(known.iter().collect::<BTreeSet<_>>().len(), known.len());
    for buyer in buyers {
        let orders = world
            .ledger
            .orders_of_buyer(buyer, None, 10)
            .await
            .expect("read");
        assert!(orders.len() <= 2, "two per buyer");
        assert_eq!(known.contains(&buyer), !orders.is_empty());
    }
}

pub(crate) async fn a_bag_is_claimed_whole_or_not_at_all<B: Backend>(world: World<B>) {
    let (plenty, scarce) = (world.listing(10).await, world.listing(1).await);
    let line = |listing: &vetrina_store::ledger::ListingRow, quantity| ClaimLine {
        reservation: ReservationId(world.fresh()),
        listing: listing.id,
        quantity,
        unit_price: listing.price,
    };
    let bag = vec![line(&plenty, 1), line(&scarce, 2)];
    let refused = world
        .ledger
        .claim(world.checkout_of(world.buyer(), "bag", bag))
        .await;
    assert_eq!(code(refused), RefusalCode::TooFew);
    assert_eq!(world.row(plenty.id).await.claimed, 0);
    let bag = vec![line(&plenty, 2), line(&scarce, 1)];
    let claimed = world
        .ledger
        .claim(world.checkout_of(world.buyer(), "bag", bag))
        .await;
    let claimed = claimed.expect("claimed");
    assert_eq!(claimed.order.lines.len(), 2);
    assert_eq!(claimed.mirrors.len(), 2);
    assert_eq!(claimed.order.total, eur(3 * 1_990));
    let limit = world.checkout(world.buyer(), &plenty, 3);
    assert_eq!(
        code(world.ledger.claim(limit).await),
        RefusalCode::BuyerLimit
    );
    let mut elsewhere = world.checkout(world.buyer(), &plenty, 1);
    elsewhere.show = world.new_show().await;
    assert_eq!(
        code(world.ledger.claim(elsewhere).await),
        RefusalCode::ListingUnknown
    );
    let mut nowhere = world.checkout(world.buyer(), &plenty, 1);
    nowhere.show = vetrina_protocol::id::ShowId(5);
    assert_eq!(
        code(world.ledger.claim(nowhere).await),
        RefusalCode::ShowUnknown
    );
}

pub(crate) async fn a_reservation_makes_one_line<B: Backend>(world: World<B>) {
    let listing = world.listing(10).await;
    let first = world.checkout(world.buyer(), &listing, 1);
    let mut thief = world.checkout(world.buyer(), &listing, 1);
    thief.claim.lines[0].reservation = first.claim.lines[0].reservation;
    let answers = claim_all(&world, vec![first, thief]).await;
    let codes: Vec<_> = answers
        .into_iter()
        .filter_map(|answer| match answer {
            Err(StoreError::Refused(refused)) => Some(refused.code),
            _ => None,
        })
        .collect();
    assert_eq!(codes, vec![RefusalCode::ReservationClosed]);
    assert_eq!(world.row(listing.id).await.claimed, 1);
}

pub(crate) async fn numbers_are_unique_and_orders_are_listed<B: Backend>(world: World<B>) {
    let listing = world.listing(60).await;
    let mut asks = Vec::new();
    for number in 0..60 {
        if number % 7 == 0 {
            world.advance_ms(3);
        }
        asks.push(world.checkout(world.buyer(), &listing, 1));
    }
    let answers = claim_all(&world, asks).await;
    let numbers: BTreeSet<_> = answers
        .iter()
        .map(|answer| answer.as_ref().expect("claimed").order.number.clone())
        .collect();
    assert_eq!(numbers.len(), 60);
    assert!(
        numbers
            .iter()
            .all(|number| number.starts_with("V-") && number.len() <= 8)
    );
    let mut page = PageRequest {
        cursor: None,
        limit: 25,
    };
    let mut seen = Vec::new();
    loop {
        let part = world
            .ledger
            .orders_of_show(world.show, page.clone())
            .await
            .expect("a page");
        seen.extend(part.items);
        match part.next_cursor {
            Some(cursor) => page.cursor = Some(cursor),
            None => break,
        }
    }
    assert_eq!(seen.len(), 60);
    assert!(seen.is_sorted_by(|a, b| (a.created_at, a.id) > (b.created_at, b.id)));
    let of_seller = PageRequest {
        cursor: None,
        limit: 100,
    };
    let of_seller = world
        .ledger
        .orders_of_seller(world.seller, of_seller)
        .await
        .expect("a page");
    assert_eq!(of_seller.items, seen);
}
