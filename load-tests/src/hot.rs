//! `hot`: reservations of one hot listing through the server's hot store, against `redis-benchmark`
//! calling the same function on the same Redis in the same run. Both are measured inside the server,
//! by its hidden `vetrina bench hot`; here they are compared.

use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use crate::Common;
use crate::report::Figures;
use crate::stack::redis::RedisServer;
use crate::stack::{StackError, node};

/// Options of the command.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How long each part is measured.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
}

/// Why the command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("{0}")]
    Stack(#[from] StackError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("hot measures a Redis and a server of its own: leave --target out")]
    NotOurs,
    #[error("vetrina bench hot printed what is not its figures: {0}")]
    Bench(serde_json::Error),
    #[error("of the rush on 100 units {0} were granted: nothing was measured")]
    Granted(u64),
    #[error("not done within {0} s")]
    TimedOut(u64),
}

/// What `vetrina bench hot` prints.
#[derive(Debug, Deserialize)]
struct Bench {
    reservations_per_second: f64,
    single_per_second: f64,
    answered_10k_ms: f64,
    granted_10k: u64,
    redis_benchmark_single: f64,
    redis_benchmark_batched: f64,
}

pub(crate) async fn run(options: Options) -> Result<Figures, Failed> {
    if options.common.target.is_some() {
        return Err(Failed::NotOurs);
    }
    let seconds = options.common.timeout_s;
    tokio::time::timeout(Duration::from_secs(seconds), hot(options.seconds))
        .await
        .unwrap_or(Err(Failed::TimedOut(seconds)))
}

async fn hot(seconds: u64) -> Result<Figures, Failed> {
    let folder = tempfile::tempdir()?;
    let redis = RedisServer::start("redis", folder.path()).await?;
    let ledger = format!("sqlite:{}", folder.path().join("ledger.sqlite").display());
    let bench = node::vetrina("bench", folder.path())?
        .with(["bench", "hot", "--redis", &redis.url()])
        .with(["--database", &ledger, "--seconds", &seconds.to_string()]);
    let bench: Bench = serde_json::from_str(&bench.said().await?).map_err(Failed::Bench)?;
    if bench.granted_10k != 100 {
        return Err(Failed::Granted(bench.granted_10k));
    }
    let coalesced = bench.reservations_per_second;
    let mut figures = Figures::default();
    figures.add("reservations_per_second", coalesced);
    let (single, batched) = (bench.redis_benchmark_single, bench.redis_benchmark_batched);
    figures.add("ratio_to_redis_benchmark_single", coalesced / single);
    figures.add("ratio_to_redis_benchmark_batched", coalesced / batched);
    figures.add("answered_10k_ms", bench.answered_10k_ms);
    figures.add("one_call_each_per_second", bench.single_per_second);
    figures.add("redis_benchmark_single_per_second", single);
    figures.add("redis_benchmark_batched_per_second", batched);
    Ok(figures)
}
