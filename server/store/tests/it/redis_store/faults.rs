//! A Redis that forgets, stalls and dies: nobody hears "not loaded", what was granted is seated
//! again, and a Redis that stands still is refused within a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use vetrina_core::hot::{HotAnswer, HotCommand, Reserve};
use vetrina_protocol::id::{ListingId, ReservationId, ShowId, UserId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::view::Stock;
use vetrina_store::StoreError;
use vetrina_store::hot::HotStore;
use vetrina_store::redis::{Patience, RedisAddress, RedisOptions, RedisStore};

use crate::conformance::{Backend as _, DEADLINE, SqliteAndRedis, World, redis_store};
use vetrina_backends::{RedisServer, Watched};

type Shop = World<SqliteAndRedis>;

const UNITS: u32 = 60;
const BUYERS: u128 = 150;

fn wish(buyer: u128, listing: ListingId) -> HotCommand {
    HotCommand::Reserve(Reserve {
        reservation: ReservationId(buyer),
        buyer: UserId(buyer),
        buyer_name: "Ada".into(),
        listing,
        quantity: 1,
        media_time: None,
    })
}

/// Asks with the same id until somebody answers. True: granted.
async fn insist(hot: &Arc<dyn HotStore>, show: ShowId, buyer: u128, listing: ListingId) -> bool {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match hot.apply(show, wish(buyer, listing)).await {
            Ok(applied) => match applied.answer {
                HotAnswer::Reservation { .. } => return true,
                HotAnswer::Refused(refused) => {
                    assert_eq!(refused.code, RefusalCode::SoldOut);
                    return false;
                }
                other => panic!("{other:?}"),
            },
            Err(StoreError::Unavailable(why)) => {
                assert!(Instant::now() < deadline, "never answered: {why}");
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn stock(hot: &Arc<dyn HotStore>, show: ShowId, listing: ListingId) -> Stock {
    let (_, fold) = hot.fold(show).await.expect("a fold");
    fold.listing(listing).expect("the listing").stock
}

/// Buyers on two nodes; after a third of them `fault` strikes. What was granted before it is there
/// after it, and nothing is granted twice over.
async fn sale_with(fault: impl FnOnce(&mut Shop)) -> String {
    let mut world = Shop::new().await;
    let listing = world.listing(UNITS).await;
    let ledger = Arc::clone(&world.ledger);
    let other = world.backend.hot(ledger, world.clock()).await;
    other.open(world.show).await.expect("joined");
    let show = world.show;
    let nodes = [Arc::clone(&world.hot), Arc::clone(&other)];
    let node = |buyer: u128| Arc::clone(&nodes[usize::from(buyer.is_multiple_of(2))]);
    let mut before = Vec::new();
    for buyer in 1..=BUYERS / 3 {
        assert!(insist(&node(buyer), show, buyer, listing.id).await);
        before.push(buyer);
    }
    let mut asks = JoinSet::new();
    for buyer in BUYERS / 3 + 1..=BUYERS {
        let hot = node(buyer);
        let id = listing.id;
        asks.spawn(async move { (buyer, insist(&hot, show, buyer, id).await) });
    }
    fault(&mut world);
    let mut granted = before.clone();
    while let Some(asked) = asks.join_next().await {
        let (buyer, is_granted) = asked.expect("no panic");
        if is_granted {
            granted.push(buyer);
        }
    }
    for buyer in &before {
        let mine = node(*buyer).mine(show, UserId(*buyer)).await.expect("mine");
        assert_eq!(
            mine.reservations.len(),
            1,
            "buyer {buyer} keeps what was granted"
        );
    }
    let seen = stock(&other, show, listing.id).await;
    assert_eq!(seen.reserved + seen.available, UNITS);
    assert!(
        granted.len() >= UNITS as usize,
        "{} of {UNITS}",
        granted.len()
    );
    let broken = granted.len() - UNITS as usize;
    assert!(
        broken <= granted.len() / 20,
        "{broken} promises were broken"
    );
    other.shutdown().await;
    world.hot.shutdown().await;
    format!("granted {}, of these not kept {broken}", granted.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_in_the_middle_of_a_sale_is_mended() {
    let told = sale_with(|world| world.backend.redis.tell(&["FLUSHALL"])).await;
    println!("{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_restart_in_the_middle_of_a_sale_is_mended() {
    let told = sale_with(|world| world.backend.redis.crash_and_start_empty()).await;
    println!("{told}");
}

/// After a FLUSHALL who is connected goes by an identity that nobody new can read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_after_a_flush_agrees_with_who_was_there() {
    let world = Shop::new().await;
    let listing = world.listing(UNITS).await;
    let show = world.show;
    assert!(insist(&world.hot, show, 1, listing.id).await);
    world.backend.redis.tell(&["FLUSHALL"]);
    assert!(insist(&world.hot, show, 2, listing.id).await);
    let ledger = Arc::clone(&world.ledger);
    let other = world.backend.hot(ledger, world.clock()).await;
    let deadline = Instant::now() + DEADLINE;
    let mut epoch = None;
    loop {
        for buyer in 3..43 {
            let hot = if buyer % 2 == 0 { &other } else { &world.hot };
            assert!(insist(hot, show, buyer, listing.id).await);
        }
        let now = Some(other.position(show).await.expect("a position").epoch);
        if std::mem::replace(&mut epoch, now) == now {
            break;
        }
        assert!(Instant::now() < deadline, "opened anew in turn, for ever");
    }
    let mine = other.mine(show, UserId(1)).await.expect("mine");
    assert_eq!(mine.reservations.len(), 1, "granted before the flush");
    other.shutdown().await;
    world.hot.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_library_is_loaded_again() {
    let told = sale_with(|world| world.backend.redis.tell(&["FUNCTION", "FLUSH"])).await;
    println!("{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_a_stalled_redis_is_refused_within_a_second() {
    let world = Shop::new().await;
    let listing = world.listing(UNITS).await;
    let url: RedisAddress = world.backend.redis.url().parse().expect("a good address");
    let options = RedisOptions {
        watcher: Arc::new(()),
        node: "impatient".into(),
        now: world.clock(),
        clock: Some(world.clock()),
        patience: Patience::default(),
    };
    let store = RedisStore::start(&url, Arc::clone(&world.ledger), options).expect("started");
    let hot: Arc<dyn HotStore> = Arc::new(store);
    assert!(insist(&hot, world.show, 1, listing.id).await);
    // The log's reader has it: what is here now stays readable.
    assert_eq!(stock(&hot, world.show, listing.id).await.reserved, 1);
    let metrics = tokio::runtime::Handle::current().metrics();
    let tasks_before = metrics.num_alive_tasks();
    world.backend.redis.signal("STOP");
    let mut slowest = Duration::ZERO;
    for round in 0..4_u128 {
        let mut asks = JoinSet::new();
        for buyer in 0..1_000 {
            let (hot, show, listing) = (Arc::clone(&hot), world.show, listing.id);
            asks.spawn(async move {
                let started = Instant::now();
                let answer = hot
                    .apply(show, wish(10_000 * round + buyer + 100, listing))
                    .await;
                assert!(
                    matches!(answer, Err(StoreError::Unavailable(_))),
                    "{answer:?}"
                );
                started.elapsed()
            });
        }
        while let Some(took) = asks.join_next().await {
            slowest = slowest.max(took.expect("no panic"));
        }
        // What is here is read as before.
        assert_eq!(stock(&hot, world.show, listing.id).await.reserved, 1);
    }
    let tasks_after = metrics.num_alive_tasks();
    println!("slowest refusal {slowest:?}; tasks {tasks_before} -> {tasks_after}");
    assert!(slowest < Duration::from_millis(1_000), "{slowest:?}");
    assert!(
        tasks_after < tasks_before + 50,
        "{tasks_before} -> {tasks_after}"
    );
    world.backend.redis.signal("CONT");
    assert!(insist(&hot, world.show, 2, listing.id).await, "it goes on");
    hot.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_too_few_replicas_have_is_unknown() {
    let world = Shop::new().await;
    let listing = world.listing(UNITS).await;
    let url = format!("{}?ack=1", world.backend.redis.url());
    let store = redis_store(&url, Arc::clone(&world.ledger), world.clock());
    let answer = store.apply(world.show, wish(1, listing.id)).await;
    let Err(StoreError::Unavailable(why)) = answer else {
        panic!("no replica has it: {answer:?}");
    };
    assert!(why.contains("replicas"), "{why}");
    store.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acl_user_needs_its_prefix_and_its_commands_alone() {
    let mut world = Shop::new().await;
    let redis = RedisServer::start();
    let mut rule = vec![
        "ACL",
        "SETUSER",
        "vetrina",
        "on",
        ">secret",
        "~eu:*",
        "resetchannels",
    ];
    let commands: Vec<String> = vetrina_store::redis::acl_commands()
        .iter()
        .map(|command| format!("+{command}"))
        .collect();
    rule.extend(commands.iter().map(String::as_str));
    redis.tell(&rule);
    let url = format!(
        "redis://vetrina:secret@127.0.0.1:{}/?prefix=eu:",
        redis.port()
    );
    world.hot.shutdown().await;
    world.hot = Arc::new(redis_store(&url, Arc::clone(&world.ledger), world.clock()));
    let listing = world.listing(3).await;
    let buyer = world.buyer();
    world.reserve(buyer, listing.id, 1).await;
    assert_eq!(stock(&world.hot, world.show, listing.id).await.reserved, 1);
    world
        .hot
        .report_viewers(world.show, 3)
        .await
        .expect("reported");
    let end = world.hot.position(world.show).await.expect("a position");
    world
        .hot
        .durable(world.show, end.offset)
        .await
        .expect("archived");
    world.hot.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_a_promoted_replica_is_noticed_and_mended() {
    let mut world = Shop::new().await;
    let mut watched = Watched::start();
    world.hot.shutdown().await;
    world.hot = Arc::new(redis_store(
        &watched.url(),
        Arc::clone(&world.ledger),
        world.clock(),
    ));
    let listing = world.listing(UNITS).await;
    for buyer in 1..=20 {
        assert!(insist(&world.hot, world.show, buyer, listing.id).await);
    }
    let before = world.hot.position(world.show).await.expect("a position");
    // Cut and behind: what comes now the replica will never have.
    watched.cut();
    for buyer in 21..=40 {
        assert!(insist(&world.hot, world.show, buyer, listing.id).await);
    }
    watched.primary.kill();
    let started = Instant::now();
    assert!(insist(&world.hot, world.show, 41, listing.id).await);
    println!("selling paused for {:?}", started.elapsed());
    for buyer in 1..=41 {
        let mine = world
            .hot
            .mine(world.show, UserId(buyer))
            .await
            .expect("mine");
        assert_eq!(mine.reservations.len(), 1, "buyer {buyer}");
    }
    let after = world.hot.position(world.show).await.expect("a position");
    assert!(after.epoch > before.epoch, "the loss was noticed");
    assert_eq!(stock(&world.hot, world.show, listing.id).await.reserved, 41);
    world.hot.shutdown().await;
}
