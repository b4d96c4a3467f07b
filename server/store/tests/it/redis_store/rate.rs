//! How many reservations a second; printed, because only one machine at a time has a figure.

use std::sync::Arc;
use std::time::Duration;

use vetrina_store::bench;
use vetrina_store::hot::HotStore as _;
use vetrina_store::redis::{Patience, RedisAddress, RedisOptions, RedisStore};

use crate::conformance::{SqliteAndRedis, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures for twenty seconds, on an idle machine"]
async fn heavy_reservations_per_second() {
    let world = World::<SqliteAndRedis>::new().await;
    let url: RedisAddress = world.backend.redis.url().parse().expect("a good address");
    let options = RedisOptions {
        watcher: Arc::new(()),
        node: "bench".into(),
        now: world.clock(),
        clock: None,
        patience: Patience {
            call: Duration::from_secs(5),
            ..Patience::default()
        },
    };
    let store = RedisStore::start(&url, Arc::clone(&world.ledger), options).expect("started");
    let figures = bench::hot(&store, &*world.ledger, world.now(), Duration::from_secs(4)).await;
    let figures = figures.expect("measured");
    println!("{figures:#?}");
    assert_eq!(figures.granted_10k, 100);
    store.shutdown().await;
}
