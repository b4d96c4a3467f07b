//! Random commands, seeded, on Redis and on the model beside it: the same answers, the same public
//! events, the same private facts, and in the end the same rows. A failure names its seed.

use std::collections::HashMap;

use redis::Connection;
use redis::streams::StreamRangeReply;
use vetrina_core::hot::{HotAnswer, HotCommand};
use vetrina_core::reservation::ReservationRow;
use vetrina_core::show::{Folded, ShowFold};
use vetrina_protocol::event::LoggedEvent;
use vetrina_protocol::time::{Epoch, Offset, UnixMs};
use vetrina_store::redis::functions::{
    self, Belief, CallError, NotOpen, OpenShow, Opened, ShowStatus, log_entry, notices_entry,
};
use vetrina_store::redis::keys::{Keys, ShowKeys};

use super::cast::Cast;
use super::model::{Model, Told};
use vetrina_backends::RedisServer;

use super::{redis_with_library, run};

/// Shows, and batches of commands of each.
const SEEDS: u64 = 60;
const BATCHES: usize = 130;

/// One show on both sides.
struct Stage {
    redis: Connection,
    keys: ShowKeys,
    model: Model,
    cast: Cast,
    clock: UnixMs,
    identity: String,
    epoch: Epoch,
    /// Ends of the two streams as read so far.
    log_end: u64,
    notices_end: u64,
    /// The public state as a reader of the stream folds it.
    reader: ShowFold,
    commands: usize,
    what: String,
}

#[test]
fn random_commands_agree_with_core() {
    let server = redis_with_library();
    let mut commands = 0;
    let mut seen = HashMap::new();
    for seed in 1..=SEEDS {
        commands += play(&server, seed, &mut seen);
    }
    assert!(commands >= 100_000, "only {commands} commands");
    // A sequence that never comes to something proves nothing about it.
    for answer in [
        "Reservation",
        "Repeated",
        "Bag",
        "Waiting",
        "Ticked",
        "NotLoaded",
        "sold_out",
        "too_few",
        "buyer_limit",
        "waitlist_first",
        "available",
        "already_waiting",
        "not_waiting",
        "reservation_unknown",
        "reservation_closed",
        "reservation_expired",
        "extension_limit",
        "key_reused",
        "invalid",
        "not_live",
        "below_committed",
        "Offer",
    ] {
        assert!(seen.contains_key(answer), "{answer} never came: {seen:?}");
    }
}

/// Plays one show. Gives how many commands it took.
fn play(server: &RedisServer, seed: u64, seen: &mut HashMap<String, u64>) -> usize {
    let mut stage = Stage::new(server, seed);
    stage.open(true);
    stage.begin();
    for number in 0..BATCHES {
        stage.what = format!("seed {seed}, batch {number}");
        let pause = stage.cast.pause_ms();
        stage.clock = stage.clock.plus_ms(pause);
        match stage.cast.below(100) {
            0..=3 => stage.publish(),
            4..=6 => stage.append(number > BATCHES * 9 / 10),
            7 if number > BATCHES / 4 => stage.lose(server),
            _ => stage.batch(seen),
        }
        stage.compare();
    }
    stage.compare_state();
    stage.commands
}

impl Stage {
    fn new(server: &RedisServer, seed: u64) -> Self {
        let cast = Cast::new(seed);
        let keys = Keys::default().show(cast.show);
        let mut admin = server.connect().expect("it is up");
        restrict(&mut admin, &keys, seed);
        let redis = server.connect_as(&format!("node{seed}"), "secret");
        let redis = redis.expect("it is up");
        let model = Model::new(cast.show);
        Self {
            redis,
            keys,
            reader: model.fold.clone(),
            model,
            cast,
            clock: UnixMs(1_760_000_000_000),
            identity: "first".into(),
            epoch: Epoch(1),
            log_end: 0,
            notices_end: 0,
            commands: 0,
            what: format!("seed {seed}"),
        }
    }

    fn open(&mut self, is_empty: bool) {
        let belief = Belief {
            identity: &self.identity,
            epoch: None,
            clock: Some(self.clock),
        };
        let lease = functions::lease(&self.keys, OpenShow::LEASE, "me", 1_000, belief.clock);
        assert!(run(&mut self.redis, &lease).expect("a lease").is_ours);
        let listings: Vec<_> = self.model.fold.listings().cloned().collect();
        let show = OpenShow {
            holder: "me",
            epoch: self.epoch,
            archived: self.model.fold.offset(),
            notices_after: self.notices_end,
            listings: &listings,
        };
        let call = functions::open(&self.keys, belief, show).expect("it fits");
        let opened = run(&mut self.redis, &call).expect("opened");
        let Opened::Ours(status) = opened else {
            panic!("{}: {opened:?}", self.what);
        };
        assert_eq!(status.position.offset, self.model.fold.offset());
        if is_empty {
            self.model.at(self.clock);
        }
        assert_eq!(status.now, self.model.now, "{}", self.what);
        self.model.apply_all(&[HotCommand::Tick]);
        let again = run(&mut self.redis, &call).expect("answered");
        assert_eq!(again, Opened::Already(status), "{}", self.what);
    }

    /// Mirrors, commands that come too early, and what was known before.
    fn begin(&mut self) {
        for command in self.cast.beginning() {
            self.commands(&[command], &mut HashMap::new());
        }
        for row in self.cast.rows.clone() {
            self.publish_row(&row);
        }
        let restore = self.cast.restore(self.clock);
        self.commands(&[restore], &mut HashMap::new());
        self.compare();
    }

    fn belief(&self) -> Belief<'_> {
        Belief {
            identity: &self.identity,
            epoch: Some(self.epoch),
            clock: Some(self.clock),
        }
    }

    fn batch(&mut self, seen: &mut HashMap<String, u64>) {
        let size = match self.cast.below(4) {
            0 => 1,
            1 => 64,
            _ => 1 + self.cast.below(30),
        };
        let mut commands: Vec<_> = (0..size).map(|_| self.cast.command(self.clock)).collect();
        if self.cast.chance(5) {
            // The network repeats what it carried.
            let copy = commands[0].clone();
            commands.push(copy);
        }
        commands.truncate(functions::BATCH_MAX);
        self.commands(&commands, seen);
    }

    fn commands(&mut self, commands: &[HotCommand], seen: &mut HashMap<String, u64>) {
        self.commands += commands.len();
        let call = functions::apply(&self.keys, self.belief(), commands).expect("they fit");
        let batch = run(&mut self.redis, &call).unwrap_or_else(|error| {
            panic!("{}: {error}, {commands:#?}", self.what);
        });
        self.model.at(self.clock);
        let expected = self.model.apply_all(commands);
        for (number, (command, expected)) in commands.iter().zip(expected).enumerate() {
            assert_eq!(
                batch.answers[number], expected,
                "{}, command {number}: {command:?}",
                self.what
            );
            *seen.entry(kind(&expected)).or_default() += 1;
        }
        self.compare_status(batch.status);
        for row in &batch.rows {
            assert_eq!(
                self.model.stock.reservation(row.id).map(|it| it.id),
                Some(row.id)
            );
        }
        for (_, _, told) in self.compare() {
            if let vetrina_protocol::event::PrivateEvent::WaitlistOffer { .. } = told {
                *seen.entry("Offer".into()).or_default() += 1;
            }
        }
    }

    fn publish(&mut self) {
        let row = self.cast.published();
        self.publish_row(&row);
    }

    fn publish_row(&mut self, row: &vetrina_store::ledger::ListingRow) {
        let call = functions::publish(&self.keys, self.belief(), row).expect("it fits");
        let published = run(&mut self.redis, &call).expect("answered");
        self.model.at(self.clock);
        let expected = self.model.publish(row);
        let answer = published.as_ref().map(|batch| batch.answers[0].clone());
        assert_eq!(answer, expected, "{}: {row:?}", self.what);
        if let Some(batch) = published {
            self.compare_status(batch.status);
        }
    }

    fn append(&mut self, ends: bool) {
        let events = self.cast.events(ends);
        let call = functions::append(&self.keys, self.belief(), &events).expect("they fit");
        let (status, appended) = run(&mut self.redis, &call).expect("answered");
        self.model.at(self.clock);
        assert_eq!(
            appended.first,
            self.model.fold.offset().next(),
            "{}",
            self.what
        );
        self.model.append(events);
        assert_eq!(appended.position, status.position, "{}", self.what);
        self.compare_status(status);
    }

    /// Redis comes back empty, or as another one with old data; or the show is only rebuilt.
    fn lose(&mut self, server: &RedisServer) {
        self.compare();
        let known = self.model.stock.export();
        let is_empty = self.cast.chance(50);
        if is_empty {
            let mut admin = server.connect().expect("it is up");
            let _: () = redis::cmd("DEL")
                .arg(names(&self.keys))
                .query(&mut admin)
                .expect("gone");
            let missing = functions::status(&self.keys, self.belief());
            let missing = run(&mut self.redis, &missing);
            assert_eq!(missing, Err(CallError::NotOpen(NotOpen::Missing)));
            self.model.now = self.clock;
        } else {
            self.model.at(UnixMs(i64::MIN));
        }
        self.identity.push('+');
        self.epoch.0 += 1;
        if !is_empty {
            let other = functions::status(&self.keys, self.belief());
            let other = run(&mut self.redis, &other);
            assert_eq!(other, Err(CallError::NotOpen(NotOpen::OtherIdentity)));
            // Its clock goes on from what it had seen.
            self.model.at(self.clock);
        }
        self.model.lose();
        self.open(is_empty);
        self.log_end = self.model.fold.offset().0;
        let mut commands: Vec<_> = self
            .cast
            .rows
            .iter()
            .map(|row| HotCommand::Mirror(row.mirror(Vec::new(), Vec::new())))
            .collect();
        commands.push(HotCommand::Restore(known));
        self.commands(&commands, &mut HashMap::new());
    }

    fn compare_status(&self, status: ShowStatus) {
        assert_eq!(status.position.epoch, self.epoch, "{}", self.what);
        assert_eq!(
            status.position.offset,
            self.model.fold.offset(),
            "{}",
            self.what
        );
        assert_eq!(
            status.next_due,
            self.model.stock.next_due(),
            "{}",
            self.what
        );
        assert_eq!(
            status.is_loaded,
            self.model.stock.is_loaded(),
            "{}",
            self.what
        );
        assert_eq!(status.now, self.model.now, "{}", self.what);
    }

    /// What was told since the last time is the same on both sides. Gives the private part.
    fn compare(&mut self) -> Vec<Told> {
        let (events, told) = self.model.drain();
        let read = self.read_log();
        assert_eq!(read, events, "{}", self.what);
        for event in &read {
            assert_eq!(self.reader.apply(event), Folded::Applied, "{}", self.what);
        }
        assert_eq!(self.reader, self.model.fold, "{}", self.what);
        let heard = self.read_notices();
        assert_eq!(heard, told, "{}", self.what);
        told
    }

    fn read_log(&mut self) -> Vec<LoggedEvent> {
        let mut events = Vec::new();
        for (id, fields) in range(&mut self.redis, self.keys.log(), self.log_end) {
            let (epoch, entry) = log_entry(&id, &fields).expect("readable");
            assert_eq!(epoch, self.epoch, "{}", self.what);
            for event in entry {
                assert_eq!(
                    event.offset,
                    Offset(self.log_end + 1),
                    "{}: a gap",
                    self.what
                );
                self.log_end += 1;
                events.push(event);
            }
        }
        events
    }

    fn read_notices(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        for (id, fields) in range(&mut self.redis, self.keys.notices(), self.notices_end) {
            let entry = notices_entry(&id, &fields).expect("readable");
            assert_eq!(entry.before, self.notices_end, "{}: a gap", self.what);
            for one in entry.notices {
                assert!(one.notice.version > self.notices_end, "{}", self.what);
                self.notices_end = one.notice.version;
                let notice = one.notice;
                told.push((notice.buyer, notice.buyer_name, notice.event));
            }
        }
        told
    }

    /// Whoever reads now sees the same.
    fn compare_state(&mut self) {
        for buyer in self.cast.buyers.clone() {
            let call = functions::mine(&self.keys, self.belief(), buyer);
            let mine = run(&mut self.redis, &call).expect("mine");
            let expected = self.model.stock.reservations_of(buyer);
            assert_eq!(mine.reservations, expected, "{}", self.what);
            assert_eq!(
                mine.waitlist,
                self.model.stock.places_of(buyer),
                "{}",
                self.what
            );
            assert_eq!(mine.version, self.notices_end);
        }
        let call = functions::desk(&self.keys, self.belief());
        let desk = run(&mut self.redis, &call).expect("the desk").reservations;
        let mut expected: Vec<_> = self.model.stock.desk().collect();
        expected.sort_by_key(|it| (it.reservation.expires_at_ms, it.reservation.id));
        assert_eq!(desk, expected, "{}", self.what);
        let (keys, identity) = (self.keys.clone(), self.identity.clone());
        let belief = Belief {
            identity: &identity,
            epoch: Some(self.epoch),
            clock: Some(self.clock),
        };
        let open = open_rows(&mut self.redis, &keys, belief);
        let mut open: Vec<_> = open.iter().map(ReservationRow::view).collect();
        open.sort_by_key(|it| (it.expires_at_ms, it.id));
        let expected: Vec<_> = expected.into_iter().map(|it| it.reservation).collect();
        assert_eq!(open, expected, "{}", self.what);
        self.model.stock.check().expect("core adds up");
    }
}

/// All open reservations, read as a node does that joins.
pub(super) fn open_rows(
    redis: &mut Connection,
    keys: &ShowKeys,
    belief: Belief<'_>,
) -> Vec<ReservationRow> {
    let (mut open, mut from) = (Vec::new(), Some(UnixMs(0)));
    while let Some(at) = from {
        let call = functions::rows(keys, belief, at).expect("a call");
        let page = run(redis, &call).expect("rows");
        open.extend(page.rows);
        from = page.next;
    }
    open
}

/// What an answer is, for the list of what came up.
fn kind(answer: &HotAnswer) -> String {
    match answer {
        HotAnswer::Refused(refused) => refused.code.as_str().to_owned(),
        HotAnswer::Reservation { repeated: true, .. } => "Repeated".into(),
        other => {
            let text = format!("{other:?}");
            let end = text.find(|c: char| !c.is_alphanumeric());
            text[..end.unwrap_or(text.len())].to_owned()
        }
    }
}

fn range(
    redis: &mut Connection,
    stream: &str,
    after: u64,
) -> Vec<(String, HashMap<String, redis::Value>)> {
    let reply: StreamRangeReply = redis::cmd("XRANGE")
        .arg(stream)
        .arg(format!("({after}-0"))
        .arg("+")
        .query(redis)
        .expect("a stream");
    reply
        .ids
        .into_iter()
        .map(|entry| (entry.id, entry.map))
        .collect()
}

/// All keys of a show, by what is promised of their names.
fn names(keys: &ShowKeys) -> Vec<String> {
    let start = keys.log().strip_suffix("log").expect("its name");
    [
        "meta", "listings", "rows", "counts", "people", "due", "closed", "queue", "waiting",
        "early", "fences", "words", "log", "notices", "viewers", "leases",
    ]
    .iter()
    .map(|name| format!("{start}{name}"))
    .collect()
}

/// A user who may touch the keys of this one show, by their very names, and run these commands:
/// what a node's user needs in production, with `~<prefix>*` for the keys.
fn restrict(admin: &mut Connection, keys: &ShowKeys, seed: u64) {
    let mut command = redis::cmd("ACL");
    command
        .arg("SETUSER")
        .arg(format!("node{seed}"))
        .arg(&["on", ">secret", "-@all"]);
    for name in names(keys) {
        command.arg(format!("~{name}"));
    }
    for allowed in functions::COMMANDS {
        command.arg(format!("+{allowed}"));
    }
    let _: () = command.query(admin).expect("a user");
}
