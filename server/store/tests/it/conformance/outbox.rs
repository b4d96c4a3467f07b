//! Work that follows from orders: leased, finished, taken over.

use std::collections::BTreeSet;
use std::sync::Arc;

use vetrina_store::ledger::WorkKind;

use super::world::{Backend, World};

pub(crate) async fn work_is_leased_to_one_worker<B: Backend>(world: World<B>) {
    let mut news = world.ledger.work_watch();
    news.mark_unchanged();
    let listing = world.listing(50).await;
    let mut orders = BTreeSet::new();
    for _ in 0..40 {
        orders.insert(world.order(&listing, 1).await.order.id);
    }
    assert!(
        news.has_changed().expect("the ledger lives"),
        "workers are told"
    );
    let now = world.now();
    let mut takers = Vec::new();
    for worker in 0..8 {
        let ledger = Arc::clone(&world.ledger);
        takers.push(tokio::spawn(async move {
            let name = format!("worker-{worker}");
            ledger
                .take_work(&name, &WorkKind::ALL, now, 1_000, 10)
                .await
                .expect("taken")
        }));
    }
    let mut taken = Vec::new();
    for taker in takers {
        taken.extend(taker.await.expect("no panic"));
    }
    let distinct: BTreeSet<_> = taken.iter().map(|work| work.order).collect();
    assert_eq!((taken.len(), &distinct), (40, &orders), "each once");
    assert!(
        taken
            .iter()
            .all(|work| work.kind == WorkKind::OpenIntent && work.attempts == 1)
    );
    let other = world
        .ledger
        .take_work("late", &[WorkKind::Refund], now, 1_000, 10)
        .await;
    assert!(other.expect("asked").is_empty());
}

pub(crate) async fn work_survives_its_worker<B: Backend>(world: World<B>) {
    let listing = world.listing(5).await;
    world.order(&listing, 1).await;
    let ledger = &world.ledger;
    let take = async |worker: &str| {
        ledger
            .take_work(worker, &WorkKind::ALL, world.now(), 1_000, 10)
            .await
            .expect("asked")
    };
    let first = take("a").await.pop().expect("work");
    assert!(take("b").await.is_empty(), "leased");
    world.advance_ms(1_000);
    let second = take("b").await.pop().expect("the lease has run out");
    assert_eq!((second.id, second.attempts), (first.id, 2));
    assert!(
        !ledger.finish_work("a", first.id).await.expect("asked"),
        "it is b's now"
    );
    assert!(
        !ledger
            .retry_work("a", first.id, world.now())
            .await
            .expect("asked")
    );
    let later = world.now().plus_ms(5_000);
    assert!(
        ledger
            .retry_work("b", second.id, later)
            .await
            .expect("asked")
    );
    assert!(take("b").await.is_empty(), "not before its time");
    world.advance_ms(5_000);
    let third = take("c").await.pop().expect("due again");
    assert_eq!(third.attempts, 3);
    assert!(ledger.finish_work("c", third.id).await.expect("asked"));
    world.advance_ms(60_000);
    assert!(take("d").await.is_empty(), "done is done");
}
