//! `slow`: some viewers stop reading in the middle of a busy show. The others must not notice, the
//! server's and the kernel's memory must stay bounded, and the stuck ones are closed and resume.

use std::io;
use std::time::Duration;

use clap::Args;

use crate::Common;
use crate::channel::crowd::{Clock, Deaf};
use crate::channel::room::{Place, Room, on_stage};
use crate::channel::stage::{Setting, Stage, Stretch};
use crate::channel::{BESIDES_S, Failed, at_least, in_time};
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
    /// Of the viewers, how many stop reading.
    #[arg(long, default_value_t = 1_000)]
    stuck: usize,
    /// Comments per second.
    #[arg(long, default_value_t = 100.0, value_name = "PER_SECOND")]
    rate: f64,
    /// How long all read, and then how long some do not.
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
}

/// The stuck ones must be back so long after they read again.
const BACK_WITHIN_US: u64 = 60_000_000;
const TURN: Duration = Duration::from_millis(10);

pub(crate) async fn run(options: Options) -> Result<Figures, Failed> {
    if options.stuck >= options.place.viewers {
        let why = "--stuck must be less than --viewers: the others are measured";
        return Err(Failed::Asked(why.into()));
    }
    open_files::raise(options.place.viewers, 1)?;
    let least_s = options.seconds * 2.0 + BESIDES_S;
    in_time(at_least(options.common.timeout_s, least_s), slow(&options)).await
}

async fn slow(options: &Options) -> Result<Figures, Failed> {
    let place = &options.place;
    let room = Room::open(&options.common, place, &[]).await?;
    let mut door = room.door(place).await?;
    door.small_buffers = 0..options.stuck;
    let setting = Setting {
        viewers: place.viewers,
        door,
        clock: Clock::start(),
        processes: room.processes.clone(),
        voice: None,
        commenters: options.stuck..place.viewers,
        text_bytes: place.text_bytes,
    };
    let (stuck, rate, length_s) = (options.stuck, options.rate, options.seconds);
    let seen = on_stage(place, move || {
        let mut stage = Stage::gather(setting)?;
        let others = stuck..stage.crowd.size();
        let all_read = stage.stretch_of(rate, length_s, others.clone())?;
        let calm_kib = stage.peak_kib;
        stage.crowd.set_stuck(0..stuck, true);
        let some_stuck = stage.stretch_of(rate, length_s, others)?;
        let back = come_back(&mut stage, stuck)?;
        Ok(Seen {
            all_read,
            some_stuck,
            calm_kib,
            peak_kib: stage.peak_kib,
            back,
        })
    })
    .await?;
    Ok(figures(&seen))
}

struct Seen {
    all_read: Stretch,
    some_stuck: Stretch,
    calm_kib: f64,
    peak_kib: f64,
    back: Back,
}

/// What became of the stuck ones.
struct Back {
    /// Sessions that the server had ended.
    closed: u64,
    resumed: u64,
    ready: usize,
    gaps: u64,
}

/// The stuck ones read again: what is left in their sockets, and then that they were closed.
fn come_back(stage: &mut Stage, stuck: usize) -> io::Result<Back> {
    let crowd = &mut stage.crowd;
    let before = crowd.counts.clone();
    crowd.set_stuck(0..stuck, false);
    crowd.read_now(0..stuck, &mut Deaf);
    let begin_us = crowd.clock.now_us();
    let progress = Progress::new("back", stuck);
    let ended = |counts: &crate::channel::crowd::Counts| counts.ended.values().sum::<u64>();
    loop {
        crowd.turn(TURN, &mut Deaf)?;
        // Whoever has not caught up may have been closed and not have read so far yet.
        let end = (stuck..crowd.size())
            .filter_map(|at| crowd.position(at))
            .max();
        let is_back = |at: &usize| crowd.is_ready(*at) && crowd.position(*at) >= end;
        let ready = (0..stuck).filter(is_back).count();
        progress.reach(ready);
        let waited_us = crowd.clock.now_us() - begin_us;
        if ready == stuck || waited_us > BACK_WITHIN_US {
            progress.end();
            return Ok(Back {
                closed: ended(&crowd.counts) - ended(&before),
                resumed: crowd.counts.resumed - before.resumed,
                ready,
                gaps: crowd.counts.gaps + crowd.counts.repeated,
            });
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn figures(seen: &Seen) -> Figures {
    let growth = seen.some_stuck.p99_ms / seen.all_read.p99_ms.max(1e-3) - 1.0;
    let mut figures = Figures::default();
    figures.add("others_p99_growth_percent", growth * 100.0);
    figures.add("others_p99_before_ms", seen.all_read.p99_ms);
    figures.add("others_p99_during_ms", seen.some_stuck.p99_ms);
    figures.add("kernel_and_server_mib", seen.peak_kib / 1024.0);
    figures.add("kernel_and_server_before_mib", seen.calm_kib / 1024.0);
    figures.add("lost", seen.some_stuck.missed.lost as f64);
    figures.add("gaps", seen.back.gaps as f64);
    figures.add("stuck_closed", seen.back.closed as f64);
    figures.add("stuck_back", seen.back.ready as f64);
    figures.add("stuck_resumed", seen.back.resumed as f64);
    figures.add("refused", f64::from(seen.some_stuck.refused));
    figures
}
