//! `channel`: comments fanned out to thousands of viewers by one server on its own core, and in the
//! same run by the peers that are named, to the same clients.

pub(crate) mod crowd;
pub(crate) mod dialect;
pub(crate) mod follow;
pub(crate) mod frame;
pub(crate) mod known;
pub(crate) mod payload;
mod peer;
mod ramp;
pub(crate) mod room;
pub(crate) mod speech;
pub(crate) mod stage;
pub(crate) mod tally;

use std::time::Duration;

use clap::Args;

use crate::Common;
use crate::buyer::BuyerError;
use crate::open_files::{self, TooFew};
use crate::report::Figures;
use crate::server::ServerError;
use crate::stack::StackError;

use crowd::{Clock, Door};
use peer::{Peer, RunningPeer};
use ramp::ramp;
use room::{Place, Room, on_stage};
use stage::{Setting, Stage, Stretch};

/// Options of the command.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    place: Place,
    /// Comments per second.
    #[arg(long, default_value_t = 1.0, value_name = "PER_SECOND")]
    rate: f64,
    /// How long comments are said.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Measures a peer too, in the same run; may be repeated.
    #[arg(long = "peer", value_enum)]
    peers: Vec<Peer>,
    /// Finds the highest rate at which every comment reaches everybody with p99 below 250 ms.
    #[arg(long, conflicts_with_all = ["rate", "seconds"])]
    find_max: bool,
    /// Runs; of each figure the median is shown.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=25))]
    runs: u32,
}

/// Why a command with a crowd could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("{0}")]
    Server(#[from] ServerError),
    #[error("{0}")]
    Show(#[from] BuyerError),
    #[error("{0}")]
    Stack(#[from] StackError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    OpenFiles(#[from] TooFew),
    #[error("{0}")]
    Asked(String),
    #[error("not done within {0} s; --timeout-s gives each run more")]
    TimedOut(u64),
}

/// Besides the stretch that is measured: tokens, joining, the tail.
pub(crate) const BESIDES_S: f64 = 180.0;
/// Some twenty stretches, and the tails of those that did not hold.
const RAMP_S: f64 = 600.0;

/// The longer of two times.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "some minutes"
)]
pub(crate) fn at_least(asked_s: u64, least_s: f64) -> u64 {
    asked_s.max(least_s.ceil() as u64)
}

/// What one run of one server showed.
#[derive(Debug, Clone, Copy, Default)]
struct Shown {
    stretch: Stretch,
    joined_s: f64,
    kib_per_viewer: f64,
    max_per_core: Option<f64>,
}

pub(crate) async fn run(options: Options) -> Result<Figures, Failed> {
    if options.rate <= 0.0 || options.seconds <= 0.0 || options.rate * options.seconds > 1e6 {
        let why = "--rate and --seconds must be above 0 and make at most a million comments";
        return Err(Failed::Asked(why.into()));
    }
    open_files::raise(options.place.viewers, 1)?;
    // What was asked for must fit into it.
    let least_s = if options.find_max {
        RAMP_S
    } else {
        options.seconds + BESIDES_S
    };
    let timeout_s = at_least(options.common.timeout_s, least_s);
    let mut ours = Vec::new();
    let mut theirs = vec![Vec::new(); options.peers.len()];
    // One after the other, round by round: what else the machine does hits all of them.
    for _ in 0..options.runs {
        ours.push(in_time(timeout_s, vetrina(&options)).await?);
        for (kind, shown) in options.peers.iter().zip(&mut theirs) {
            shown.push(in_time(timeout_s, peer(&options, *kind)).await?);
        }
    }
    let mut figures = Figures::default();
    show(&mut figures, "", &ours);
    for (kind, shown) in options.peers.iter().zip(&theirs) {
        show(&mut figures, &format!("_{}", kind.name()), shown);
        let ratios = ours.iter().zip(shown).map(|(our, their)| ratio(our, their));
        figures.add(
            format!("ratio_to_{}", kind.name()),
            median(ratios.collect()),
        );
    }
    Ok(figures)
}

/// Gives one run so long.
pub(crate) async fn in_time<T>(
    seconds: u64,
    work: impl Future<Output = Result<T, Failed>>,
) -> Result<T, Failed> {
    tokio::time::timeout(Duration::from_secs(seconds), work)
        .await
        .unwrap_or(Err(Failed::TimedOut(seconds)))
}

async fn vetrina(options: &Options) -> Result<Shown, Failed> {
    let room = Room::open(&options.common, &options.place, &[]).await?;
    let setting = Setting {
        viewers: options.place.viewers,
        door: room.door(&options.place).await?,
        clock: Clock::start(),
        processes: room.processes.clone(),
        voice: None,
        commenters: 0..options.place.viewers,
        text_bytes: options.place.text_bytes,
    };
    measure(options, setting).await
}

async fn peer(options: &Options, kind: Peer) -> Result<Shown, Failed> {
    let place = &options.place;
    let mut running = RunningPeer::start(kind, &place.server_cores).await?;
    let setting = Setting {
        viewers: place.viewers,
        door: Door {
            address: running.address,
            path: running.path.into(),
            dialect: running.dialect,
            tokens: Vec::new(),
            window: place.window,
            returns: true,
            small_buffers: 0..0,
        },
        clock: Clock::start(),
        processes: vec![running.process.id()],
        voice: Some(running.voice(place.text_bytes)?),
        commenters: 0..0,
        text_bytes: place.text_bytes,
    };
    let shown = measure(options, setting).await;
    // A peer that ended by itself explains everything else.
    running.process.still_runs()?;
    shown
}

async fn measure(options: &Options, setting: Setting) -> Result<Shown, Failed> {
    let (find_max, rate, length_s) = (options.find_max, options.rate, options.seconds);
    let cores = options.place.server_cores.len().max(1);
    on_stage(&options.place, move || {
        let mut stage = Stage::gather(setting)?;
        let mut shown = Shown {
            joined_s: stage.joined_s,
            ..Shown::default()
        };
        if find_max {
            let (best, max) = ramp(&mut stage)?;
            shown.stretch = best;
            shown.max_per_core = Some(max / f64::from(u32::try_from(cores).unwrap_or(1)));
        } else {
            shown.stretch = stage.stretch(rate, length_s)?;
        }
        shown.kib_per_viewer = stage.kib_per_viewer();
        Ok(shown)
    })
    .await
}

/// The medians of all runs of one server.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn show(figures: &mut Figures, suffix: &str, all: &[Shown]) {
    let mut add = |name: &str, value: &dyn Fn(&Shown) -> f64| {
        let values = all.iter().map(value).collect();
        figures.add(format!("{name}{suffix}"), median(values));
    };
    if all.iter().any(|shown| shown.max_per_core.is_some()) {
        add("max_deliveries_per_second_per_core", &|shown| {
            shown.max_per_core.unwrap_or(0.0)
        });
    }
    add("deliveries_per_second", &|s| {
        s.stretch.deliveries_per_second
    });
    add("latency_p50_ms", &|s| s.stretch.p50_ms);
    add("latency_p99_ms", &|s| s.stretch.p99_ms);
    add("lost", &|s| s.stretch.missed.lost as f64);
    add("doubled", &|s| {
        (s.stretch.missed.doubled + s.stretch.repeated) as f64
    });
    add("gaps", &|s| s.stretch.gaps as f64);
    add("server_cpu_us_per_delivery", &|s| {
        s.stretch.server_cpu_us_per_delivery
    });
    add("kib_per_viewer", &|s| s.kib_per_viewer);
    add("joined_s", &|s| s.joined_s);
    add("refused", &|s| {
        f64::from(s.stretch.refused + s.stretch.unsent)
    });
    add("sessions_ended", &|s| s.stretch.ended as f64);
    add("server_cpu_percent", &|s| s.stretch.server_cpu_percent);
    add("client_cpu_percent", &|s| s.stretch.client_cpu_percent);
}

/// How many times better we are than they.
fn ratio(our: &Shown, their: &Shown) -> f64 {
    match (our.max_per_core, their.max_per_core) {
        (Some(our), Some(their)) => our / their.max(1.0),
        _ => {
            let our = our.stretch.server_cpu_us_per_delivery.max(1e-6);
            their.stretch.server_cpu_us_per_delivery / our
        }
    }
}

/// The middle one; of an even number the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2).copied().unwrap_or(0.0);
    if values.len() % 2 == 1 {
        return upper;
    }
    let lower = values.get((values.len() / 2).wrapping_sub(1));
    (lower.copied().unwrap_or(0.0) + upper) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(median(vec![9.0, 1.0, 3.0]), 3.0));
        assert!(close(median(vec![9.0, 1.0, 3.0, 5.0]), 4.0));
        assert!(close(median(vec![]), 0.0));
    }

    #[test]
    fn a_ratio_says_how_many_times_better_we_are() {
        let shown = |cpu, max| Shown {
            max_per_core: max,
            stretch: Stretch {
                server_cpu_us_per_delivery: cpu,
                ..Stretch::default()
            },
            ..Shown::default()
        };
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(ratio(&shown(0.5, None), &shown(2.0, None)), 4.0));
        let (our, their) = (shown(9.0, Some(10e6)), shown(1.0, Some(2e6)));
        assert!(close(ratio(&our, &their), 5.0));
    }
}
