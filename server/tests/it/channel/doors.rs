//! Who is let in, who is sent away, and how a node takes its leave.

use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use vetrina::auth::{Principal, Shows};
use vetrina_protocol::client::ClientMessage;
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::id::{SellerId, ShowId};
use vetrina_protocol::rest::Problem;
use vetrina_protocol::server::ServerMessage;
use vetrina_protocol::view::Role;

use super::house::{House, TOKEN_LIFE_MS};
use crate::harness::{Client, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_pages_and_unknown_sub_protocols_are_refused() {
    let allowed = "https://shop.example.org";
    let house = House::open_with(&[(1, 1)], &[("allowed-origins", allowed)]).await;
    let own = format!("http://{}", house.address);
    let json = Some("vetrina.v1.json");
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        let answer = Client::try_connect(house.address, house.show, json, Some(origin)).await;
        let answer = answer.err().expect("refused");
        assert_eq!(answer.status(), 403, "{origin}");
        let problem: Problem =
            serde_json::from_slice(answer.body().as_ref().expect("a body")).expect("a problem");
        assert_eq!(problem.status, 403);
    }
    for origin in [Some(own.as_str()), Some(allowed), None] {
        let opened = Client::try_connect(house.address, house.show, json, origin).await;
        assert!(opened.is_ok(), "{origin:?}");
    }
    for protocol in [None, Some("chat")] {
        let answer = Client::try_connect(house.address, house.show, protocol, None).await;
        assert_eq!(answer.err().expect("refused").status(), 400, "{protocol:?}");
    }
    let both = Some("chat, vetrina.v1.msgpack");
    let chosen = Client::try_connect(house.address, house.show, both, None).await;
    assert!(chosen.is_ok_and(|client| client.encoding == Encoding::MessagePack));
}

async fn code_after_hello(house: &House, show: ShowId, token: &str) -> u16 {
    let mut client = Client::connect(house.address, show, Encoding::Json).await;
    let token = token.to_owned();
    let hello = ClientMessage::Hello {
        token,
        resume: None,
    };
    client.send(&[hello]).await;
    client.closed().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_good_for_its_show_and_its_time() {
    let house = House::open(&[(1, 1)]).await;
    let anna = house.person(Role::Viewer);
    let of = |change: fn(&mut Principal)| {
        let mut person = anna.clone();
        change(&mut person);
        house.token(&person)
    };
    let expired = of(|person| person.expires_at_ms.0 -= TOKEN_LIFE_MS + 1);
    let other_show = of(|person| person.shows = Shows::One(ShowId::now()));
    let other_seller = of(|person| person.seller = Some(SellerId::now()));
    for token in [
        expired,
        other_show,
        other_seller,
        "x.y.z".into(),
        String::new(),
    ] {
        assert_eq!(code_after_hello(&house, house.show, &token).await, 4003);
    }
    let nowhere = ShowId::now();
    let lost = of(|person| person.shows = Shows::All);
    assert_eq!(code_after_hello(&house, nowhere, &lost).await, 4006);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_closes_unless_it_is_refreshed() {
    let house = House::open(&[(1, 1)]).await;
    let anna = house.person(Role::Viewer);
    let bruno = house.person(Role::Viewer);
    let mut refreshed = house.join_as(&anna, Encoding::MessagePack).await;
    let mut stale = house.join_as(&anna, Encoding::MessagePack).await;
    let later = |person: &Principal| Principal {
        expires_at_ms: person.expires_at_ms.plus_ms(TOKEN_LIFE_MS),
        ..person.clone()
    };
    let theirs = house.token(&later(&bruno));
    let refused = refreshed.command(|id, _| ClientMessage::RefreshToken { id, token: theirs });
    assert!(refused.await.is_err(), "another person's token is none");
    let fresh = house.token(&later(&anna));
    let taken = refreshed.command(|id, _| ClientMessage::RefreshToken { id, token: fresh });
    taken.await.expect("the same person's is taken");

    house
        .clock
        .advance_ms(u32::try_from(TOKEN_LIFE_MS).expect("a week"));
    let started = std::time::Instant::now();
    assert_eq!(stale.closed().await, 4004);
    assert!(started.elapsed().as_secs() < 10, "noticed soon");
    refreshed.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaving_node_says_so() {
    let house = House::open(&[(1, 1)]).await;
    let mut client = house.join(Role::Viewer, Encoding::MessagePack).await;
    house.server.begin_shutdown();
    // Whoever routes traffic hears it too, as long as somebody is still here.
    let ready = house.server.ops_request(Method::GET, "/health/ready");
    let ready = ready.send().await;
    assert_eq!(ready.status.as_u16(), 503, "{}", ready.text());
    assert!(ready.text().contains("leaving"), "{}", ready.text());
    assert_eq!(client.closed().await, 4009);
    let told = client
        .others
        .iter()
        .any(|message| matches!(message, ServerMessage::GoAway { .. }));
    assert!(told, "{:?}", client.others);
}

/// Not for ever, and without a word: it might be one of thousands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_asks_for_nothing_is_closed() {
    let house = House::open(&[(1, 1)]).await;
    let mut waiting = Vec::new();
    for said in ["", "GET /v1/sh", "PRI * HTTP/2.0\r\n"] {
        let stream = within(TcpStream::connect(house.address)).await;
        let mut stream = stream.expect("connected");
        within(stream.write_all(said.as_bytes()))
            .await
            .expect("said");
        waiting.push((said, stream));
    }
    for (said, mut stream) in waiting {
        let mut answer = Vec::new();
        // A reset is an end too.
        let _ = within(stream.read_to_end(&mut answer)).await;
        assert_eq!(answer, b"", "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_may_open_so_many_sessions() {
    let house = House::open_with(&[(1, 1)], &[("sessions-per-address", "3")]).await;
    let mut inside = Vec::new();
    let refused = loop {
        let json = Some("vetrina.v1.json");
        match Client::try_connect(house.address, house.show, json, None).await {
            Ok(client) => inside.push(client),
            Err(refused) => break refused,
        }
        assert!(inside.len() <= 3);
    };
    // Too many at once, or too many in a minute: the operator's one number stands for both.
    assert!(
        matches!(refused.status().as_u16(), 503 | 429),
        "{}",
        refused.status()
    );
    assert!(!inside.is_empty());
    let mut last = inside.pop().expect("one inside");
    last.socket.close(None).await.expect("closes");
    while last.receive().await.is_ok() {}
    // Its place is free as soon as the server has seen the close; each try is an event by itself.
    within(async {
        let json = Some("vetrina.v1.json");
        while Client::try_connect(house.address, house.show, json, None)
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
