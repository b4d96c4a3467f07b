//! `mixed`: a whole sale at once. Comments, stock changes, reactions and reservations in one room,
//! and how late each kind reached everybody.

mod voices;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use hdrhistogram::Histogram;
use vetrina_protocol::server::ServerMessage;

use crate::Common;
use crate::channel::crowd::{Clock, Crowd, Deaf, Ear};
use crate::channel::known::{Kind, Shared};
use crate::channel::room::{Place, Room, on_stage};
use crate::channel::speech::{Commenters, Speaker, Speech, Voice, speak};
use crate::channel::stage::{not_joined, seconds};
use crate::channel::tally::{Missed, Tally, histogram, percentile_ms};
use crate::channel::{BESIDES_S, Failed, at_least, in_time};
use crate::cores::{Cost, cost, own_cpu};
use crate::open_files;
use crate::progress::Progress;
use crate::report::Figures;
use voices::{Buyers, Crew, RESERVATIONS, Reactors};

/// Options of the command.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    place: Place,
    /// How long the sale lasts.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Comments per second.
    #[arg(long, default_value_t = 200.0, value_name = "PER_SECOND")]
    comments: f64,
    /// Changes of a listing's stock by the host, per second.
    #[arg(long, default_value_t = 20.0, value_name = "PER_SECOND")]
    stock_changes: f64,
    /// Reactions per second.
    #[arg(long, default_value_t = 2_000.0, value_name = "PER_SECOND")]
    reactions: f64,
    /// Reservations per second, each by another buyer.
    #[arg(long, default_value_t = 50.0, value_name = "PER_SECOND")]
    reservations: f64,
}

/// Sessions of the host, who changes stock: one alone may not send so much.
const HOSTS: usize = 2;
/// Everybody must be in after this time.
const JOIN_WITHIN_US: u64 = 90_000_000;
/// What was said last is waited for so long; reactions are told once a second.
const AFTERWARDS_US: u64 = 2_500_000;
/// Answers are waited for so long.
const AFTERWARDS_US_MAX: u64 = 15_000_000;
const TURN: Duration = Duration::from_millis(10);

pub(crate) async fn run(options: Options) -> Result<Figures, Failed> {
    if options.place.viewers <= HOSTS {
        return Err(Failed::Asked(format!("--viewers must be above {HOSTS}")));
    }
    let rates = [
        options.comments,
        options.stock_changes,
        options.reactions,
        options.reservations,
    ];
    if rates.iter().any(|rate| *rate <= 0.0) || options.seconds <= 0.0 {
        return Err(Failed::Asked("rates and --seconds must be above 0".into()));
    }
    open_files::raise(options.place.viewers, 1)?;
    let least_s = options.seconds + BESIDES_S;
    in_time(at_least(options.common.timeout_s, least_s), mixed(&options)).await
}

async fn mixed(options: &Options) -> Result<Figures, Failed> {
    let place = &options.place;
    let room = Room::open(&options.common, place, &[]).await?;
    let mut door = room.door(place).await?;
    door.tokens[..HOSTS].fill(room.server.token().to_owned());
    let listings: Vec<_> = room.listings.iter().map(|listing| listing.id).collect();
    let plan = Plan {
        viewers: place.viewers,
        processes: room.processes.clone(),
        text_bytes: place.text_bytes,
        seconds: options.seconds,
        comments: options.comments,
        stock_changes: options.stock_changes,
        reactions: options.reactions,
        reservations: options.reservations,
    };
    let sale = on_stage(place, move || {
        let clock = Clock::start();
        let mut crowd = Crowd::new(plan.viewers, door, clock)?;
        gather(&mut crowd)?;
        let hosts = crowd.streams(0..HOSTS);
        let viewers = crowd.streams(HOSTS..plan.viewers);
        let speakers = begin(&plan, clock, &listings, hosts, &viewers)?;
        sell(&plan, &mut crowd, speakers)
    })
    .await?;
    Ok(figures(&sale, place.viewers))
}

struct Plan {
    viewers: usize,
    processes: Vec<u32>,
    text_bytes: usize,
    seconds: f64,
    comments: f64,
    stock_changes: f64,
    reactions: f64,
    reservations: f64,
}

impl Plan {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some minutes of a sale"
    )]
    fn speech(&self, first: u32, per_second: f64) -> Speech {
        Speech {
            first,
            count: ((per_second * self.seconds).round() as u32).max(1),
            per_second,
        }
    }
}

fn gather(crowd: &mut Crowd) -> io::Result<()> {
    let viewers = crowd.size();
    let progress = Progress::new("joining", viewers);
    let begin_us = crowd.clock.now_us();
    crowd.open(0..viewers);
    while crowd.counts.ready < viewers {
        if crowd.clock.now_us() - begin_us > JOIN_WITHIN_US {
            return Err(not_joined(crowd));
        }
        crowd.turn(TURN, &mut Deaf)?;
        progress.reach(crowd.counts.ready);
    }
    progress.end();
    Ok(())
}

/// All who do something, each kind on a thread of its own.
struct Speakers {
    comments: Speaker,
    stock_changes: Speaker,
    reactions: Speaker,
    reservations: Speaker,
}

type Streams = Vec<Arc<mio::net::TcpStream>>;

fn begin(
    plan: &Plan,
    clock: Clock,
    listings: &[vetrina_protocol::id::ListingId],
    hosts: Streams,
    viewers: &Streams,
) -> io::Result<Speakers> {
    let begin = |first, per_second, voice: Box<dyn Voice>| {
        speak(plan.speech(first, per_second), voice, clock)
    };
    let listings = listings.to_vec();
    let commenters = Commenters::new(viewers.clone(), plan.text_bytes);
    Ok(Speakers {
        comments: begin(1, plan.comments, Box::new(commenters))?,
        stock_changes: begin(
            voices::STOCK_CHANGES,
            plan.stock_changes,
            Box::new(Crew::new(hosts, listings.clone())),
        )?,
        reactions: begin(
            voices::REACTIONS,
            plan.reactions,
            Box::new(Reactors::new(viewers.clone())),
        )?,
        reservations: begin(
            RESERVATIONS,
            plan.reservations,
            Box::new(Buyers::new(viewers.clone(), listings)),
        )?,
    })
}

/// What came of it.
struct Sale {
    tally: Tally,
    missed: Missed,
    stock: Histogram<u64>,
    answered: Histogram<u64>,
    granted: u64,
    refused: BTreeMap<&'static str, u64>,
    /// Reactions that one viewer was told of, and that were sent.
    reactions_told: u64,
    reactions_sent: u64,
    unsent: u32,
    /// Single messages that were said: what a server that sends each of them alone sends to all.
    said: u64,
    frames: u64,
    gaps: u64,
    took_s: f64,
    server: Cost,
    own: Duration,
}

fn sell(plan: &Plan, crowd: &mut Crowd, speakers: Speakers) -> io::Result<Sale> {
    let speech = plan.speech(1, plan.comments);
    let mut ear = Everything {
        tally: Tally::new(plan.viewers, speech.first, speech.count),
        stock: histogram(),
        answered: histogram(),
        granted: 0,
        refused: BTreeMap::new(),
        reactions_told: 0,
        frames: 0,
        events: 0,
        wall_us: crowd.clock.wall_us_at_start(),
        reservations: plan.speech(RESERVATIONS, plan.reservations),
        reservations_since_us: speakers.reservations.begin_us(),
    };
    let Speakers {
        comments,
        stock_changes,
        reactions,
        reservations,
    } = speakers;
    let (before, own, begin_us) = (cost(&plan.processes), own_cpu(), crowd.clock.now_us());
    let progress = Progress::new("seconds", plan.seconds.ceil() as usize);
    let mut done_us = None;
    loop {
        crowd.turn(TURN, &mut ear)?;
        let now_us = crowd.clock.now_us();
        progress.reach(usize::try_from((now_us - begin_us) / 1_000_000).unwrap_or(0));
        let all = [&comments, &stock_changes, &reactions, &reservations];
        if done_us.is_none() && all.iter().all(|speaker| speaker.is_done()) {
            done_us = Some(now_us);
        }
        let all_answered = ear.answered.len() >= u64::from(reservations.said());
        let since_us = done_us.map_or(0, |done_us| now_us - done_us);
        if since_us > AFTERWARDS_US && all_answered || since_us > AFTERWARDS_US_MAX {
            break;
        }
    }
    progress.end();
    let after = cost(&plan.processes);
    let all = [&comments, &stock_changes, &reactions, &reservations];
    Ok(Sale {
        missed: ear.tally.missed(|_| true),
        reactions_told: ear.reactions_told,
        reactions_sent: u64::from(reactions.said()),
        unsent: all.iter().map(|speaker| speaker.failed()).sum(),
        said: ear.events + u64::from(reactions.said()),
        frames: ear.frames,
        gaps: crowd.counts.gaps + crowd.counts.repeated,
        took_s: seconds(crowd.clock.now_us() - begin_us),
        server: Cost {
            cpu: after.cpu - before.cpu,
            resident_kib: after.resident_kib,
        },
        own: own_cpu() - own,
        stock: ear.stock,
        answered: ear.answered,
        granted: ear.granted,
        refused: ear.refused,
        tally: ear.tally,
    })
}

/// Listens to every kind.
struct Everything {
    tally: Tally,
    stock: Histogram<u64>,
    answered: Histogram<u64>,
    granted: u64,
    refused: BTreeMap<&'static str, u64>,
    reactions_told: u64,
    frames: u64,
    /// Positions of the log that the last viewer was told.
    events: u64,
    /// Of the system's clock, when ours began.
    wall_us: u64,
    reservations: Speech,
    reservations_since_us: u64,
}

impl Ear for Everything {
    fn shared(&mut self, client: usize, now_us: u64, shared: &Shared) {
        self.frames += 1;
        self.tally.shared(client, now_us, shared);
        if client == HOSTS {
            self.reactions_told += shared.reactions.unwrap_or(0);
            let positions = shared.batches.iter().map(|batch| batch.to - batch.from + 1);
            self.events += positions.sum::<u64>();
        }
        let wall_us = self.wall_us + now_us;
        for told in shared.batches.iter().flat_map(|batch| &batch.events) {
            if told.kind == Kind::Stock {
                let at_us = u64::try_from(told.at_ms).unwrap_or(0) * 1_000;
                self.stock
                    .saturating_record(wall_us.saturating_sub(at_us).max(1));
            }
        }
    }

    fn own(&mut self, client: usize, now_us: u64, message: &ServerMessage) {
        self.tally.own(client, now_us, message);
        let id = match message {
            ServerMessage::Ok(done) => {
                self.granted += u64::from(done.reservation.is_some());
                done.id
            }
            ServerMessage::Refused {
                id: Some(id), code, ..
            } => {
                *self.refused.entry(code.as_str()).or_default() += 1;
                *id
            }
            _ => return,
        };
        let first = self.reservations.first;
        if let Some(n) = id
            .checked_sub(first)
            .filter(|n| *n < self.reservations.count)
        {
            let due_us = self.reservations.due_us(self.reservations_since_us, n);
            self.answered
                .saturating_record(now_us.saturating_sub(due_us).max(1));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn figures(sale: &Sale, viewers: usize) -> Figures {
    let mut figures = Figures::default();
    let tally = &sale.tally;
    for (name, histogram) in [
        ("comment", &tally.latency),
        ("stock", &sale.stock),
        ("reservation", &sale.answered),
    ] {
        figures.add(format!("{name}_p50_ms"), percentile_ms(histogram, 50.0));
        figures.add(format!("{name}_p99_ms"), percentile_ms(histogram, 99.0));
    }
    let told = sale.reactions_told as f64 * 100.0 / (sale.reactions_sent as f64).max(1.0);
    figures.add("reactions_told_percent", told);
    figures.add("reservations_granted", sale.granted as f64);
    figures.add("reservations_answered", sale.answered.len() as f64);
    figures.add("refused", sale.refused.values().sum::<u64>() as f64);
    figures.add("unsent", f64::from(sale.unsent));
    figures.add("lost", sale.missed.lost as f64);
    figures.add("doubled", sale.missed.doubled as f64);
    figures.add("gaps", sale.gaps as f64);
    figures.add("frames_per_second", sale.frames as f64 / sale.took_s);
    let alone = sale.said as f64 * viewers as f64 / sale.took_s;
    figures.add("peer_frames_per_second", alone);
    let percent = |cpu: Duration| cpu.as_secs_f64() * 100.0 / sale.took_s;
    figures.add("server_cpu_percent", percent(sale.server.cpu));
    figures.add("client_cpu_percent", percent(sale.own));
    figures.add("server_mib", sale.server.resident_kib / 1024.0);
    figures
}
