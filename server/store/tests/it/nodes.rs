//! The PostgreSQL ledger under what happens to it in production: several nodes at once, connections
//! that are cut, a server that is killed or does not answer. What is counted at the end is counted
//! in the database, behind the ledger's back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use vetrina_protocol::id::{OrderId, UserId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_store::StoreError;
use vetrina_store::ledger::{Checkout, Ledger, ListingRow, WorkKind, open};

use crate::conformance::{Backend as _, Dice, PostgresAndMemory, World};
use vetrina_backends::PostgresServer;

use crate::sql;

type Postgres = World<PostgresAndMemory>;

const KILL_ONE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE application_name = 'vetrina' ORDER BY random() LIMIT 1";

/// Repeats the same request until somebody says yes or no. Gives the order when it is yes.
async fn insist(
    nodes: &[Arc<dyn Ledger>],
    checkout: &Checkout,
    dice: &mut Dice,
) -> Option<OrderId> {
    for _ in 0..200 {
        let node = usize::try_from(dice.below(nodes.len() as u64)).expect("small");
        match nodes[node].claim(checkout.clone()).await {
            Ok(claimed) => return Some(claimed.order.id),
            Err(StoreError::Refused(_)) => return None,
            Err(StoreError::Busy(_) | StoreError::Unavailable(_)) => {}
        }
    }
    panic!("nobody answers");
}

/// What the tables say of a show's sales.
async fn check_books(world: &Postgres) {
    let url = world.backend.server.url();
    let wrong = sql::number(
        &url,
        "SELECT count(*) FROM listings l WHERE claimed > total OR claimed <>
           (SELECT coalesce(sum(quantity), 0) FROM order_lines o WHERE o.listing = l.id)
           OR claimed <> (SELECT coalesce(sum(units), 0) FROM buyer_units u WHERE u.listing = l.id)",
    );
    assert_eq!(wrong.await, 0, "counters and orders differ");
    let greedy = sql::number(&url, "SELECT count(*) FROM buyer_units WHERE units > 2");
    assert_eq!(greedy.await, 0, "a buyer has more than the limit");
    let idle = sql::number(
        &url,
        "SELECT count(*) FROM orders o
         WHERE NOT EXISTS (SELECT 1 FROM outbox w WHERE w.order_id = o.id AND kind = 'open_intent')",
    );
    assert_eq!(idle.await, 0, "an order without its work");
}

async fn sell_and_kill(seed: u64) {
    let world = Postgres::new().await;
    let nodes = [Arc::clone(&world.ledger), world.backend.ledger().await];
    let (hot, other) = (world.listing(150).await, world.listing(40).await);
    let buyers: Vec<UserId> = (0..160).map(|_| world.buyer()).collect();
    let url = world.backend.server.url();
    let (answered, mut answers) = mpsc::channel(1_000);
    let mut tasks = Vec::new();
    for task in 0..16 {
        let mut dice = Dice::new(seed * 100 + task);
        let asks: Vec<Checkout> = (0..30)
            .map(|_| {
                let buyer = buyers[usize::try_from(dice.below(160)).expect("small")];
                let listing = if dice.below(4) == 0 { &other } else { &hot };
                world.checkout(buyer, listing, 1)
            })
            .collect();
        let (nodes, answered) = (nodes.clone(), answered.clone());
        tasks.push(tokio::spawn(async move {
            for checkout in asks {
                // Twice at once, as an impatient client does.
                let mut twin = Dice::new(dice.next());
                let (first, second) = tokio::join!(
                    insist(&nodes, &checkout, &mut dice),
                    insist(&nodes, &checkout, &mut twin)
                );
                assert_eq!(first, second, "one key, two answers");
                answered.send(first).await.expect("counted");
            }
        }));
    }
    drop(answered);
    let mut orders = BTreeSet::new();
    let mut killer = sql::connect(&url).await;
    for count in 1.. {
        let Some(answer) = answers.recv().await else {
            break;
        };
        if let Some(order) = answer {
            assert!(orders.insert(order), "an order was given twice");
        }
        if count % 12 == 0 {
            let killed = sqlx::query(KILL_ONE).execute(&mut killer).await;
            killed.expect("killed");
        }
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    check_books(&world).await;
    let made = sql::number(&url, "SELECT count(*) FROM orders").await;
    assert_eq!(usize::try_from(made), Ok(orders.len()), "seed {seed}");
    let row = world.row(hot.id).await;
    assert_eq!(row.claimed, 150, "seed {seed}: the hot sku is sold out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_never_oversell_whatever_is_cut() {
    for seed in 1..=3 {
        sell_and_kill(seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_of_two_nodes_take_each_piece_once() {
    let world = Postgres::new().await;
    let nodes = [Arc::clone(&world.ledger), world.backend.ledger().await];
    let listing = world.listing(120).await;
    for _ in 0..120 {
        world.order(&listing, 1).await;
    }
    let now = world.now();
    let takers = (0..12).map(|taker| {
        let ledger = Arc::clone(&nodes[taker % 2]);
        tokio::spawn(async move {
            let name = format!("worker-{taker}");
            let work = ledger.take_work(&name, &WorkKind::ALL, now, 60_000, 20);
            work.await.expect("taken")
        })
    });
    let mut taken = Vec::new();
    for taker in takers.collect::<Vec<_>>() {
        taken.extend(taker.await.expect("no panic"));
    }
    let distinct: BTreeSet<i64> = taken.iter().map(|work| work.id).collect();
    assert_eq!((taken.len(), distinct.len()), (120, 120));
}

/// Claims without a pause, and says which orders were acknowledged.
fn claim_for_ever(
    world: &Arc<Postgres>,
    listing: &ListingRow,
    done: &Arc<AtomicBool>,
    acknowledged: &mpsc::Sender<OrderId>,
) -> tokio::task::JoinHandle<()> {
    let (world, listing) = (Arc::clone(world), listing.clone());
    let (done, acknowledged) = (Arc::clone(done), acknowledged.clone());
    tokio::spawn(async move {
        while !done.load(Ordering::SeqCst) {
            let checkout = world.checkout(world.buyer(), &listing, 1);
            if let Ok(claimed) = world.ledger.claim(checkout).await {
                acknowledged.send(claimed.order.id).await.expect("counted");
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_nine_of_the_server_loses_no_acknowledged_order() {
    let world = Arc::new(Postgres::new().await);
    let listing = world.listing(100_000).await;
    let done = Arc::new(AtomicBool::new(false));
    let (acknowledge, mut acknowledged) = mpsc::channel(10_000);
    let tasks: Vec<_> = (0..32)
        .map(|_| claim_for_ever(&world, &listing, &done, &acknowledge))
        .collect();
    drop(acknowledge);
    let mut orders = Vec::new();
    for round in 1..=3 {
        while orders.len() < round * 300 {
            orders.push(acknowledged.recv().await.expect("they go on"));
        }
        world.backend.server.kill_nine();
        world.backend.server.start_server();
    }
    done.store(true, Ordering::SeqCst);
    while let Some(order) = acknowledged.recv().await {
        orders.push(order);
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    for order in &orders {
        let found = world.ledger.order(*order).await.expect("read");
        assert!(found.is_some(), "{order} was acknowledged and is gone");
    }
    check_books(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_holds_nobody_up() {
    let world = Postgres::new().await;
    let listing = world.listing(10).await;
    let checkout = world.checkout(world.buyer(), &listing, 1);
    world.backend.server.freeze(true);
    let asked = Instant::now();
    let (claimed, read, written) = tokio::join!(
        world.ledger.claim(checkout.clone()),
        world.ledger.listing(listing.id),
        world.ledger.release_unsold(world.show),
    );
    let waited = asked.elapsed();
    world.backend.server.freeze(false);
    for outcome in [claimed.err(), read.err(), written.err()] {
        assert!(
            matches!(
                outcome,
                Some(StoreError::Unavailable(_) | StoreError::Busy(_))
            ),
            "{outcome:?}"
        );
    }
    assert!(waited < Duration::from_secs(7), "{waited:?}");
    let order = insist(&[Arc::clone(&world.ledger)], &checkout, &mut Dice::new(1)).await;
    assert_eq!(order, Some(checkout.claim.order), "it goes on");
    assert_eq!(world.row(listing.id).await.claimed, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_may_start_at_once_on_an_empty_database() {
    let server = PostgresServer::start(env!("CARGO_TARGET_TMPDIR"));
    sql::execute(&server.url(), "CREATE DATABASE empty").await;
    let url = server.url_of("empty");
    let (one, two, three) = tokio::join!(open(&url), open(&url), open(&url));
    for ledger in [one, two, three] {
        let ledger = ledger.expect("the ledger opens");
        ledger.check().await.expect("it works");
        ledger.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_cannot_be_kept_fails_alone() {
    let world = Postgres::new().await;
    let listing = world.listing(50).await;
    let granted = Arc::new(AtomicUsize::new(0));
    let claims = (0..40).map(|number| {
        let mut checkout = world.checkout(world.buyer(), &listing, 1);
        if number == 20 {
            checkout.buyer_name = "Ada\0".into();
        }
        let (ledger, granted) = (Arc::clone(&world.ledger), Arc::clone(&granted));
        tokio::spawn(async move {
            match ledger.claim(checkout).await {
                Ok(_) => granted.fetch_add(1, Ordering::SeqCst),
                Err(StoreError::Refused(refused)) => {
                    assert_eq!((number, refused.code), (20, RefusalCode::Invalid));
                    0
                }
                Err(error) => panic!("{error}"),
            }
        })
    });
    for claim in claims.collect::<Vec<_>>() {
        claim.await.expect("no panic");
    }
    assert_eq!(granted.load(Ordering::SeqCst), 39);
    check_books(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_measurement_counts_what_it_claims() {
    let server = PostgresServer::start(env!("CARGO_TARGET_TMPDIR"));
    let now = vetrina_protocol::time::UnixMs(1_800_000_000_000);
    let each = Duration::from_millis(200);
    let figures = vetrina_store::bench::claims(&server.url(), now, each).await;
    let figures = figures.expect("measured");
    assert!(figures.claims_per_second > figures.single_per_second);
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_refused_without_its_secret() {
    for (url, says) in [
        ("mysql://ada:s3cret@host/shop", "neither `sqlite:`"),
        ("sqlite:", "names no file"),
        ("postgres://ada:s3cret@host:port/shop", "cannot be read"),
        (
            "postgres://ada:s3cret@127.0.0.1:1/shop",
            "127.0.0.1:1, database shop",
        ),
    ] {
        let error = open(url).await.err().expect(url).to_string();
        assert!(error.contains(says), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}
