//! The feed of the ops page: one sample a second, the last fifteen minutes of them in memory, and
//! the four answers ops ask for first. It refuses to know who reads.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::broadcast;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use vetrina_media::{Media, MediaStats};
use vetrina_protocol::ops::{OpsAnswer, OpsFigures, OpsQuestion, OpsSample, OpsShow};
use vetrina_protocol::view::ShowState;

use super::metrics::{Metrics, Part, Totals};
use super::process::{ProcessFigures, ProcessReader};
use crate::clock::Clock;
use vetrina_store::hot::ServerState;
use vetrina_store::ledger::PageRequest;
use vetrina_store::{HotStore, Ledger};

/// Fifteen minutes.
const HISTORY_SAMPLES: usize = 900;
/// Samples a reader may be behind before it misses some.
const BEHIND_SAMPLES: usize = 30;
/// Shows in a sample: more than a person can look at.
const SHOWS_MAX: u32 = 100;
/// Failures are complained about for this long.
const MEMORY_SAMPLES: usize = 60;
/// Above this share of what may be, there is no room.
const ROOM_SHARE: f64 = 0.8;

/// What samples are made of.
pub struct Sources {
    /// Name of the node.
    pub node: String,
    /// Counters.
    pub metrics: Metrics,
    /// Video.
    pub media: Media,
    /// Which shows there are.
    pub ledger: Arc<dyn Ledger>,
    /// What happens in them.
    pub hot: Arc<dyn HotStore>,
    /// Time of samples.
    pub clock: Clock,
    /// Somebody takes money.
    pub takes_payments: bool,
    /// Channel sessions this node may have.
    pub sessions_max: usize,
}

/// Clones share it.
#[derive(Clone)]
pub struct Feed {
    inner: Arc<Inner>,
}

struct Inner {
    sources: Sources,
    started: Instant,
    /// A lock, because readers come while samples are made; held to push or copy pointers.
    history: Mutex<VecDeque<Arc<str>>>,
    news: broadcast::Sender<Arc<str>>,
}

/// What the sampler remembers from one second to the next.
struct Memory {
    at: Instant,
    totals: Totals,
    media: MediaStats,
    process: ProcessReader,
    failures: VecDeque<[u64; 2]>,
}

impl Feed {
    /// Empty.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        Self {
            inner: Arc::new(Inner {
                sources,
                started: Instant::now(),
                history: Mutex::default(),
                news: broadcast::Sender::new(BEHIND_SAMPLES),
            }),
        }
    }

    /// Takes a sample each second until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        let sources = &self.inner.sources;
        let mut memory = Memory {
            at: Instant::now(),
            totals: sources.metrics.totals(),
            media: sources.media.stats(),
            process: ProcessReader::new(),
            failures: VecDeque::new(),
        };
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        second.tick().await;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = second.tick() => {}
            }
            let sample = self.sample(&mut memory).await;
            match serde_json::to_string(&sample) {
                Ok(json) => self.tell(json.into()),
                Err(error) => tracing::error!(%error, "a sample could not be written"),
            }
        }
    }

    /// The history, then what comes. A reader that is too slow misses samples.
    pub fn follow(&self) -> impl Stream<Item = Arc<str>> + use<> {
        let (history, news) = {
            let history = self.history();
            (
                history.iter().cloned().collect::<Vec<_>>(),
                self.inner.news.subscribe(),
            )
        };
        let news = stream::unfold(news, |mut news| async move {
            loop {
                match news.recv().await {
                    Ok(sample) => return Some((sample, news)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        });
        stream::iter(history).chain(news)
    }

    /// Brings the gauges that others own up to date, before they are read.
    pub fn refresh_gauges(&self) {
        let sources = &self.inner.sources;
        sources.metrics.media(&sources.media.stats());
        sources.metrics.hot_servers(&sources.hot.servers());
        let figures = ProcessReader::new().read();
        let uptime_s = self.inner.started.elapsed().as_secs();
        sources
            .metrics
            .process(figures.memory_bytes, figures.open_files, uptime_s);
    }

    fn tell(&self, sample: Arc<str>) {
        let mut history = self.history();
        if history.len() >= HISTORY_SAMPLES {
            history.pop_front();
        }
        history.push_back(sample.clone());
        // Nobody may be reading.
        let _ = self.inner.news.send(sample);
    }

    fn history(&self) -> MutexGuard<'_, VecDeque<Arc<str>>> {
        // Whole after every statement, so a poisoned lock is usable.
        self.inner
            .history
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn sample(&self, memory: &mut Memory) -> OpsSample {
        let sources = &self.inner.sources;
        let (shows, silent) = self.shows().await;
        // A silent ledger has been noticed by the line above.
        if let Ok(figures) = sources.ledger.figures().await {
            sources.metrics.ledger(&figures);
        }
        let now = Instant::now();
        let seconds = now.duration_since(memory.at).as_secs_f64().max(0.001);
        let totals = sources.metrics.totals();
        let media = sources.media.stats();
        let process = memory.process.read();
        let figures = figures(
            seconds,
            (&memory.totals, &totals),
            (&memory.media, &media),
            process,
        );
        let failures = [Part::Payment, Part::Store].map(|part| sources.metrics.errors(part));
        memory.failures.push_back(failures);
        if memory.failures.len() > MEMORY_SAMPLES {
            memory.failures.pop_front();
        }
        let before = memory.failures.front().copied().unwrap_or(failures);
        let lately = [failures[0] - before[0], failures[1] - before[1]];
        (memory.at, memory.totals, memory.media) = (now, totals, media);
        OpsSample {
            at_ms: sources.clock.now(),
            node: sources.node.clone(),
            uptime_s: self.inner.started.elapsed().as_secs(),
            answers: self.answers(&shows, silent, lately, &figures),
            figures,
            shows,
        }
    }

    /// Shows that are not over, and whether the stores were silent about them.
    async fn shows(&self) -> (Vec<OpsShow>, bool) {
        let sources = &self.inner.sources;
        let page = PageRequest {
            cursor: None,
            limit: SHOWS_MAX,
        };
        let Ok(page) = sources.ledger.shows(None, page).await else {
            return (Vec::new(), true);
        };
        let mut shows = Vec::new();
        let mut silent = false;
        let open = page
            .items
            .into_iter()
            .filter(|show| crate::http::shows::is_on_or_announced(show.state));
        for show in open {
            let mut line = OpsShow {
                id: show.id,
                title: show.title,
                state: show.state,
                viewers: 0,
                subscribers: 0,
                reserved: 0,
                paid: 0,
            };
            if show.state != ShowState::Scheduled {
                match sources.hot.fold(show.id).await {
                    Ok((_, fold)) => {
                        line.reserved = fold.listings().map(|listing| listing.stock.reserved).sum();
                        line.paid = fold.listings().map(|listing| listing.stock.paid).sum();
                    }
                    Err(_) => silent = true,
                }
                line.viewers = sources.hot.viewers(show.id).await.unwrap_or(0);
                let broadcast = vetrina_media::BroadcastId(show.id.0);
                let stats = sources.media.broadcast_stats(broadcast);
                line.subscribers = stats.map_or(0, |stats| stats.subscribers);
            }
            shows.push(line);
        }
        (shows, silent)
    }

    fn answers(
        &self,
        shows: &[OpsShow],
        silent: bool,
        [payment_failures, store_failures]: [u64; 2],
        figures: &OpsFigures,
    ) -> Vec<OpsAnswer> {
        let interrupted = shows
            .iter()
            .filter(|show| show.state == ShowState::Interrupted)
            .count();
        let video = (interrupted > 0)
            .then(|| format!("running shows without video from their host: {interrupted}"));
        let buying = if let Some(away) = away(&self.inner.sources.hot.servers()) {
            Some(away)
        } else if silent || store_failures > 0 {
            Some(format!(
                "the stores failed {store_failures} times in the last minute"
            ))
        } else {
            None
        };
        let money = if !self.inner.sources.takes_payments {
            Some("no payment provider is configured: nobody can check out".to_owned())
        } else if payment_failures > 0 {
            Some(format!(
                "{payment_failures} calls to the payment provider failed in the last minute"
            ))
        } else {
            None
        };
        let most = self.inner.sources.sessions_max;
        let room = (f64::from(figures.viewers) > most as f64 * ROOM_SHARE)
            .then(|| format!("{} of {most} sessions are taken", figures.viewers));
        [
            (OpsQuestion::Video, video),
            (OpsQuestion::Buying, buying),
            (OpsQuestion::Money, money),
            (OpsQuestion::Room, room),
        ]
        .map(|(question, reason)| OpsAnswer {
            question,
            good: reason.is_none(),
            reason,
        })
        .into()
    }
}

/// What is said while servers of the hot store are not there.
fn away(servers: &[ServerState]) -> Option<String> {
    let down: Vec<Duration> = servers.iter().filter_map(|it| it.down_for).collect();
    let longest = down.iter().max()?;
    Some(format!(
        "Redis does not answer: {} of {} for {} s; nobody can reserve in its shows",
        down.len(),
        servers.len(),
        longest.as_secs()
    ))
}

fn figures(
    seconds: f64,
    (before, now): (&Totals, &Totals),
    (media_before, media): (&MediaStats, &MediaStats),
    process: ProcessFigures,
) -> OpsFigures {
    let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 / seconds;
    let received = media.packets_in.saturating_sub(media_before.packets_in);
    let lost = media.lost_in.saturating_sub(media_before.lost_in);
    OpsFigures {
        viewers: u32::try_from(now.channel_sessions).unwrap_or(0),
        subscribers: media.subscribers,
        publishers: media.publishers,
        joins_per_second: rate(before.channel_joins, now.channel_joins),
        deliveries_per_second: rate(before.channel_deliveries, now.channel_deliveries),
        reservations_per_second: rate(before.reservations_granted, now.reservations_granted),
        orders_per_second: rate(before.orders_made, now.orders_made),
        paid_per_second: rate(before.orders_paid, now.orders_paid),
        media_packets_in_per_second: rate(media_before.packets_in, media.packets_in),
        media_packets_out_per_second: rate(media_before.packets_out, media.packets_out),
        media_loss_percent: if received == 0 {
            0.0
        } else {
            100.0 * lost as f64 / (received + lost) as f64
        },
        queue_depth_max: u32::try_from(now.session_queue_depth_max).unwrap_or(0),
        errors_per_second: rate(before.errors, now.errors),
        memory_bytes: process.memory_bytes,
        cpu_percent: process.cpu_percent,
        open_files: process.open_files,
    }
}
