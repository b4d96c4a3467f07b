//! Connections break; the log does not. Every client ends with the same gap-free sequence.

use std::sync::Arc;

use tokio::task::JoinSet;
use vetrina::auth::Principal;
use vetrina_protocol::client::{ClientMessage, Resume};
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::event::{Event, LoggedEvent};
use vetrina_protocol::id::CommentId;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::server::ResetReason;
use vetrina_protocol::time::{Epoch, Offset};
use vetrina_protocol::view::Role;

use super::house::House;
use crate::harness::{Client, within};

const COMMENTS: u64 = 10_000;
const AUTHORS: u64 = 50;
const VIEWERS: u64 = 80;
/// Every viewer cuts its socket after so many frames on average: far more than one in twenty are
/// cut while the comments go by.
const FRAMES_PER_CUT: u64 = 150;

fn comments(events: &[LoggedEvent]) -> impl Iterator<Item = (Offset, CommentId)> {
    events.iter().filter_map(|logged| match &logged.event {
        Event::Commented { comment } => Some((logged.offset, comment.id)),
        _ => None,
    })
}

/// "Shown by" 6: one socket in twenty is cut at random, again and again, during 10,000 comments.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_sockets_lose_nothing() {
    let house = Arc::new(House::open(&[(1, 1)]).await);
    let mut watching = JoinSet::new();
    for number in 0..VIEWERS {
        // Everybody is inside before the first word.
        let watcher = Watcher::join(&house, number).await;
        watching.spawn(watcher.watch(house.clone()));
    }
    let mut speaking = JoinSet::new();
    for _ in 0..AUTHORS {
        let house = house.clone();
        speaking.spawn(async move {
            let mut author = house.join(Role::Viewer, Encoding::MessagePack).await;
            for number in 0..COMMENTS / AUTHORS {
                say(&house, &mut author, number).await;
            }
        });
    }
    speaking.join_all().await;
    let seen = watching.join_all().await;
    let cuts: u64 = seen.iter().map(|(_, cuts)| cuts).sum();
    assert!(cuts >= VIEWERS / 20, "{cuts} sockets were cut");
    let first: Vec<_> = comments(&seen[0].0).collect();
    assert_eq!(first.len() as u64, COMMENTS);
    assert!(first.is_sorted_by(|a, b| a.0 < b.0));
    for (events, _) in &seen {
        assert!(
            comments(events).eq(first.iter().copied()),
            "the same sequence for everybody"
        );
    }
}

/// Says one thing; time passes when the server asks to wait, and the same key is tried again.
async fn say(house: &House, author: &mut Client, number: u64) {
    let key = format!("comment {number}");
    loop {
        let comment = |id, key| ClientMessage::Comment {
            id,
            key,
            text: format!("number {number}"),
            media_time: None,
        };
        match author.command_as(&key, comment).await {
            Ok(_) => return,
            Err(refused) => {
                let wait_ms = refused
                    .retry_after_ms
                    .unwrap_or_else(|| panic!("{refused:?}"));
                assert_ne!(refused.code, RefusalCode::SlowMode);
                house
                    .clock
                    .advance_ms(u32::try_from(wait_ms).expect("not long"));
            }
        }
    }
}

struct Watcher {
    person: Principal,
    client: Client,
    random: u64,
}

impl Watcher {
    /// Every fourth speaks JSON.
    async fn join(house: &House, number: u64) -> Self {
        let person = house.person(Role::Viewer);
        let encoding = if number.is_multiple_of(4) {
            Encoding::Json
        } else {
            Encoding::MessagePack
        };
        Self {
            client: house.join_as(&person, encoding).await,
            person,
            random: number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    /// Watches until all was said, cutting its own socket without a word now and then. Gives what
    /// it saw, and how often it cut.
    async fn watch(mut self, house: Arc<House>) -> (Vec<LoggedEvent>, u64) {
        let mut events = Vec::new();
        let (mut heard, mut cuts) = (0, 0);
        loop {
            let turn = within(self.client.turn()).await;
            turn.unwrap_or_else(|code| panic!("closed with {code:?}"));
            heard += comments(&self.client.events).count() as u64;
            events.append(&mut self.client.events);
            if heard == COMMENTS {
                return (events, cuts);
            }
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            if self.random.is_multiple_of(FRAMES_PER_CUT) {
                cuts += 1;
                let seen = self.client.position();
                let encoding = self.client.encoding;
                // Dropped, not closed: the server finds out by itself.
                self.client = Client::connect(house.address, house.show, encoding).await;
                let welcome = self
                    .client
                    .hello(&house.token(&self.person), Some(seen))
                    .await;
                assert!(welcome.resumed, "{:?}", welcome.reset);
                assert_eq!(welcome.offset, seen.offset);
            }
        }
    }
}

async fn speak(client: &mut Client, text: &str) -> CommentId {
    let said = client.command(|id, key| ClientMessage::Comment {
        id,
        key,
        text: text.to_owned(),
        media_time: None,
    });
    said.await.expect("said").comment.expect("an id")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_restart_loses_nothing() {
    let house = House::open(&[(1, 1)]).await;
    let anna = house.person(Role::Viewer);
    let mut client = house.join_as(&anna, Encoding::MessagePack).await;
    let mut other = house.join(Role::Viewer, Encoding::MessagePack).await;
    let first = speak(&mut client, "one").await;
    client
        .until(|client| {
            comments(&client.events)
                .any(|(_, id)| id == first)
                .then_some(())
        })
        .await;
    let seen = client.position();
    let second = speak(&mut other, "two").await;

    let house = house.restart().await;
    let mut back = Client::connect(house.address, house.show, Encoding::MessagePack).await;
    let welcome = back.hello(&house.token(&anna), Some(seen)).await;
    assert!(welcome.resumed, "{:?}", welcome.reset);
    assert!(welcome.epoch > seen.epoch, "the log has a new incarnation");
    let third = speak(&mut back, "three").await;
    back.until(|client| {
        let heard: Vec<_> = comments(&client.events).map(|(_, id)| id).collect();
        heard.contains(&third).then_some(heard)
    })
    .await;
    let heard: Vec<_> = comments(&back.events).map(|(_, id)| id).collect();
    assert!(!heard.contains(&first));
    assert_eq!(heard, [second, third]);

    let mut new = Client::connect(house.address, house.show, Encoding::Json).await;
    let person = house.person(Role::Viewer);
    let snapshot = new
        .hello(&house.token(&person), None)
        .await
        .snapshot
        .expect("a snapshot");
    let kept: Vec<_> = snapshot.comments.iter().map(|comment| comment.id).collect();
    assert_eq!(kept, [first, second, third]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_never_was_gets_a_snapshot_and_is_told() {
    let house = House::open(&[(1, 1)]).await;
    let anna = house.person(Role::Viewer);
    let client = house.join_as(&anna, Encoding::MessagePack).await;
    let now = client.position();
    let positions = [
        (
            now.epoch,
            Offset(now.offset.0 + 1_000),
            &[ResetReason::Unknown, ResetReason::Lost][..],
        ),
        (Epoch(now.epoch.0 + 7), now.offset, &[ResetReason::Unknown]),
    ];
    for (epoch, offset, reasons) in positions {
        let mut back = Client::connect(house.address, house.show, Encoding::MessagePack).await;
        let welcome = back
            .hello(&house.token(&anna), Some(Resume { epoch, offset }))
            .await;
        assert!(!welcome.resumed && welcome.snapshot.is_some());
        let reason = welcome.reset.expect("a reason");
        assert!(reasons.contains(&reason), "{reason:?}");
    }
}
