//! Every metric, once. Others call the methods and never see the library. Labels are words of this
//! file or of closed enums: no ids, no names, no addresses.

mod hot;
mod ledger;
mod maker;
mod media;

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Encoder as _, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry,
    TextEncoder,
};

use hot::RedisMetrics;
use ledger::LedgerMetrics;
use maker::Maker;
use media::MediaMetrics;

/// All metrics of this process. Clones count into the same.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// How asking for a reservation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationOutcome {
    /// Units are aside.
    Granted,
    /// Not granted, with a reason.
    Refused,
}

/// Which part failed: status 5xx, an internal refusal, or background work that gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// REST, WHIP, WHEP.
    Http,
    /// WebSocket sessions and rooms.
    Channel,
    /// Commands.
    Shop,
    /// Hot store and ledger.
    Store,
    /// Provider, webhooks, outbox.
    Payment,
    /// WebRTC.
    Media,
}

impl Part {
    const ALL: [Self; 6] = [
        Self::Http,
        Self::Channel,
        Self::Shop,
        Self::Store,
        Self::Payment,
        Self::Media,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Channel => "channel",
            Self::Shop => "shop",
            Self::Store => "store",
            Self::Payment => "payment",
            Self::Media => "media",
        }
    }
}

/// Sums and levels at one moment; the ops feed makes rates of two of them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Totals {
    /// Open sessions.
    pub channel_sessions: i64,
    /// Sessions welcomed.
    pub channel_joins: u64,
    /// Messages written to sessions.
    pub channel_deliveries: u64,
    /// Deepest private queue since the last reading.
    pub session_queue_depth_max: i64,
    /// Reservations granted.
    pub reservations_granted: u64,
    /// Orders made.
    pub orders_made: u64,
    /// Orders paid.
    pub orders_paid: u64,
    /// Failures of all parts.
    pub errors: u64,
}

struct Inner {
    registry: Registry,
    channel_sessions: IntGauge,
    channel_joins: IntCounter,
    channel_deliveries: IntCounter,
    channel_delivered_bytes: IntCounter,
    channel_closes: IntCounterVec,
    channel_tick: Histogram,
    channel_batch: Histogram,
    session_queue_depth_max: IntGauge,
    commands: IntCounterVec,
    reservations: IntCounterVec,
    orders: IntCounterVec,
    webhooks: IntCounterVec,
    ledger: LedgerMetrics,
    errors: IntCounterVec,
    requests: HistogramVec,
    media: MediaMetrics,
    redis: RedisMetrics,
    process: ProcessMetrics,
}

struct ProcessMetrics {
    memory: IntGauge,
    open_files: IntGauge,
    uptime: IntGauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Fresh ones, all zero.
    #[must_use]
    pub fn new() -> Self {
        let make = Maker(Registry::new());
        let inner = Inner {
            channel_sessions: make.gauge("channel_sessions", "Open sessions of the channel."),
            channel_joins: make.counter("channel_joins_total", "Sessions welcomed."),
            channel_deliveries: make
                .counter("channel_deliveries_total", "Messages written to sessions."),
            channel_delivered_bytes: make.counter(
                "channel_delivered_bytes_total",
                "Bytes written to sessions.",
            ),
            channel_closes: make.counters(
                "channel_closes_total",
                "Sessions that ended, by close code.",
                "code",
            ),
            channel_tick: make.histogram(
                "channel_tick_seconds",
                "Time that a room waits after a batch before the next: it grows with its sessions.",
                vec![0.02, 0.03, 0.04, 0.05, 0.075, 0.1],
            ),
            channel_batch: make.histogram(
                "channel_batch_events",
                "Events of the log in one batch of a room, encoded once for all its sessions.",
                vec![1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0],
            ),
            session_queue_depth_max: make.gauge(
                "session_queue_depth_max",
                "Deepest private queue of a session since the last sample, messages.",
            ),
            commands: make.counters(
                "commands_total",
                "Commands of the channel, by result: ok or the refusal's code.",
                "result",
            ),
            reservations: make.counters(
                "reservations_total",
                "Answers to asking for a reservation.",
                "outcome",
            ),
            orders: make.counters("orders_total", "Orders that reached a state.", "state"),
            webhooks: make.counters("webhooks_total", "Webhooks received, by result.", "result"),
            errors: make.counters(
                "errors_total",
                "Failures: status 5xx, internal refusals, failed background work.",
                "part",
            ),
            requests: make.requests(),
            ledger: LedgerMetrics::new(&make),
            media: MediaMetrics::new(&make),
            redis: RedisMetrics::new(&make),
            process: ProcessMetrics {
                memory: make.gauge("process_resident_memory_bytes", "Resident memory."),
                open_files: make.gauge("process_open_files", "Open file descriptors."),
                uptime: make.gauge("process_uptime_seconds", "Since this process started."),
            },
            registry: make.0,
        };
        let metrics = Self {
            inner: Arc::new(inner),
        };
        metrics.show_zeros();
        metrics
    }

    /// A series that appears with its first failure hides that failure from `rate`.
    fn show_zeros(&self) {
        for part in Part::ALL {
            self.inner.errors.with_label_values(&[part.label()]);
        }
        for outcome in ["granted", "refused"] {
            self.inner.reservations.with_label_values(&[outcome]);
        }
        for state in ["pending", "paid"] {
            self.inner.orders.with_label_values(&[state]);
        }
    }

    /// A session was welcomed. Pair it with [`Self::session_ended`].
    pub fn session_joined(&self) {
        self.inner.channel_sessions.inc();
        self.inner.channel_joins.inc();
    }

    /// A welcomed session ended.
    pub fn session_ended(&self, close_code: u16) {
        self.inner.channel_sessions.dec();
        let code = match close_code {
            1000..=1011 | 4001..=4010 => close_code.to_string(),
            _ => "other".to_owned(),
        };
        self.inner.channel_closes.with_label_values(&[&code]).inc();
    }

    /// Messages were written to one session in one go.
    pub fn delivered(&self, messages: u64, bytes: u64) {
        self.inner.channel_deliveries.inc_by(messages);
        self.inner.channel_delivered_bytes.inc_by(bytes);
    }

    /// A room turned so many events into a batch, and waits so long before the next one.
    pub fn room_ticked(&self, events: usize, tick: Duration) {
        self.inner.channel_batch.observe(events as f64);
        self.inner.channel_tick.observe(tick.as_secs_f64());
    }

    /// A private queue of a session was this deep.
    pub fn session_queue_depth(&self, depth: usize) {
        let depth = i64::try_from(depth).unwrap_or(i64::MAX);
        if depth > self.inner.session_queue_depth_max.get() {
            self.inner.session_queue_depth_max.set(depth);
        }
    }

    /// A command was answered: `ok`, or the refusal's code.
    pub fn command(&self, result: Result<(), vetrina_protocol::refusal::RefusalCode>) {
        let label = result.err().map_or("ok", |code| code.as_str());
        self.inner.commands.with_label_values(&[label]).inc();
    }

    /// Asking for a reservation was answered.
    pub fn reservation(&self, outcome: ReservationOutcome) {
        let label = match outcome {
            ReservationOutcome::Granted => "granted",
            ReservationOutcome::Refused => "refused",
        };
        self.inner.reservations.with_label_values(&[label]).inc();
    }

    /// An order reached this state.
    pub fn order(&self, state: vetrina_protocol::view::OrderState) {
        use vetrina_protocol::view::OrderState as S;
        let label = match state {
            S::Pending => "pending",
            S::Declined => "declined",
            S::Paid => "paid",
            S::Expired => "expired",
            S::Canceled => "canceled",
            S::Refunding => "refunding",
            S::Refunded => "refunded",
        };
        self.inner.orders.with_label_values(&[label]).inc();
    }

    /// A webhook came: taken, or refused because it was not signed, stale or malformed.
    pub fn webhook(&self, taken: bool) {
        let label = if taken { "taken" } else { "refused" };
        self.inner.webhooks.with_label_values(&[label]).inc();
    }

    /// A part failed.
    pub fn error(&self, part: Part) {
        self.inner.errors.with_label_values(&[part.label()]).inc();
    }

    /// How often a part failed so far.
    #[must_use]
    pub fn errors(&self, part: Part) -> u64 {
        self.inner.errors.with_label_values(&[part.label()]).get()
    }

    /// A request was answered. `route` is the template of the route, never the path.
    pub fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let class = match status / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        let method = match method {
            "GET" | "HEAD" | "POST" | "PATCH" | "DELETE" | "OPTIONS" | "PUT" => method,
            _ => "other",
        };
        self.inner
            .requests
            .with_label_values(&[method, route, class])
            .observe(took.as_secs_f64());
    }

    /// Takes over the media engine's own figures.
    pub fn media(&self, stats: &vetrina_media::MediaStats) {
        self.inner.media.take(stats);
    }

    /// Takes over the ledger's own figures.
    pub fn ledger(&self, figures: &vetrina_store::ledger::LedgerFigures) {
        self.inner.ledger.take(figures);
    }

    /// Takes over the process's figures.
    pub fn process(&self, memory_bytes: u64, open_files: u32, uptime_s: u64) {
        let process = &self.inner.process;
        process
            .memory
            .set(i64::try_from(memory_bytes).unwrap_or(i64::MAX));
        process.open_files.set(i64::from(open_files));
        process
            .uptime
            .set(i64::try_from(uptime_s).unwrap_or(i64::MAX));
    }

    /// Sums and levels now. Starts a new maximum of the queue depth.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let inner = &self.inner;
        let depth = inner.session_queue_depth_max.get();
        inner.session_queue_depth_max.set(0);
        Totals {
            channel_sessions: inner.channel_sessions.get(),
            channel_joins: inner.channel_joins.get(),
            channel_deliveries: inner.channel_deliveries.get(),
            session_queue_depth_max: depth,
            reservations_granted: inner.reservations.with_label_values(&["granted"]).get(),
            orders_made: inner.orders.with_label_values(&["pending"]).get(),
            orders_paid: inner.orders.with_label_values(&["paid"]).get(),
            errors: Part::ALL.iter().map(|part| self.errors(*part)).sum(),
        }
    }

    /// The text that Prometheus reads, and its content type.
    #[must_use]
    pub fn render(&self) -> (&'static str, Vec<u8>) {
        let mut text = Vec::new();
        let families = self.inner.registry.gather();
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%error, "the metrics could not be written");
        }
        ("text/plain; version=0.0.4; charset=utf-8", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_registered_once_and_rendered() {
        let metrics = Metrics::new();
        metrics.session_joined();
        metrics.error(Part::Shop);
        metrics.request("GET", "/v1/shows/{show}", 200, Duration::from_millis(3));
        metrics.media(&vetrina_media::MediaStats {
            packets_in: 7,
            ..Default::default()
        });
        let figures = vetrina_store::ledger::LedgerFigures {
            claims: 9,
            claim_batches: 2,
            outbox_waiting: 4,
        };
        metrics.ledger(&figures);
        metrics.ledger(&figures);
        metrics.room_ticked(3, Duration::from_millis(20));
        let text = String::from_utf8(metrics.render().1).expect("is text");
        for line in [
            "vetrina_channel_sessions 1",
            "vetrina_errors_total{part=\"shop\"} 1",
            "vetrina_errors_total{part=\"media\"} 0",
            "vetrina_media_packets_total{direction=\"in\"} 7",
            "vetrina_reservations_total{outcome=\"granted\"} 0",
            "vetrina_claims_total 9",
            "vetrina_claim_batches_total 2",
            "vetrina_outbox_waiting 4",
            "vetrina_channel_tick_seconds_bucket{le=\"0.02\"} 1",
            "vetrina_channel_batch_events_sum 3",
        ] {
            assert!(text.contains(line), "{line} is missing in:\n{text}");
        }
        assert_eq!(metrics.totals().errors, 1);
    }
}
