//! Figures of this node's dealings with Redis; all zero on a node that has none.

use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};
use vetrina_protocol::time::UnixMs;
use vetrina_store::hot::ServerState;
use vetrina_store::{RedisOutcome, RedisWatcher};

use super::Metrics;
use super::maker::Maker;

pub(super) struct RedisMetrics {
    calls: IntCounterVec,
    call_duration: Histogram,
    connections: IntCounter,
    primary_up: IntGaugeVec,
    primary_down: IntGaugeVec,
    builds: IntCounter,
    build_duration: Histogram,
    last_build: IntGauge,
}

impl RedisMetrics {
    pub(super) fn new(make: &Maker) -> Self {
        let per_primary = |name: &str, help: &str| {
            let options = Opts::new(format!("vetrina_{name}"), help);
            make.register(IntGaugeVec::new(options, &["primary"]))
        };
        let calls = make.counters(
            "redis_calls_total",
            "Calls of Redis by end: answered; unknown (no answer in time); away (refused while \
             there was no connection); busy (too many at once).",
            "outcome",
        );
        for outcome in ["answered", "unknown", "away", "busy"] {
            calls.with_label_values(&[outcome]);
        }
        Self {
            calls,
            call_duration: make.histogram(
                "redis_call_duration_seconds",
                "Time of a call of Redis that was sent, waiting for its turn included.",
                vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.8],
            ),
            connections: make.counter(
                "redis_connections_total",
                "Connections made to primaries; after the start each one is a reconnection.",
            ),
            primary_up: per_primary(
                "redis_primary_up",
                "1: connected. 0: not, and calls of its shows fail at once. Primaries are \
                 numbered from 1.",
            ),
            primary_down: per_primary(
                "redis_primary_down_seconds",
                "How long a primary has not been connected; 0 while it is.",
            ),
            builds: make.counter(
                "redis_show_builds_total",
                "Shows built in Redis from the ledger: at their first opening, and after a loss.",
            ),
            build_duration: make.histogram(
                "redis_show_build_duration_seconds",
                "Time to build a show in Redis, in which nobody can reserve in it.",
                vec![0.01, 0.05, 0.25, 1.0, 1.5, 2.5, 5.0, 10.0],
            ),
            last_build: make.gauge(
                "redis_last_show_build_timestamp_seconds",
                "When a show was built in Redis last, Unix time; 0: never.",
            ),
        }
    }

    fn take(&self, servers: &[ServerState]) {
        // A Cluster may have become smaller.
        self.primary_up.reset();
        self.primary_down.reset();
        for (number, server) in (1_u32..).zip(servers) {
            let label = number.to_string();
            let down_s = server.down_for.map(|time| time.as_secs());
            let up = self.primary_up.with_label_values(&[&label]);
            up.set(i64::from(down_s.is_none()));
            let down = self.primary_down.with_label_values(&[&label]);
            down.set(i64::try_from(down_s.unwrap_or(0)).unwrap_or(i64::MAX));
        }
    }
}

impl Metrics {
    /// Takes over how the hot store's servers do.
    pub fn hot_servers(&self, servers: &[ServerState]) {
        self.inner.redis.take(servers);
    }
}

impl RedisWatcher for Metrics {
    fn call_ended(&self, outcome: RedisOutcome, took: Duration) {
        let (label, was_sent) = match outcome {
            RedisOutcome::Answered => ("answered", true),
            RedisOutcome::Unknown => ("unknown", true),
            RedisOutcome::Away => ("away", false),
            RedisOutcome::Busy => ("busy", false),
        };
        let redis = &self.inner.redis;
        redis.calls.with_label_values(&[label]).inc();
        if was_sent {
            redis.call_duration.observe(took.as_secs_f64());
        }
    }

    fn connected(&self) {
        self.inner.redis.connections.inc();
    }

    fn show_built(&self, at: UnixMs, took: Duration) {
        let redis = &self.inner.redis;
        redis.builds.inc();
        redis.build_duration.observe(took.as_secs_f64());
        redis.last_build.set(at.0 / 1_000);
    }
}
