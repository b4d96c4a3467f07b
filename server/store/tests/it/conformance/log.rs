//! The log and the notices: numbers without gaps, resumes, what is told after a loss.

use std::sync::Arc;

use vetrina_core::hot::HotCommand;
use vetrina_core::show::ShowTransition;
use vetrina_protocol::event::{Event, LoggedEvent, PrivateEvent};
use vetrina_protocol::id::{CommentId, UserId};
use vetrina_protocol::server::ResetReason;
use vetrina_protocol::time::{Epoch, Offset};
use vetrina_protocol::view::{Author, Comment, Role, ShowState};
use vetrina_store::hot::{Entries, Position};
use vetrina_store::ledger::{ListingChange, ProductChange};

use super::world::{Backend, DEADLINE, World, eur};

fn comment<B: Backend>(world: &World<B>, text: &str) -> Event {
    Event::Commented {
        comment: Comment {
            id: CommentId(world.fresh()),
            author: Author {
                id: UserId(4),
                name: "Ada".into(),
                role: Role::Viewer,
            },
            text: text.into(),
            at_ms: world.now(),
            media_time: None,
        },
    }
}

async fn say<B: Backend>(world: &World<B>, text: &str) -> Position {
    let appended = world
        .hot
        .append(world.show, vec![comment(world, text)])
        .await;
    appended.expect("appended").position
}

/// Everything after a position, page by page.
async fn follow<B: Backend>(
    world: &World<B>,
    mut after: Position,
) -> Result<Vec<Arc<LoggedEvent>>, ResetReason> {
    let mut all = Vec::new();
    loop {
        match world
            .hot
            .read(world.show, after, 100)
            .await
            .expect("readable")
        {
            Entries::Reset(reason) => return Err(reason),
            Entries::Next { events, .. } if events.is_empty() => return Ok(all),
            Entries::Next { epoch, events } => {
                for event in events {
                    assert_eq!(event.offset, after.offset.next(), "a gap");
                    after = Position {
                        epoch,
                        offset: event.offset,
                    };
                    all.push(event);
                }
            }
        }
    }
}

fn kinds(events: &[Arc<LoggedEvent>]) -> Vec<&'static str> {
    let kind = |event: &Arc<LoggedEvent>| match event.event {
        Event::ShowStateChanged { .. } => "state",
        Event::ListingChanged { .. } => "listing",
        Event::ListingsOrdered { .. } => "order",
        Event::StockChanged { .. } => "stock",
        Event::PriceChanged { .. } => "price",
        Event::Commented { .. } => "comment",
        _ => "other",
    };
    events.iter().map(kind).collect()
}

pub(crate) async fn events_are_numbered_without_a_gap<B: Backend>(world: World<B>) {
    let start = world.hot.open(world.show).await.expect("open");
    assert_eq!(world.hot.open(world.show).await.expect("again"), start);
    let mut moves = world.hot.watch(world.show).await.expect("a watch");
    let mut talkers = Vec::new();
    for talker in 0..20 {
        let (hot, show) = (Arc::clone(&world.hot), world.show);
        let pair = vec![
            comment(&world, &format!("{talker}")),
            comment(&world, "anch'io"),
        ];
        talkers.push(tokio::spawn(async move { hot.append(show, pair).await }));
    }
    for talker in talkers {
        let appended = talker.await.expect("no panic").expect("appended");
        assert_eq!(
            appended.first.next(),
            appended.position.offset,
            "two without a gap"
        );
    }
    let end = moves.wait_for(|position| position.offset.0 >= start.offset.0 + 40);
    let end = *tokio::time::timeout(DEADLINE, end)
        .await
        .expect("in time")
        .expect("open");
    let events = follow(&world, start).await.expect("readable");
    assert_eq!(events.len(), 40);
    world
        .hot
        .durable(world.show, end.offset)
        .await
        .expect("durable");
    let archived = world
        .ledger
        .read_log(world.show, start.offset, 100)
        .await
        .expect("archived");
    let events: Vec<_> = events.iter().map(|event| (**event).clone()).collect();
    assert_eq!(archived, events);
    let (position, fold) = world.hot.fold(world.show).await.expect("the fold");
    assert_eq!(
        (position, fold.offset(), fold.comments().count()),
        (end, end.offset, 40)
    );
    assert!(world.hot.append(world.show, vec![]).await.is_err());
}

pub(crate) async fn a_resume_continues_after_a_restart<B: Backend>(mut world: World<B>) {
    let start = world.hot.position(world.show).await.expect("a position");
    let mut said = Vec::new();
    for number in 0..30 {
        said.push(say(&world, &format!("{number}")).await);
        if number % 10 == 9 {
            world.restart().await;
        }
    }
    let now = world.hot.position(world.show).await.expect("a position");
    let is_another = now.epoch > said[0].epoch;
    assert_eq!(
        is_another,
        !B::SHARED,
        "another epoch, unless somebody else kept the log"
    );
    let events = follow(&world, start).await.expect("nothing was lost");
    assert_eq!(kinds(&events), vec!["comment"; 30]);
    let events = follow(&world, said[14]).await.expect("nothing was lost");
    assert_eq!(events.len(), 15);
}

pub(crate) async fn what_was_lost_is_said<B: Backend>(mut world: World<B>) {
    let kept = say(&world, "kept").await;
    world.lose().await;
    let beyond = Position {
        epoch: kept.epoch,
        offset: kept.offset.next(),
    };
    assert_eq!(follow(&world, beyond).await.err(), Some(ResetReason::Lost));
    assert!(follow(&world, kept).await.expect("kept").is_empty());
    let now = say(&world, "now").await;
    assert_eq!(
        now.offset, beyond.offset,
        "lost numbers are given anew, in another epoch"
    );
    assert_eq!(follow(&world, beyond).await.err(), Some(ResetReason::Lost));
    for unknown in [
        (now.epoch.0 + 1, 0),
        (now.epoch.0, now.offset.0 + 1),
        (0, 0),
    ] {
        let unknown = Position {
            epoch: Epoch(unknown.0),
            offset: Offset(unknown.1),
        };
        assert_eq!(
            follow(&world, unknown).await.err(),
            Some(ResetReason::Unknown)
        );
    }
}

pub(crate) async fn the_ledgers_word_is_logged_at_opening<B: Backend>(mut world: World<B>) {
    let (first, second) = (world.listing(5).await, world.listing(5).await);
    world.hot.shutdown().await;
    // All this happens in the ledger, and a crash comes before the log hears of it.
    let dearer = ListingChange {
        price: Some(eur(2_990)),
        ..ListingChange::default()
    };
    world
        .ledger
        .change_listing(world.show, first.id, dearer)
        .await
        .expect("dearer");
    let fewer = ListingChange {
        total: Some(4),
        ..ListingChange::default()
    };
    world
        .ledger
        .change_listing(world.show, second.id, fewer)
        .await
        .expect("fewer");
    let sku = world.sku(1).await;
    let new = world.new_listing(world.show, sku, 1);
    let third = world
        .ledger
        .create_listing(world.once_new(), new)
        .await
        .expect("new");
    world
        .ledger
        .order_listings(world.show, vec![third.id, second.id])
        .await
        .expect("ordered");
    world
        .ledger
        .move_show(world.show, ShowTransition::VideoLost, world.now())
        .await
        .expect("ok");
    world.hot = world
        .backend
        .hot(Arc::clone(&world.ledger), world.clock())
        .await;
    let start = Position {
        epoch: Epoch(1),
        offset: Offset(0),
    };
    let events = follow(&world, start).await.expect("readable");
    let mut told = kinds(&events);
    let mut corrected = told.split_off(told.len() - 5);
    // In which order the listings come to it is the store's business.
    corrected[..3].sort_unstable();
    let expected = ["listing", "price", "stock", "order", "state"];
    assert_eq!(corrected, expected);
    let (_, fold) = world.hot.fold(world.show).await.expect("the fold");
    assert_eq!(fold.run(), [third.id, second.id, first.id]);
    assert_eq!(fold.show().state, ShowState::Interrupted);
    assert_eq!(fold.listing(first.id).expect("it").price, eur(2_990));
    assert_eq!(fold.listing(second.id).expect("it").stock.total, 4);
    // Agreed: another start has nothing to say.
    let end = world.hot.position(world.show).await.expect("a position");
    world.restart().await;
    assert_eq!(
        world
            .hot
            .position(world.show)
            .await
            .expect("a position")
            .offset,
        end.offset
    );
}

pub(crate) async fn a_newer_mirror_is_logged_and_an_older_one_is_not<B: Backend>(world: World<B>) {
    let listing = world.listing(5).await;
    let change = ListingChange {
        price: Some(eur(500)),
        total: Some(6),
        per_buyer: None,
    };
    let row = world
        .ledger
        .change_listing(world.show, listing.id, change)
        .await
        .expect("changed");
    let before = world.hot.position(world.show).await.expect("a position");
    world
        .apply(HotCommand::Mirror(row.mirror(Vec::new(), Vec::new())))
        .await;
    let mut told = kinds(&follow(&world, before).await.expect("readable"));
    told.sort_unstable();
    assert_eq!(told, vec!["price", "stock"]);
    let end = world.hot.position(world.show).await.expect("a position");
    world
        .apply(HotCommand::Mirror(listing.mirror(Vec::new(), Vec::new())))
        .await;
    world
        .apply(HotCommand::Mirror(row.mirror(Vec::new(), Vec::new())))
        .await;
    assert_eq!(
        world.hot.position(world.show).await.expect("a position"),
        end
    );
    let limit = ListingChange {
        per_buyer: Some(4),
        ..ListingChange::default()
    };
    let row = world
        .ledger
        .change_listing(world.show, listing.id, limit)
        .await
        .expect("changed");
    world
        .apply(HotCommand::Mirror(row.mirror(Vec::new(), Vec::new())))
        .await;
    assert_eq!(
        kinds(&follow(&world, end).await.expect("readable")),
        vec!["listing"]
    );
    let (_, fold) = world.hot.fold(world.show).await.expect("the fold");
    let known = fold.listing(listing.id).expect("the listing");
    assert_eq!(
        (known.per_buyer, known.price, known.stock.total),
        (4, eur(500), 6)
    );
}

pub(crate) async fn a_published_listing_has_its_newest_words<B: Backend>(world: World<B>) {
    let listing = world.listing(5).await;
    let words = ProductChange {
        title: Some("Vaso raro".into()),
        ..ProductChange::default()
    };
    world
        .ledger
        .change_product(world.seller, listing.product, words)
        .await
        .expect("renamed");
    let renamed = world.row(listing.id).await;
    // A claim's mirror with a newer version overtakes the publication.
    let claimed = world.order(&listing, 1).await;
    for mirror in claimed.mirrors {
        world.apply(HotCommand::Mirror(mirror)).await;
    }
    world
        .hot
        .publish(world.show, &renamed)
        .await
        .expect("published");
    let (_, fold) = world.hot.fold(world.show).await.expect("the fold");
    let known = fold.listing(listing.id).expect("the listing");
    assert_eq!(
        (known.title.as_str(), known.stock.claimed),
        ("Vaso raro", 1)
    );
}

pub(crate) async fn notices_have_growing_versions<B: Backend>(mut world: World<B>) {
    let listing = world.listing(5).await;
    let buyer = world.buyer();
    let mut notices = world.hot.notices(world.show).await.expect("notices");
    let reservation = world.reserve(buyer, listing.id, 1).await;
    let event = PrivateEvent::ReservationChanged { reservation };
    let mut last = 0;
    for _ in 0..10 {
        let tell = world
            .hot
            .notify(world.show, buyer, "Ada".into(), event.clone());
        let version = tell.await.expect("told");
        assert!(version > last);
        last = version;
    }
    let mut heard = 0;
    for _ in 0..11 {
        let notice = tokio::time::timeout(DEADLINE, notices.recv())
            .await
            .expect("in time");
        let notice = notice.expect("a notice");
        assert!(notice.version > heard, "in order");
        assert!(notice.desk().is_some());
        heard = notice.version;
    }
    assert_eq!(heard, last);
    assert_eq!(
        world
            .hot
            .mine(world.show, buyer)
            .await
            .expect("mine")
            .version,
        last
    );
    world.advance_ms(1);
    world.restart().await;
    let after = world
        .hot
        .notify(world.show, buyer, "Ada".into(), event)
        .await
        .expect("told");
    assert!(after > last, "across a restart too");
    assert!(after < 1 << 53, "a browser reads it exactly");
}

pub(crate) async fn a_log_has_one_writer<B: Backend>(world: World<B>) {
    let before = say(&world, "the old one").await;
    world
        .hot
        .durable(world.show, before.offset)
        .await
        .expect("durable");
    let newer = world
        .backend
        .hot(Arc::clone(&world.ledger), world.clock())
        .await;
    newer.open(world.show).await.expect("open");
    let later = say(&world, "too late").await;
    let durable = world.hot.durable(world.show, later.offset).await;
    assert_eq!(
        durable.is_ok(),
        B::SHARED,
        "the old one must not promise what it cannot write"
    );
    let text = |event: &LoggedEvent| match &event.event {
        Event::Commented { comment } => comment.text.clone(),
        _ => String::new(),
    };
    let archived = world
        .ledger
        .read_log(world.show, Offset(0), 100)
        .await
        .expect("readable");
    let written = archived.iter().filter(|event| text(event) == "too late");
    assert_eq!(written.count(), usize::from(B::SHARED));
    newer.shutdown().await;
}

pub(crate) async fn presence_ends_with_its_lease<B: Backend>(world: World<B>) {
    world
        .hot
        .report_viewers(world.show, 41)
        .await
        .expect("reported");
    assert_eq!(world.hot.viewers(world.show).await.expect("counted"), 41);
    world.advance_ms(14_000);
    world
        .hot
        .report_viewers(world.show, 43)
        .await
        .expect("reported");
    world.advance_ms(14_000);
    assert_eq!(world.hot.viewers(world.show).await.expect("counted"), 43);
    world.advance_ms(2_000);
    assert_eq!(world.hot.viewers(world.show).await.expect("counted"), 0);
}
