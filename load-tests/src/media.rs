//! `media`: one publisher by WHIP and many viewers by WHEP, each a whole WebRTC client: ICE, DTLS,
//! SRTP, reports and retransmission requests are those of the `webrtc` crate, which the server does
//! not contain. Pictures are synthetic and nothing is decoded; every packet says which it is, so
//! that what arrived is counted against what was sent.

mod exchange;
mod feedback;
mod peer;
mod publisher;
mod restart;
mod synthetic;
mod tally;
mod viewer;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use vetrina_protocol::id::ShowId;

use crate::Common;
use crate::buyer::BuyerError;
use crate::market::{self, Stall};
use crate::open_files::{self, TooFew};
use crate::progress::Progress;
use crate::report::{Figures, percentile};
use crate::server::{Server, ServerError};

use publisher::{Publisher, Sent, Shape};
use synthetic::{PAYLOAD_BYTES_MIN, Track};
use viewer::{PICTURE_WITHIN, Viewer, ViewerError};

/// Options of the command.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Viewers, each with a connection of its own.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=200))]
    viewers: u32,
    /// For how long packets are counted once everybody has joined.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Use this show of the --target instead of a new one; nobody else may publish in it.
    #[arg(long, requires = "target", value_name = "ID")]
    show: Option<ShowId>,
    /// Frames a second.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=60))]
    frames_per_second: u32,
    /// Packets of a frame; a keyframe has four times as many.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=50))]
    packets_per_frame: u16,
    /// Bytes of a packet without its headers.
    #[arg(
        long,
        default_value_t = 1_150,
        value_parser = clap::value_parser!(u16).range(PAYLOAD_BYTES_MIN as i64..=1_200),
    )]
    payload_bytes: u16,
}

/// Why the command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("{0}")]
    Server(#[from] ServerError),
    #[error("{0}")]
    Show(#[from] BuyerError),
    #[error("the publisher: {0}")]
    Publisher(String),
    #[error("the publisher's stream: {0}")]
    Stream(String),
    #[error(transparent)]
    OpenFiles(#[from] TooFew),
    #[error("not done within {0} s")]
    TimedOut(u64),
}

/// Viewers that join at a time: a storm of joins is another command's matter.
const JOINING_MAX: usize = 8;
/// A viewer's UDP and TCP sockets, here and in the server that inherits our limits.
const FILES_PER_VIEWER: u64 = 4;
/// Packets of the measured time may still come this much later, retransmitted.
const LATE: Duration = Duration::from_secs(1);
/// How often it is looked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(crate) async fn run(options: Options) -> Result<Figures, Failed> {
    let seconds = options.common.timeout_s;
    tokio::time::timeout(Duration::from_secs(seconds), media(&options))
        .await
        .unwrap_or(Err(Failed::TimedOut(seconds)))
}

async fn media(options: &Options) -> Result<Figures, Failed> {
    open_files::raise(options.viewers as usize, FILES_PER_VIEWER)?;
    let server = match Server::target(&options.common).await? {
        Some(server) => server,
        None => Server::own(&[]).await?,
    };
    let server = Arc::new(server);
    let show = match options.show {
        Some(show) => show,
        None => market::open(&server, &NOTHING_ON_SALE).await?.0,
    };
    let http = reqwest::Client::builder().no_proxy().build();
    let http = http.map_err(BuyerError::from)?;
    let shape = Shape {
        frames_per_second: options.frames_per_second,
        packets_per_frame: options.packets_per_frame,
        payload_bytes: options.payload_bytes.into(),
    };
    let endpoint = format!("{}/v1/shows/{show}/whip", server.base);
    let publisher = Publisher::start(&server, &http, &endpoint, shape).await?;
    let (mut viewers, absent) = join_all(&server, show, options.viewers).await;
    let mut outcome = Outcome::new(&absent, &viewers);
    outcome
        .measure(&publisher, &mut viewers, options.seconds)
        .await;
    outcome.feedback(&publisher);
    outcome.leave_all(viewers).await;
    publisher.stop().await?;
    Ok(outcome.figures(options))
}

/// Only the video matters.
const NOTHING_ON_SALE: Stall = Stall {
    listings: 0,
    units: 0,
    inventory: 0,
    per_buyer: 1,
    reservation_ttl_s: 120,
    order_deadline_s: 600,
};

/// Those who joined, and why the others did not.
async fn join_all(
    server: &Arc<Server>,
    show: ShowId,
    viewers: u32,
) -> (Vec<Viewer>, Vec<ViewerError>) {
    let progress = Arc::new(Progress::new("joining", viewers as usize));
    let joining = Arc::new(Semaphore::new(JOINING_MAX));
    let mut tasks = JoinSet::new();
    for n in 0..viewers as usize {
        let (server, joining, progress) = (server.clone(), joining.clone(), progress.clone());
        tasks.spawn(async move {
            let _turn = joining.acquire().await;
            let joined = Viewer::join(&server, show, n).await;
            progress.step();
            joined
        });
    }
    let (mut joined, mut absent) = (Vec::new(), Vec::new());
    for outcome in tasks.join_all().await {
        match outcome {
            Ok(viewer) => joined.push(viewer),
            Err(error) => absent.push(error),
        }
    }
    progress.end();
    (joined, absent)
}

/// What the figures are made of.
#[derive(Debug, Default)]
struct Outcome {
    connected: usize,
    with_picture: usize,
    /// One for each viewer.
    connected_ms: Vec<f64>,
    picture_ms: Vec<f64>,
    /// Packets sent while it was counted, and how long that was.
    expected: u64,
    counted_s: f64,
    received: u64,
    counts: tally::Counts,
    restart_ms: Option<f64>,
    undeleted: u32,
    keyframes_per_second: f64,
    requests_per_second: f64,
    transport_reports_per_second: f64,
}

/// The numbers of both tracks that were sent in a stretch of time.
struct Window {
    video: Range<u64>,
    audio: Range<u64>,
}

impl Outcome {
    /// Tells a person what went wrong at first; a program sees it in the figures.
    fn new(absent: &[ViewerError], viewers: &[Viewer]) -> Self {
        if let Some(error) = absent.first() {
            warn(&format!("{} viewers did not join: {error}", absent.len()));
        }
        let ms = |after: Duration| after.as_secs_f64() * 1e3;
        let connected = viewers.iter().map(|viewer| Some(viewer.connected_after));
        let pictures = viewers.iter().map(|viewer| viewer.picture_after);
        let missing = || absent.iter().map(|_| None);
        // Who has nothing to show counts with the longest time there is to wait.
        let sorted = |after: &mut dyn Iterator<Item = Option<Duration>>| {
            let mut sorted: Vec<f64> = after.map(|a| ms(a.unwrap_or(PICTURE_WITHIN))).collect();
            sorted.sort_by(f64::total_cmp);
            sorted
        };
        Self {
            connected: viewers.len(),
            with_picture: pictures.clone().flatten().count(),
            connected_ms: sorted(&mut connected.chain(missing())),
            picture_ms: sorted(&mut pictures.chain(missing())),
            ..Self::default()
        }
    }

    /// Counts what comes for `seconds`; halfway one viewer restarts ICE.
    async fn measure(&mut self, publisher: &Publisher, viewers: &mut [Viewer], seconds: u64) {
        let half = Duration::from_secs(seconds) / 2;
        let (begin, since) = (position(&publisher.sent), Instant::now());
        tokio::time::sleep(half).await;
        if let Some(viewer) = viewers.first_mut() {
            match viewer.restart().await {
                Ok(after) => self.restart_ms = Some(after.as_secs_f64() * 1e3),
                Err(error) => warn(&format!("the ICE restart of one viewer: {error}")),
            }
        }
        tokio::time::sleep((half * 2).saturating_sub(since.elapsed())).await;
        let end = position(&publisher.sent);
        self.counted_s = since.elapsed().as_secs_f64();
        let window = Window {
            video: begin.0..end.0,
            audio: begin.1..end.1,
        };
        let sent = window.video.end - window.video.start + window.audio.end - window.audio.start;
        self.expected = sent;
        let deadline = Instant::now() + LATE;
        loop {
            self.received = viewers.iter().map(|viewer| window.received(viewer)).sum();
            if self.received == sent * viewers.len() as u64 || Instant::now() >= deadline {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        for viewer in viewers {
            let counts = viewer.tally().counts;
            self.counts.duplicated += counts.duplicated;
            self.counts.reordered += counts.reordered;
            self.counts.renumbered += counts.renumbered;
            self.counts.damaged += counts.damaged;
        }
    }

    /// What the server reported to the publisher, per second of the whole stream.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn feedback(&mut self, publisher: &Publisher) {
        let seconds = publisher.since.elapsed().as_secs_f64();
        let keyframes = publisher.sent.keyframes.load(Ordering::Relaxed);
        self.keyframes_per_second = keyframes as f64 / seconds;
        self.requests_per_second = publisher.feedback.keyframe_requests() as f64 / seconds;
        self.transport_reports_per_second = publisher.feedback.transport_reports() as f64 / seconds;
    }

    async fn leave_all(&mut self, viewers: Vec<Viewer>) {
        let mut leaving = JoinSet::new();
        for viewer in viewers {
            leaving.spawn(viewer.leave());
        }
        for outcome in leaving.join_all().await {
            if let Err(error) = outcome {
                if self.undeleted == 0 {
                    warn(&format!("a viewer could not leave: {error}"));
                }
                self.undeleted += 1;
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn figures(&self, options: &Options) -> Figures {
        let expected = self.expected * u64::from(options.viewers);
        let delivered = self.received as f64 * 100.0 / expected.max(1) as f64;
        let mut figures = Figures::default();
        figures.add("viewers", options.viewers.into());
        figures.add("connected", self.connected as f64);
        figures.add("with_picture", self.with_picture as f64);
        figures.add("connected_p95_ms", percentile(&self.connected_ms, 95));
        figures.add("first_frame_p50_ms", percentile(&self.picture_ms, 50));
        figures.add("first_frame_p95_ms", percentile(&self.picture_ms, 95));
        figures.add("delivered_percent", delivered);
        figures.add("lost", expected.saturating_sub(self.received) as f64);
        figures.add("duplicated", self.counts.duplicated as f64);
        figures.add("reordered", self.counts.reordered as f64);
        figures.add("renumbered", self.counts.renumbered as f64);
        figures.add("damaged", self.counts.damaged as f64);
        let rate = self.received as f64 / self.counted_s.max(f64::EPSILON);
        figures.add("packets_per_second", rate);
        figures.add("keyframes_per_second", self.keyframes_per_second);
        figures.add("keyframe_requests_per_second", self.requests_per_second);
        figures.add(
            "transport_reports_per_second",
            self.transport_reports_per_second,
        );
        figures.add(
            "ice_restarts",
            f64::from(u8::from(self.restart_ms.is_some())),
        );
        figures.add("ice_restart_ms", self.restart_ms.unwrap_or(0.0));
        figures.add("undeleted", self.undeleted.into());
        figures
    }
}

impl Window {
    fn received(&self, viewer: &Viewer) -> u64 {
        let tally = viewer.tally();
        tally.among(Track::Video, &self.video) + tally.among(Track::Audio, &self.audio)
    }
}

/// How many packets of each track were sent so far.
fn position(sent: &Sent) -> (u64, u64) {
    (
        sent.video.load(Ordering::Acquire),
        sent.audio.load(Ordering::Acquire),
    )
}

#[expect(clippy::print_stderr, reason = "a command-line tool")]
fn warn(text: &str) {
    eprintln!("{text}");
}
