//! The life cycle, the fold and conflation.

use super::*;
use vetrina_protocol::id::{CommentId, ProductId, SellerId, ShowId, SkuId};
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::view::{Author, Role, Stock};

fn listing(id: u128) -> Listing {
    Listing {
        id: ListingId(id),
        product: ProductId(id),
        sku: SkuId(id),
        title: "Vaso".to_owned(),
        variant: None,
        description: None,
        picture_url: None,
        price: Money::new(100, Currency::EUR),
        per_buyer: 2,
        position: 0,
        stock: Stock::default(),
    }
}

fn fold() -> ShowFold {
    let show = Show {
        id: ShowId(1),
        seller: SellerId(1),
        seller_name: "Ada".to_owned(),
        title: "Ceramics".to_owned(),
        state: ShowState::Scheduled,
        currency: Currency::EUR,
        starts_at_ms: None,
        live_at_ms: None,
        ended_at_ms: None,
        poster_url: None,
        reservation_ttl_s: 120,
        order_deadline_s: 600,
        whep_url: String::new(),
        whip_url: String::new(),
    };
    ShowFold::new(show, vec![listing(1), listing(2), listing(3)], Offset(0))
}

fn comment(id: u128, author: u128) -> Event {
    Event::Commented {
        comment: Comment {
            id: CommentId(id),
            author: Author {
                id: UserId(author),
                name: "Bea".to_owned(),
                role: Role::Viewer,
            },
            text: "bello".to_owned(),
            at_ms: UnixMs(1),
            media_time: None,
        },
    }
}

fn stock(id: u128, total: u32) -> Event {
    let stock = Stock {
        total,
        available: total,
        ..Stock::default()
    };
    Event::StockChanged {
        listing: ListingId(id),
        stock,
    }
}

fn log(events: Vec<Event>) -> Vec<LoggedEvent> {
    (1..)
        .zip(events)
        .map(|(offset, event)| LoggedEvent {
            offset: Offset(offset),
            at_ms: UnixMs(1_000),
            event,
        })
        .collect()
}

#[test]
fn the_life_cycle() {
    use ShowState as S;
    use ShowTransition as T;
    let steps = [
        (T::VideoLost, S::Scheduled),
        (T::VideoBack, S::Live),
        (T::GoLive, S::Live),
        (T::VideoLost, S::Interrupted),
        (T::GoLive, S::Interrupted),
        (T::VideoBack, S::Live),
        (T::End, S::Ended),
        (T::End, S::Ended),
        (T::VideoLost, S::Ended),
        (T::OfferReplay, S::Replay),
    ];
    let mut state = S::Scheduled;
    for (transition, expected) in steps {
        state = next(state, transition).unwrap();
        assert_eq!(state, expected);
    }
    for (state, transition) in [
        (S::Ended, T::GoLive),
        (S::Ended, T::VideoBack),
        (S::Replay, T::End),
        (S::Live, T::OfferReplay),
    ] {
        assert_eq!(
            next(state, transition).unwrap_err().code,
            RefusalCode::ShowState
        );
    }
}

#[test]
fn events_are_taken_in_order_and_once() {
    let mut fold = fold();
    let events = log(vec![stock(1, 5), stock(1, 6), stock(1, 7)]);
    assert_eq!(fold.apply(&events[0]), Folded::Applied);
    assert_eq!(fold.apply(&events[0]), Folded::Already);
    let expected = Offset(2);
    assert_eq!(fold.apply(&events[2]), Folded::Gap { expected });
    assert_eq!(fold.listing(ListingId(1)).unwrap().stock.total, 5);
}

#[test]
fn a_snapshot_is_the_whole_state() {
    let mut fold = fold();
    let pin = Pin {
        listing: ListingId(2),
        pinned_at_ms: UnixMs(5),
        media_time: None,
    };
    let mut events = vec![
        Event::ShowStateChanged {
            state: ShowState::Live,
        },
        Event::ListingsOrdered {
            listings: vec![ListingId(3), ListingId(1), ListingId(2)],
        },
        Event::Pinned { pin },
        Event::SlowModeChanged { seconds: 5 },
        comment(1000, 7),
        Event::ViewerMuted {
            viewer: UserId(7),
            muted: true,
        },
    ];
    events.extend((0..150).map(|id| comment(id, 8)));
    events.push(Event::CommentDeleted {
        comment: CommentId(149),
    });
    for event in log(events) {
        assert_eq!(fold.apply(&event), Folded::Applied);
    }
    let snapshot = fold.snapshot(3);
    let run: Vec<_> = snapshot
        .listings
        .iter()
        .map(|one| (one.id.0, one.position))
        .collect();
    assert_eq!(run, [(3, 0), (1, 1), (2, 2)]);
    assert_eq!(
        (snapshot.pin, snapshot.slow_mode_s, snapshot.viewers),
        (Some(pin), 5, 3)
    );
    assert_eq!(snapshot.show.live_at_ms, Some(UnixMs(1_000)));
    assert_eq!(snapshot.muted, [UserId(7)]);
    assert_eq!(snapshot.comments.len(), SNAPSHOT_COMMENTS_MAX - 1);
    assert!(
        snapshot
            .comments
            .iter()
            .all(|kept| kept.author.id == UserId(8))
    );
    let offset = fold.offset();
    assert_eq!(
        ShowFold::from_snapshot(snapshot.clone(), offset).snapshot(3),
        snapshot
    );
}

#[test]
fn only_the_latest_of_stock_and_price_is_kept() {
    let events = log(vec![
        stock(1, 5),
        comment(1, 1),
        stock(2, 1),
        stock(1, 4),
        comment(2, 1),
    ]);
    let offsets: Vec<_> = conflate(&events).iter().map(|kept| kept.offset.0).collect();
    assert_eq!(offsets, [2, 3, 4, 5]);
}

#[test]
fn named_listings_come_first() {
    let run = [1, 2, 3].map(ListingId);
    assert_eq!(
        order_listings(&run, &[ListingId(3)]).unwrap(),
        [3, 1, 2].map(ListingId)
    );
    let code = |named: &[ListingId]| order_listings(&run, named).unwrap_err().code;
    assert_eq!(code(&[ListingId(9)]), RefusalCode::ListingUnknown);
    assert_eq!(code(&[ListingId(1), ListingId(1)]), RefusalCode::Invalid);
}
