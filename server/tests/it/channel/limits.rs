//! Bounds that hold against somebody who does not care: rates, floods, readers that do not read.

use futures_util::SinkExt;
use tokio_tungstenite::tungstenite::Message;
use vetrina_protocol::client::{ClientMessage, Reaction};
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::event::Event;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::server::ServerMessage;
use vetrina_protocol::view::Role;

use super::house::House;
use crate::harness::{Client, within};

fn hearts(from: u32, count: u32) -> Vec<ClientMessage> {
    let heart = |id| ClientMessage::React {
        id,
        reaction: Reaction::Heart,
    };
    (from..from + count).map(heart).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_persons_rate_is_one_over_all_sessions() {
    let house = House::open(&[(1, 1)]).await;
    let anna = house.person(Role::Viewer);
    let mut sessions = Vec::new();
    for _ in 0..8 {
        sessions.push(house.join_as(&anna, Encoding::MessagePack).await);
    }
    let began = house.clock.now();
    // Each session alone is within its own rate.
    for client in &mut sessions {
        client.send(&hearts(1, 50)).await;
    }
    let mut taken = 0;
    for client in &mut sessions {
        for id in 1..=50 {
            match client.answer(id).await {
                Ok(_) => taken += 1,
                Err(refusal) => {
                    assert_eq!(refusal.code, RefusalCode::RateLimited);
                    assert!(refusal.retry_after_ms.is_some());
                }
            }
        }
    }
    let passed_ms = house.clock.now().since(began);
    let allowed = 120 + passed_ms * 30 / 1_000 + 1;
    assert!(
        (120..=allowed).contains(&taken),
        "{taken} taken, {allowed} allowed"
    );
    let mut other = house.join(Role::Viewer, Encoding::MessagePack).await;
    other.send(&hearts(1, 50)).await;
    for id in 1..=50 {
        other.answer(id).await.expect("another person is not meant");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_closed() {
    let house = House::open(&[(1, 1)]).await;
    let mut client = house.join(Role::Viewer, Encoding::MessagePack).await;
    for round in 0..40 {
        let bytes = client.encoding.encode(&hearts(round * 60, 60));
        // It may be closed before the last of them.
        if client
            .socket
            .send(Message::Binary(bytes.into()))
            .await
            .is_err()
        {
            break;
        }
    }
    assert_eq!(client.closed().await, 4010);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reactions_and_viewers_are_told_as_sums() {
    let house = House::open(&[(1, 1)]).await;
    let mut other = house.join(Role::Viewer, Encoding::Json).await;
    let mut client = house.join(Role::Viewer, Encoding::MessagePack).await;
    client.send(&hearts(1, 30)).await;
    let told = |client: &Client| {
        let mut sum = 0;
        let mut last = 0;
        for message in &client.others {
            if let ServerMessage::Audience { viewers, reactions } = message {
                last = *viewers;
                sum += reactions.iter().map(|reaction| reaction.count).sum::<u32>();
            }
        }
        (sum == 30 && last == 2).then_some(())
    };
    other.until(told).await;
    client.until(told).await;
}

/// One that does not read is closed and costs the others nothing; it comes back without a gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_is_closed() {
    let house = House::open(&[(1, 1)]).await;
    let anna = house.person(Role::Viewer);
    let mut stuck = house.join_as(&anna, Encoding::Json).await;
    let mut reader = house.join(Role::Viewer, Encoding::Json).await;
    let mut last = stuck.offset;
    // 700 KB: more than the kernel keeps for a reader that does not read.
    for round in 0..120 {
        let mut author = house.join(Role::Viewer, Encoding::MessagePack).await;
        for _ in 0..5 {
            let text = format!("{round} {}", "\u{1f3fa}".repeat(280));
            let said = author.command(|id, key| ClientMessage::Comment {
                id,
                key,
                text: format!("{text} {id}"),
                media_time: None,
            });
            last = said.await.expect("said").offset.expect("in the log");
        }
    }
    reader
        .until(|client| (client.offset >= last).then_some(()))
        .await;
    let heard = reader
        .events
        .iter()
        .filter(|e| matches!(e.event, Event::Commented { .. }));
    assert_eq!(heard.count(), 600);
    // Seen from outside: the audience shrinks to the one who reads.
    let alone = |message: &ServerMessage| match message {
        ServerMessage::Audience { viewers, .. } => Some(*viewers == 1),
        _ => None,
    };
    reader
        .until(|client| {
            client
                .others
                .iter()
                .rev()
                .find_map(alone)
                .filter(|alone| *alone)
        })
        .await;
    let ended = loop {
        if let Err(code) = stuck.turn().await {
            break code;
        }
    };
    assert!(matches!(ended, None | Some(4007)), "{ended:?}");
    assert!(stuck.offset < last, "it never got all of it");
    let mut back = Client::connect(house.address, house.show, Encoding::Json).await;
    let welcome = within(back.hello(&house.token(&anna), Some(stuck.position()))).await;
    assert!(welcome.resumed || welcome.reset.is_some());
}
