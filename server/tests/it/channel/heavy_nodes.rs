//! Two nodes of one shop, on a real Redis and a real PostgreSQL: what is done at one is so at the
//! other, and a node that leaves sends its people there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use vetrina_backends::{PostgresServer, RedisServer};
use vetrina_protocol::client::{ClientMessage, CommandId, Reaction};
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::event::{DeskEvent, Event, PrivateEvent};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::server::{Done, ServerMessage};
use vetrina_protocol::time::Offset;
use vetrina_protocol::view::{OrderState, Role, Show};
use vetrina_store::hot::PRESENCE_LEASE_MS;
use vetrina_store::{Leased, Leases as _, Patience, RedisOptions, RedisStore, ledger};

use super::house::House;
use super::sale::{delivery, pay};
use crate::harness::{Client, Refusal, within};

/// What one node alone lets a person do at once; nobody needs so many.
const BURST: u32 = 120;

/// The same show on two nodes.
struct Pair {
    one: House,
    two: House,
    redis: RedisServer,
    postgres: PostgresServer,
}

impl Pair {
    /// With listings as [`House::open`] takes them.
    async fn open(listings: &[(u32, u32)]) -> Self {
        let redis = RedisServer::start();
        let postgres = PostgresServer::start(env!("CARGO_TARGET_TMPDIR"));
        let (hot, ledger) = (redis.url(), postgres.url());
        let node = [("redis", &*hot), ("database", &*ledger)];
        let first = [&node[..], &[("node", "node-1")]].concat();
        let one = House::open_with(listings, &first).await;
        let provider = one.server.sandbox.expect("it has the sandbox provider");
        let provider = format!("http://{provider}");
        let second = [("node", "node-2"), ("sandbox-api", &*provider)];
        let two = one.beside(&[&node[..], &second].concat()).await;
        Self {
            one,
            two,
            redis,
            postgres,
        }
    }

    /// What another node of the shop sees and does that is not a whole server.
    async fn store(&self) -> RedisStore {
        let ledger = ledger::open(&self.postgres.url()).await;
        let clock = self.one.clock.clone();
        let options = RedisOptions {
            watcher: Arc::new(()),
            node: "node-3".into(),
            now: Arc::new(move || clock.now()),
            clock: None,
            patience: Patience::default(),
        };
        let address = self.redis.url().parse().expect("a good address");
        RedisStore::start(&address, ledger.expect("opens"), options).expect("starts")
    }
}

/// A command with this key, repeated as it is while its outcome is unknown.
async fn insist(
    client: &mut Client,
    key: &str,
    make: impl Fn(CommandId, String) -> ClientMessage,
) -> Result<Done, Refusal> {
    let asked = async {
        loop {
            match client.command_as(key, &make).await {
                Err(refusal) if refusal.code == RefusalCode::TryAgain => {}
                answer => return answer,
            }
        }
    };
    within(asked).await
}

fn comment(text: &str) -> impl Fn(CommandId, String) -> ClientMessage {
    move |id, key| ClientMessage::Comment {
        id,
        key,
        text: text.to_owned(),
        media_time: None,
    }
}

fn reserve(house: &House, quantity: u32) -> impl Fn(CommandId, String) -> ClientMessage {
    let listing = house.listings[0];
    move |id, key| ClientMessage::Reserve {
        id,
        key,
        listing,
        quantity,
        media_time: None,
    }
}

/// Where in the log these words are.
async fn heard(client: &mut Client, text: &str) -> Offset {
    client
        .until(|client| {
            client.events.iter().find_map(|logged| match &logged.event {
                Event::Commented { comment } if comment.text == text => Some(logged.offset),
                _ => None,
            })
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_on_one_node_is_seen_on_the_other() {
    let pair = Pair::open(&[(5, 5)]).await;
    let mut host = pair.two.join(Role::Host, Encoding::Json).await;
    let anna = pair.one.person(Role::Viewer);
    let mut here = pair.one.join_as(&anna, Encoding::MessagePack).await;
    let mut there = pair.two.join(Role::Viewer, Encoding::MessagePack).await;

    let said = insist(&mut here, "c", comment("bello")).await;
    assert_eq!(
        heard(&mut here, "bello").await,
        heard(&mut there, "bello").await,
        "one order on both"
    );
    said.expect("said");

    let reserved = insist(&mut here, "r", reserve(&pair.one, 2)).await;
    let reservation = reserved.expect("reserved").reservation;
    let reservation = reservation.expect("a reservation");
    assert_eq!(there.available_at(2).await, 3);
    let entry = host.until(|host| {
        host.desk.iter().find_map(|event| match event {
            DeskEvent::ReservationChanged { entry } => Some(entry.clone()),
            _ => None,
        })
    });
    let entry = entry.await;
    assert_eq!(
        (entry.buyer, entry.reservation.id),
        (anna.user, reservation.id)
    );
    let mut late = Client::connect(pair.two.address, pair.two.show, Encoding::Json).await;
    let person = pair.two.person(Role::Moderator);
    let welcome = late.hello(&pair.two.token(&person), None).await;
    let desk = welcome.desk.expect("staff have a desk");
    let known: Vec<_> = desk.reservations.iter().map(|it| it.buyer).collect();
    assert_eq!(known, [anna.user]);
    // And what she has is hers wherever she goes.
    let mut again = Client::connect(pair.two.address, pair.two.show, Encoding::Json).await;
    let welcome = again.hello(&pair.two.token(&anna), None).await;
    assert_eq!(welcome.mine.reservations, [reservation]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_has_one_answer_on_all_nodes() {
    let pair = Pair::open(&[(5, 5)]).await;
    let host = pair.one.person(Role::Host);
    let mut here = pair.one.join_as(&host, Encoding::MessagePack).await;
    let mut there = pair.two.join_as(&host, Encoding::MessagePack).await;
    // Known by its key alone: without the first answer it would be pinned twice.
    let listing = pair.one.listings[0];
    let pin = |id, key| ClientMessage::Pin {
        id,
        key,
        listing,
        media_time: None,
    };
    let first = insist(&mut here, "once", pin).await.expect("pinned");
    let again = insist(&mut there, "once", pin).await.expect("repeated");
    assert!(first.offset.is_some());
    assert_eq!(first.offset, again.offset);
    let unpin = insist(&mut here, "off", |id, key| ClientMessage::Unpin { id, key }).await;
    unpin.expect("unpinned");
    let other = insist(&mut there, "off", pin).await;
    assert_eq!(
        other.expect_err("another command").code,
        RefusalCode::KeyReused
    );
    insist(&mut here, "end", comment("fine"))
        .await
        .expect("said");
    heard(&mut there, "fine").await;
    let is_pin = |event: &Event| matches!(event, Event::Pinned { .. });
    let pins = there.events.iter().filter(|logged| is_pin(&logged.event));
    assert_eq!(pins.count(), 1);
    let anna = pair.one.person(Role::Viewer);
    let mut here = pair.one.join_as(&anna, Encoding::MessagePack).await;
    let mut there = pair.two.join_as(&anna, Encoding::MessagePack).await;
    // Known by the ids that are made of its key.
    let first = insist(&mut here, "units", reserve(&pair.one, 2)).await;
    let again = insist(&mut there, "units", reserve(&pair.two, 2)).await;
    let (first, again) = (first.expect("reserved"), again.expect("repeated"));
    assert_eq!(
        first.reservation.map(|it| it.id),
        again.reservation.map(|it| it.id)
    );
    assert_eq!(there.available_at(2).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_too_quick_on_one_node_is_refused_on_the_other() {
    let pair = Pair::open(&[(1, 1)]).await;
    let anna = pair.one.person(Role::Viewer);
    let mut here = Vec::new();
    for _ in 0..4 {
        here.push(pair.one.join_as(&anna, Encoding::MessagePack).await);
    }
    let heart = |id| ClientMessage::React {
        id,
        reaction: Reaction::Heart,
    };
    // Every new session asks the other nodes about her; a node alone would grant her a whole burst.
    let mut granted = 0;
    let refusal = loop {
        // She goes on at the first node as quickly as it lets her.
        for client in &mut here {
            client.send(&(1..=10).map(heart).collect::<Vec<_>>()).await;
        }
        let mut client = pair.two.join_as(&anna, Encoding::MessagePack).await;
        client.send(&[heart(1)]).await;
        match client.answer(1).await {
            Ok(_) => granted += 1,
            Err(refusal) => break refusal,
        }
        assert!(granted < BURST, "the nodes do not count together");
    };
    assert_eq!(refusal.code, RefusalCode::RateLimited);
    assert!(refusal.retry_after_ms.is_some());
    let mut other = pair.two.join(Role::Viewer, Encoding::MessagePack).await;
    other.send(&[heart(1)]).await;
    other.answer(1).await.expect("another person is not meant");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_the_wrong_node_for_video_is_sent_to_the_right_one() {
    let pair = Pair::open(&[(1, 1)]).await;
    let (show, origin) = (pair.one.show, format!("http://{}", pair.one.address));
    let path = format!("/v1/shows/{show}/whep");
    let store = pair.store().await;
    let taken = store.seize(show, Leased::Video, &origin, PRESENCE_LEASE_MS);
    taken.await.expect("taken");
    let token = pair.two.server.guest(show).await.token;
    let ask = |house: &House| {
        let offer = house.server.request(Method::POST, &path).bearer(&token);
        offer.body("application/sdp", "v=0\r\n").send()
    };
    let sent = ask(&pair.two).await;
    assert_eq!(sent.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(sent.header("location"), format!("{origin}{path}"));
    // There the offer is read, and found to be none.
    let read = ask(&pair.one).await;
    assert!(read.status.is_client_error(), "{}", read.text());
    for house in [&pair.one, &pair.two] {
        let seen = house.server.get(&format!("/v1/shows/{show}"));
        let seen: Show = seen.bearer(&token).send().await.ok();
        assert_eq!(seen.whep_url, format!("{origin}{path}"));
        // Whoever publishes may do so anywhere.
        assert_eq!(
            seen.whip_url,
            format!("http://{}/v1/shows/{show}/whip", house.address)
        );
    }
    store
        .let_go(show, Leased::Video, &origin)
        .await
        .expect("given back");
    assert!(ask(&pair.two).await.status.is_client_error());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audience_is_counted_over_both_nodes_and_moves_when_one_leaves() {
    let pair = Pair::open(&[(1, 1)]).await;
    let viewers = async |client: &mut Client, wanted: u32| {
        let told = client.until(|client| {
            let mut told = client.others.iter().rev();
            told.find_map(|message| match message {
                ServerMessage::Audience { viewers, .. } => Some(*viewers == wanted),
                _ => None,
            })
            .filter(|is_so| *is_so)
        });
        told.await;
    };
    let mut here = pair.one.join(Role::Viewer, Encoding::MessagePack).await;
    let _also_here = pair.one.join(Role::Viewer, Encoding::MessagePack).await;
    let bea = pair.two.person(Role::Viewer);
    let mut there = Client::connect(pair.two.address, pair.two.show, Encoding::MessagePack).await;
    let welcome = there.hello(&pair.two.token(&bea), None).await;
    viewers(&mut here, 3).await;
    // She may have been counted while she was welcomed; then there is no news of it.
    if welcome.snapshot.expect("a snapshot").viewers != 3 {
        viewers(&mut there, 3).await;
    }

    pair.two.server.begin_shutdown();
    assert_eq!(there.closed().await, 4009);
    let told = there.others.iter().find_map(|message| match message {
        ServerMessage::GoAway { reconnect_after_ms } => Some(*reconnect_after_ms),
        _ => None,
    });
    assert!(told.expect("she is told when to come back") < 5_000);
    // She goes on at the other node where she was.
    let place = there.position();
    insist(&mut here, "c", comment("bello"))
        .await
        .expect("said");
    let mut back = Client::connect(pair.one.address, pair.one.show, Encoding::MessagePack).await;
    let welcome = back.hello(&pair.one.token(&bea), Some(place)).await;
    assert!(welcome.resumed, "{:?}", welcome.reset);
    heard(&mut back, "bello").await;
    pair.two.server.stop().await;
    viewers(&mut here, 3).await;
    drop(back);
    viewers(&mut here, 2).await;
}

/// The provider tells the first node; the buyer is at the second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_of_an_order_reach_the_buyer_at_the_other_node_at_once() {
    let pair = Pair::open(&[(3, 3)]).await;
    let anna = pair.two.person(Role::Viewer);
    let mut here = pair.one.join_as(&anna, Encoding::MessagePack).await;
    let mut there = pair.two.join_as(&anna, Encoding::MessagePack).await;
    let listing = pair.two.listings[0];
    let bought = insist(&mut there, "buy", |id, key| ClientMessage::BuyNow {
        id,
        key,
        listing,
        quantity: 1,
        delivery: Some(delivery()),
        media_time: None,
    });
    let order = bought.await.expect("bought").order.expect("an order");
    pay(&order, "approve").await;
    let paid = |event: &PrivateEvent| match event {
        PrivateEvent::OrderChanged { order } if order.state == OrderState::Paid => {
            Some((order.id, order.version))
        }
        _ => None,
    };
    let first = here.until_private(paid).await;
    let told = Instant::now();
    assert_eq!(there.until_private(paid).await, first);
    let later = told.elapsed();
    println!("the other node's buyer heard it {later:?} later");
    assert!(later < Duration::from_secs(1), "{later:?}");
    assert_eq!(first.0, order.id);
}

/// The value of a metric with these labels; none: it is not there.
async fn metric(house: &House, name: &str) -> Option<f64> {
    let page = house
        .server
        .ops_request(Method::GET, "/metrics")
        .send()
        .await;
    let page = page.text();
    let line = page.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_that_redis_is_away_and_that_it_is_back() {
    let pair = Pair::open(&[(5, 5)]).await;
    let mut anna = pair.one.join(Role::Viewer, Encoding::MessagePack).await;
    let reserved = insist(&mut anna, "before", reserve(&pair.one, 1)).await;
    reserved.expect("reserved");
    let up = "vetrina_redis_primary_up{primary=\"1\"}";
    assert_eq!(metric(&pair.one, up).await, Some(1.0));
    let built = metric(&pair.one, "vetrina_redis_last_show_build_timestamp_seconds");
    assert!(built.await.expect("it is there") > 1_700_000_000.0);
    let calls = metric(&pair.one, "vetrina_redis_call_duration_seconds_count");
    assert!(calls.await.expect("it is there") > 0.0);

    pair.redis.signal("STOP");
    let refused = anna.command(reserve(&pair.one, 1)).await;
    assert_eq!(
        refused.expect_err("nobody answers").code,
        RefusalCode::TryAgain
    );
    within(async {
        // Each try is an event by itself: the first ones may still wait for an answer.
        while metric(&pair.one, up).await != Some(0.0)
            || metric(&pair.one, AWAY).await.unwrap_or(0.0) < 1.0
        {
            drop(anna.command(reserve(&pair.one, 1)).await);
        }
    })
    .await;
    let ready = pair.one.server.ops_request(Method::GET, "/health/ready");
    assert_eq!(
        ready.send().await.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "traffic goes elsewhere"
    );
    pair.redis.signal("CONT");
    within(async { while metric(&pair.one, up).await != Some(1.0) {} }).await;
    let reserved = insist(&mut anna, "after", reserve(&pair.one, 1)).await;
    reserved.expect("it goes on");
    let connections = metric(&pair.one, "vetrina_redis_connections_total").await;
    assert!(connections.expect("it is there") >= 2.0);
}

const AWAY: &str = "vetrina_redis_calls_total{outcome=\"away\"}";
