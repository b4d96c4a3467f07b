//! `herd`: the server is killed under its viewers and started again; all of them come back, each
//! when it likes within its back-off, and continue where they were.

#![expect(clippy::print_stderr, reason = "a command-line tool")]

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use tokio::sync::oneshot;
use vetrina_protocol::server::Welcome;

use crate::Common;
use crate::channel::crowd::{Clock, Ear};
use crate::channel::room::{Place, Room, on_stage};
use crate::channel::stage::{Setting, Stage, Stretch, not_joined, seconds};
use crate::channel::{BESIDES_S, Failed, at_least, in_time};
use crate::open_files;
use crate::progress::Progress;
use crate::report::Figures;
use crate::server::ServerError;

/// Options of the command.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    place: Place,
    /// Comments per second, until the server dies and after all are back.
    #[arg(long, default_value_t = 5.0, value_name = "PER_SECOND")]
    rate: f64,
}

/// All must be back so long after the kill.
const BACK_WITHIN_US: u64 = 90_000_000;
/// The show goes on for so long before the kill, and afterwards.
const SHOW_S: f64 = 4.0;
const TURN: Duration = Duration::from_millis(10);

pub(crate) async fn run(options: Options) -> Result<Figures, Failed> {
    if options.common.target.is_some() {
        return Err(ServerError::NotOurs.into());
    }
    open_files::raise(options.place.viewers, 1)?;
    let timeout_s = at_least(options.common.timeout_s, SHOW_S + BESIDES_S);
    in_time(timeout_s, herd(&options)).await
}

async fn herd(options: &Options) -> Result<Figures, Failed> {
    let place = &options.place;
    let mut room = Room::open(&options.common, place, &[]).await?;
    let clock = Clock::start();
    let setting = Setting {
        viewers: place.viewers,
        door: room.door(place).await?,
        clock,
        // The server that comes back is another process.
        processes: Vec::new(),
        voice: None,
        commenters: 0..place.viewers,
        text_bytes: place.text_bytes,
    };
    let (gathered, all_in) = oneshot::channel();
    // 0: not killed yet.
    let killed_us = Arc::new(AtomicU64::new(0));
    let (rate, killed) = (options.rate, killed_us.clone());
    let crowd = on_stage(place, move || {
        let stage = Stage::gather(setting)?;
        // The other side gave up when nobody hears this; then all ends anyway.
        let _ = gathered.send(());
        come_back(stage, rate, &killed)
    });
    let server = async {
        // When nobody could join there is nothing to kill.
        if all_in.await.is_err() {
            return Ok(0.0);
        }
        // At any moment: a comment may be on its way and not archived yet.
        let show_s = SHOW_S + rand::random_range(0.0..1.0);
        tokio::time::sleep(Duration::from_secs_f64(show_s)).await;
        killed_us.store(clock.now_us().max(1), Ordering::Release);
        let dead_us = clock.now_us();
        room.server.kill()?;
        room.server.restart().await?;
        Ok::<f64, Failed>(seconds(clock.now_us() - dead_us))
    };
    let (herd, restarted_s) = tokio::join!(crowd, server);
    let mut figures = figures(&herd?, place.viewers);
    figures.add("server_back_s", restarted_s?);
    Ok(figures)
}

struct Herd {
    all_back_s: f64,
    half_back_s: f64,
    resumed: u64,
    gaps: u64,
    failures: u64,
    after: Stretch,
}

/// Counts who had to take the whole state, and why.
#[derive(Default)]
struct Comers {
    reset: BTreeMap<String, u64>,
}

impl Ear for Comers {
    fn welcomed(&mut self, _client: usize, _now_us: u64, welcome: &Welcome) {
        if let Some(reason) = welcome.reset {
            *self.reset.entry(format!("{reason:?}")).or_default() += 1;
        }
    }
}

fn come_back(mut stage: Stage, rate: f64, killed: &AtomicU64) -> io::Result<Herd> {
    let viewers = stage.crowd.size();
    let before = stage.crowd.counts.clone();
    // More than can be said before the kill: the show is busy when it dies.
    let mut speaker = Some(stage.begin(10_000, rate)?);
    let progress = Progress::new("back", viewers);
    let (mut half_us, mut since_us) = (0, 0);
    let mut comers = Comers::default();
    let wanted = before.welcomed + viewers as u64;
    while stage.crowd.counts.welcomed < wanted || stage.crowd.counts.ready < viewers {
        stage.crowd.turn(TURN, &mut comers)?;
        let now_us = stage.crowd.clock.now_us();
        since_us = killed.load(Ordering::Acquire);
        if since_us == 0 {
            continue;
        }
        if let Some(speaker) = speaker.take() {
            stage.hush(speaker)?;
            // The sockets of before would be kept open beside the new ones.
            stage.fall_silent();
        }
        let back = stage.crowd.counts.welcomed - before.welcomed;
        progress.reach(usize::try_from(back).unwrap_or(viewers).min(viewers));
        if half_us == 0 && back * 2 >= viewers as u64 {
            half_us = now_us;
        }
        if now_us - since_us > BACK_WITHIN_US {
            return Err(not_joined(&stage.crowd));
        }
    }
    progress.end();
    stage.crowd.counts.say_failures();
    for (reason, times) in &comers.reset {
        eprintln!("{times} viewers could not resume and got a snapshot: {reason}");
    }
    let back_us = stage.crowd.clock.now_us();
    stage.speak_anew(0..viewers);
    let after = stage.stretch(rate, SHOW_S)?;
    let counts = &stage.crowd.counts;
    Ok(Herd {
        all_back_s: seconds(back_us - since_us),
        half_back_s: seconds(half_us.saturating_sub(since_us)),
        resumed: counts.resumed - before.resumed,
        gaps: counts.gaps + counts.repeated,
        failures: counts.failures.values().sum(),
        after,
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn figures(herd: &Herd, viewers: usize) -> Figures {
    let mut figures = Figures::default();
    figures.add("all_back_s", herd.all_back_s);
    figures.add("half_back_s", herd.half_back_s);
    figures.add(
        "resumed_percent",
        herd.resumed as f64 * 100.0 / viewers as f64,
    );
    figures.add("gaps", herd.gaps as f64);
    figures.add("lost_afterwards", herd.after.missed.lost as f64);
    figures.add("failed_tries", herd.failures as f64);
    figures
}
