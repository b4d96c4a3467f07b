//! `storm`: everybody joins at once, each with a handshake, a `Hello` and the whole snapshot; and
//! what the host pins meanwhile must still reach those who are in.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use vetrina_protocol::client::ClientMessage;
use vetrina_protocol::server::{ServerMessage, Welcome};

use crate::Common;
use crate::buyer::{self, BuyerError, Session};
use crate::channel::crowd::{Clock, Crowd, Door, Ear};
use crate::channel::known::{Kind, Shared};
use crate::channel::room::{Place, Room, on_stage};
use crate::channel::stage::{not_joined, seconds};
use crate::channel::tally::{histogram, percentile_ms};
use crate::channel::{BESIDES_S, Failed, at_least, in_time};
use crate::cores::cost;
use crate::open_files;
use crate::progress::Progress;
use crate::report::Figures;

/// Options of the command.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    place: Place,
}

/// The host pins something else so often.
const PIN_EVERY: Duration = Duration::from_millis(50);
/// Everybody must be in after this time.
const JOIN_WITHIN_US: u64 = 90_000_000;
/// What was pinned during the storm is waited for so long after it.
const AFTERWARDS_US: u64 = 3_000_000;
const TURN: Duration = Duration::from_millis(10);

pub(crate) async fn run(options: Options) -> Result<Figures, Failed> {
    open_files::raise(options.place.viewers, 1)?;
    let timeout_s = at_least(options.common.timeout_s, BESIDES_S);
    in_time(timeout_s, storm(&options)).await
}

async fn storm(options: &Options) -> Result<Figures, Failed> {
    let place = &options.place;
    let room = Room::open(&options.common, place, &[]).await?;
    let door = room.door(place).await?;
    let clock = Clock::start();
    let over = Arc::new(AtomicBool::new(false));
    let (viewers, processes, ended) = (place.viewers, room.processes.clone(), over.clone());
    let everybody = on_stage(place, move || {
        let joined = join(viewers, door, clock, &processes, &ended);
        // The host stops whatever came of it.
        ended.store(true, Ordering::Release);
        joined
    });
    let (joined, pins) = tokio::join!(everybody, pin(&room, clock, &over));
    Ok(figures(&joined?, &pins?, viewers))
}

/// What the crowd saw.
struct Joined {
    took_s: f64,
    /// Welcomes with the whole state.
    snapshots: u64,
    /// Position and time of every pin that a viewer was told.
    pins: Vec<(u64, u64)>,
    server_cpu_us_per_join: f64,
    kib_per_viewer: f64,
    failures: u64,
    gaps: u64,
    over_us: u64,
}

#[derive(Default)]
struct Newcomers {
    snapshots: u64,
    pins: Vec<(u64, u64)>,
}

impl Ear for Newcomers {
    fn shared(&mut self, _client: usize, now_us: u64, shared: &Shared) {
        let events = shared.batches.iter().flat_map(|batch| &batch.events);
        let pins = events.filter(|told| told.kind == Kind::Pin);
        self.pins.extend(pins.map(|told| (told.offset, now_us)));
    }

    fn welcomed(&mut self, _client: usize, _now_us: u64, welcome: &Welcome) {
        self.snapshots += u64::from(welcome.snapshot.is_some());
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn join(
    viewers: usize,
    door: Door,
    clock: Clock,
    processes: &[u32],
    over: &AtomicBool,
) -> io::Result<Joined> {
    let mut newcomers = Newcomers::default();
    let mut crowd = Crowd::new(viewers, door, clock)?;
    let before = cost(processes);
    let begin_us = clock.now_us();
    crowd.open(0..viewers);
    let progress = Progress::new("joining", viewers);
    while crowd.counts.ready < viewers {
        crowd.turn(TURN, &mut newcomers)?;
        progress.reach(crowd.counts.ready);
        if clock.now_us() - begin_us > JOIN_WITHIN_US {
            return Err(not_joined(&crowd));
        }
    }
    progress.end();
    crowd.counts.say_failures();
    let over_us = clock.now_us();
    over.store(true, Ordering::Release);
    let after = cost(processes);
    while clock.now_us() - over_us < AFTERWARDS_US {
        crowd.turn(TURN, &mut newcomers)?;
    }
    let memory = cost(processes).resident_kib - before.resident_kib;
    Ok(Joined {
        took_s: seconds(over_us - begin_us),
        snapshots: newcomers.snapshots,
        pins: newcomers.pins,
        server_cpu_us_per_join: (after.cpu - before.cpu).as_secs_f64() * 1e6 / viewers as f64,
        kib_per_viewer: memory / viewers as f64,
        failures: crowd.counts.failures.values().sum(),
        gaps: crowd.counts.gaps + crowd.counts.repeated,
        over_us,
    })
}

/// The host pins one listing after the other until the storm is over. Gives when each was sent, by
/// its position.
async fn pin(
    room: &Room,
    clock: Clock,
    over: &AtomicBool,
) -> Result<HashMap<u64, u64>, BuyerError> {
    let source = buyer::source_address(0);
    let server = &room.server;
    let (mut host, _) = Session::open(server.address, source, room.show, server.token()).await?;
    let mut sent = HashMap::new();
    for (n, listing) in (1_u32..).zip(room.listings.iter().cycle()) {
        if over.load(Ordering::Acquire) {
            break;
        }
        let sent_us = clock.now_us();
        let pin = ClientMessage::Pin {
            id: n,
            key: format!("pin-{n}"),
            listing: listing.id,
            media_time: None,
        };
        host.send(&pin).await?;
        match host.answer(n).await? {
            ServerMessage::Ok(done) => {
                sent.extend(done.offset.map(|offset| (offset.0, sent_us)));
            }
            other => return Err(BuyerError::Protocol(format!("not pinned: {other:?}"))),
        }
        tokio::time::sleep(PIN_EVERY).await;
    }
    Ok(sent)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn figures(joined: &Joined, sent: &HashMap<u64, u64>, viewers: usize) -> Figures {
    let mut latency = histogram();
    for (offset, at_us) in &joined.pins {
        // One that was sent after the storm says nothing about it.
        if let Some(sent_us) = sent
            .get(offset)
            .filter(|sent_us| **sent_us < joined.over_us)
        {
            latency.saturating_record(at_us.saturating_sub(*sent_us).max(1));
        }
    }
    let mut figures = Figures::default();
    figures.add("joins_per_second", viewers as f64 / joined.took_s.max(1e-6));
    figures.add("pin_p99_ms", percentile_ms(&latency, 99.0));
    figures.add("pin_p50_ms", percentile_ms(&latency, 50.0));
    figures.add("pins", sent.len() as f64);
    figures.add("pins_told", latency.len() as f64);
    figures.add("joined_s", joined.took_s);
    figures.add("snapshots", joined.snapshots as f64);
    figures.add("failed_tries", joined.failures as f64);
    figures.add("gaps", joined.gaps as f64);
    figures.add("server_cpu_us_per_join", joined.server_cpu_us_per_join);
    figures.add("kib_per_viewer", joined.kib_per_viewer);
    figures
}
