//! How many claims a second are durable, one per transaction and batched. Prints; asserts nothing
//! of the machine.

use std::sync::Arc;
use std::time::Instant;

use vetrina_store::ledger::Checkout;

use crate::conformance::{SqliteAndMemory, World};

const BUYERS_AT_ONCE: usize = 512;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: run it alone with --run-ignored and --no-capture"]
async fn claims_per_second() {
    let world = World::<SqliteAndMemory>::new().await;
    let listing = world.listing(500_000).await;
    let checkouts = |count: usize| -> Vec<Checkout> {
        (0..count)
            .map(|_| world.checkout(world.buyer(), &listing, 1))
            .collect()
    };
    let alone = checkouts(1_000);
    let count = alone.len();
    let started = Instant::now();
    for checkout in alone {
        world.ledger.claim(checkout).await.expect("claimed");
    }
    let single = count as f64 / started.elapsed().as_secs_f64();

    let together = checkouts(40_000);
    let count = together.len();
    let mut shares: Vec<Vec<Checkout>> = (0..BUYERS_AT_ONCE).map(|_| Vec::new()).collect();
    for (number, checkout) in together.into_iter().enumerate() {
        shares[number % BUYERS_AT_ONCE].push(checkout);
    }
    let started = Instant::now();
    let mut tasks = Vec::new();
    for share in shares {
        let ledger = Arc::clone(&world.ledger);
        tasks.push(tokio::spawn(async move {
            for checkout in share {
                ledger.claim(checkout).await.expect("claimed");
            }
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    let batched = count as f64 / started.elapsed().as_secs_f64();
    assert_eq!(world.row(listing.id).await.claimed, 41_000);
    println!(
        "claims/s: {single:.0} one by one, {batched:.0} batched, ratio {:.1}",
        batched / single
    );
}
