//! What nodes share besides stock and log, against core's own presence and buckets; and what a
//! failing function leaves behind.

use redis::Connection;
use vetrina_core::hot::{HotCommand, Mirror, Restore};
use vetrina_core::limits::{Rate, TokenBucket};
use vetrina_core::presence::Presence;
use vetrina_core::reservation::ReservationRow;
use vetrina_protocol::event::{Event, PrivateEvent};
use vetrina_protocol::id::{ListingId, ReservationId, ShowId, UserId};
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::time::{Epoch, Offset, UnixMs};
use vetrina_protocol::view::ReservationState;
use vetrina_store::redis::functions::{
    self, Belief, CallError, NotOpen, OpenShow, Opened, ShowStatus,
};
use vetrina_store::redis::keys::{Keys, ShowKeys};

use super::play::open_rows;
use super::{redis_with_library, run};
use crate::conformance::Dice;

const START: i64 = 1_760_000_000_000;

fn at(ms: i64) -> Option<UnixMs> {
    Some(UnixMs(START + ms))
}

fn keys() -> ShowKeys {
    Keys::default().show(ShowId(9))
}

fn belief(epoch: Option<u64>) -> Belief<'static> {
    Belief {
        identity: "this one",
        epoch: epoch.map(Epoch),
        clock: at(0),
    }
}

/// Opens a show without listings; the lease must be there.
fn open(redis: &mut Connection, epoch: u64, archived: u64) -> Opened {
    let show = OpenShow {
        holder: "node",
        epoch: Epoch(epoch),
        archived: Offset(archived),
        notices_after: 0,
        listings: &[],
    };
    let call = functions::open(&keys(), belief(None), show).expect("it fits");
    run(redis, &call).expect("answered")
}

fn open_and_restore(redis: &mut Connection) -> ShowStatus {
    let lease = functions::lease(&keys(), OpenShow::LEASE, "node", 1_000, at(0));
    assert!(run(redis, &lease).expect("a lease").is_ours);
    let opened = open(redis, 1, 0);
    assert!(matches!(opened, Opened::Ours(_)), "{opened:?}");
    let restore = HotCommand::Restore(Restore {
        reservation_ttl_ms: 60_000,
        selling_closed: false,
        reservations: Vec::new(),
        waitlist: Vec::new(),
    });
    let call = functions::apply(&keys(), belief(None), &[restore]).expect("it fits");
    run(redis, &call).expect("restored").status
}

#[test]
fn a_lease_has_one_holder_until_it_ends() {
    let server = redis_with_library();
    let mut redis = server.connect().expect("it is up");
    let mut lease = |holder: &str, ms: i64| {
        let call = functions::lease(&keys(), "archive", holder, 1_000, at(ms));
        let lease = run(&mut redis, &call).expect("answered");
        (lease.is_ours, lease.holder, lease.left_ms)
    };
    assert_eq!(lease("a", 0), (true, "a".into(), 1_000));
    assert_eq!(lease("b", 400), (false, "a".into(), 600));
    assert_eq!(lease("a", 900), (true, "a".into(), 1_000));
    assert_eq!(lease("b", 1_899), (false, "a".into(), 1));
    assert_eq!(lease("b", 1_900), (true, "b".into(), 1_000));
    let mut release = |holder| {
        let call = functions::release_lease(&keys(), "archive", holder);
        run(&mut redis, &call).expect("answered")
    };
    assert!(!release("a"));
    assert!(release("b"));
    let call = functions::lease(&keys(), "archive", "a", 1_000, at(1_901));
    assert!(run(&mut redis, &call).expect("answered").is_ours);
}

#[test]
fn viewers_are_the_sum_of_the_leases_that_hold() {
    let server = redis_with_library();
    let mut redis = server.connect().expect("it is up");
    let (mut dice, mut model, mut now) = (Dice::new(7), Presence::new(), UnixMs(START));
    for _ in 0..500 {
        now = now.plus_ms(i64::try_from(dice.below(400)).expect("small"));
        let node = dice.below(6);
        let viewers = u32::try_from(dice.below(50)).expect("small");
        model.report(now, node, viewers, 1_000);
        let call = functions::report_viewers(&keys(), &node.to_string(), viewers, 1_000, Some(now));
        assert_eq!(run(&mut redis, &call), Ok(model.viewers(now)));
        now = now.plus_ms(i64::try_from(dice.below(400)).expect("small"));
        let call = functions::viewers(&keys(), Some(now));
        assert_eq!(run(&mut redis, &call), Ok(model.viewers(now)));
    }
}

#[test]
fn a_bucket_is_cores_bucket() {
    let server = redis_with_library();
    let mut redis = server.connect().expect("it is up");
    for seed in 1..=20 {
        let mut dice = Dice::new(seed);
        let rate = Rate {
            burst: u32::try_from(dice.below(8)).expect("small"),
            per_minute: u32::try_from(dice.below(5_000)).expect("small"),
        };
        let key = Keys::default().bucket("test", &seed.to_string());
        let mut now = UnixMs(START);
        let mut model = TokenBucket::new(rate, now);
        for _ in 0..100 {
            let pause = i64::try_from(dice.below(300)).expect("small") - 20;
            now = now.plus_ms(pause);
            let tokens = u32::try_from(dice.below(4)).expect("small");
            let call = functions::take(&key, rate, tokens, Some(now));
            let expected = model.take_many(now, tokens);
            assert_eq!(
                run(&mut redis, &call),
                Ok(expected),
                "seed {seed}, {rate:?}"
            );
        }
    }
}

#[test]
fn the_first_answer_is_remembered() {
    let server = redis_with_library();
    let mut redis = server.connect().expect("it is up");
    let key = Keys::default().remembered("buyer 1", "key");
    assert_eq!(run(&mut redis, &functions::recall(&key)), Ok(None));
    let first = functions::remember(&key, b"first", 60_000);
    assert_eq!(run(&mut redis, &first), Ok(None));
    let second = functions::remember(&key, b"second", 60_000);
    assert_eq!(run(&mut redis, &second), Ok(Some(b"first".to_vec())));
    assert_eq!(
        run(&mut redis, &functions::recall(&key)),
        Ok(Some(b"first".to_vec()))
    );
    let left: i64 = redis::cmd("PTTL")
        .arg(&key)
        .query(&mut redis)
        .expect("a time");
    assert!((1..=60_000).contains(&left), "{left}");
}

#[test]
fn a_show_is_opened_by_the_holder_of_the_lease_and_once() {
    let server = redis_with_library();
    let mut redis = server.connect().expect("it is up");
    assert_eq!(
        run(&mut redis, &functions::version()),
        Ok(functions::LIBRARY_VERSION.into())
    );
    let status = functions::status(&keys(), belief(None));
    assert_eq!(
        run(&mut redis, &status),
        Err(CallError::NotOpen(NotOpen::Missing))
    );
    assert_eq!(open(&mut redis, 1, 0), Opened::NotLeased);
    let restored = open_and_restore(&mut redis);
    assert!(restored.is_loaded);
    // Somebody who is late with an older epoch destroys nothing; a newer one starts afresh.
    assert!(matches!(open(&mut redis, 1, 0), Opened::Already(status) if status.is_loaded));
    assert!(matches!(open(&mut redis, 2, 7), Opened::Ours(status) if !status.is_loaded));
    let stale = functions::status(&keys(), belief(Some(1)));
    let other = NotOpen::OtherEpoch(Epoch(2));
    assert_eq!(run(&mut redis, &stale), Err(CallError::NotOpen(other)));
    let event = Event::SlowModeChanged { seconds: 1 };
    let append = functions::append(&keys(), belief(Some(2)), &[event]).expect("it fits");
    let (status, appended) = run(&mut redis, &append).expect("appended");
    assert_eq!((appended.first, status.archived), (Offset(8), Offset(7)));
    let close = |end| functions::close(&keys(), belief(Some(2)), Offset(end)).expect("it fits");
    assert_eq!(
        run(&mut redis, &close(7)),
        Ok(false),
        "its log has moved on"
    );
    assert_eq!(run(&mut redis, &close(8)), Ok(true));
    let status = functions::status(&keys(), belief(None));
    assert_eq!(
        run(&mut redis, &status),
        Err(CallError::NotOpen(NotOpen::Missing))
    );
}

#[test]
fn the_log_is_trimmed_behind_the_archive_only() {
    let server = redis_with_library();
    let mut redis = server.connect().expect("it is up");
    open_and_restore(&mut redis);
    let events = vec![Event::SlowModeChanged { seconds: 1 }; 3];
    let append = functions::append(&keys(), belief(None), &events).expect("it fits");
    for _ in 0..400 {
        run(&mut redis, &append).expect("appended");
    }
    let mut first = |archived, kept| {
        let trim = functions::trim(&keys(), belief(None), Offset(archived), kept).expect("fits");
        let status = run(&mut redis, &trim).expect("trimmed");
        let all: redis::streams::StreamRangeReply = redis::cmd("XRANGE")
            .arg(keys().log())
            .arg(&["-", "+"])
            .query(&mut redis)
            .expect("a stream");
        let entry = &all.ids[0];
        let (_, events) = functions::log_entry(&entry.id, &entry.map).expect("readable");
        (status.archived.0, events[0].offset.0)
    };
    assert_eq!(first(0, 0), (0, 1));
    let (archived, oldest) = first(700, 0);
    assert!(archived == 700 && oldest > 300 && oldest <= 701, "{oldest}");
    // What is said later about less does not count back, and a ring of the newest stays.
    assert_eq!(first(10, 0), (700, oldest));
    let (archived, oldest) = first(5_000, 150);
    assert!(
        archived == 1_200 && oldest > 700 && oldest <= 1_051,
        "{oldest}"
    );
}

#[test]
fn nobody_trusts_what_a_failing_function_left() {
    let server = redis_with_library();
    let mut redis = server.connect().expect("it is up");
    open_and_restore(&mut redis);
    let call = functions::notify(
        &keys(),
        belief(None),
        UserId(1),
        "Ada",
        &PrivateEvent::WaitlistChanged {
            listing: ListingId(1),
            place: None,
        },
    );
    let call = call.expect("it fits");
    assert!(run(&mut redis, &call).is_ok());
    // Something else took the name of a key.
    let _: () = redis::cmd("SET")
        .arg(keys().notices())
        .arg("not a stream")
        .query(&mut redis)
        .expect("set");
    let failed = run(&mut redis, &call);
    assert!(
        matches!(&failed, Err(CallError::Failed(text)) if text.contains("vetrina_notify")),
        "{failed:?}"
    );
    let status = functions::status(&keys(), belief(None));
    assert_eq!(
        run(&mut redis, &status),
        Err(CallError::NotOpen(NotOpen::Missing))
    );
}

/// More rows than a page has, ten of each due at one millisecond.
#[test]
fn all_open_rows_are_read_by_pages() {
    const ROWS: u128 = 1_203;
    let server = redis_with_library();
    let mut redis = server.connect().expect("connected");
    let status = open_and_restore(&mut redis);
    let listing = ListingId(7);
    let mirror = HotCommand::Mirror(Mirror {
        listing,
        total: 5_000,
        claimed: 0,
        paid: 0,
        per_buyer: 10,
        unit_price: Money::new(1_990, Currency::EUR),
        version: 1,
        buyer_units: Vec::new(),
        settled: Vec::new(),
    });
    let call = functions::apply(&keys(), belief(Some(1)), &[mirror]).expect("a call");
    run(&mut redis, &call).expect("mirrored");
    let row = |number: u128| ReservationRow {
        id: ReservationId(number + 1),
        listing,
        buyer: UserId(number + 1),
        buyer_name: "Ada".into(),
        quantity: 1,
        unit_price: Money::new(1_990, Currency::EUR),
        state: ReservationState::Reserved,
        expires_at: status
            .now
            .plus_ms(60_000 + i64::try_from(number / 10).expect("small")),
        extensions_used: 0,
        from_waitlist: false,
        media_time: None,
        order: None,
        fence_at: None,
        seated: true,
        closed_at: None,
    };
    let rows: Vec<ReservationRow> = (0..ROWS).map(row).collect();
    for rows in rows.chunks(200) {
        let call = functions::reseat(&keys(), belief(Some(1)), rows).expect("a call");
        let seats = run(&mut redis, &call).expect("seated");
        assert_eq!((seats.seated.len(), seats.dropped.len()), (rows.len(), 0));
    }
    let mut read = open_rows(&mut redis, &keys(), belief(Some(1)));
    read.sort_by_key(|row| row.id);
    read.dedup();
    assert_eq!(read, rows);
}
