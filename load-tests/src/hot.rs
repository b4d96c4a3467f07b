//! `hot`: reservations of one hot listing through the server's hot store, against `redis-benchmark`
//! calling the same function on the same Redis in the same run. The store's side is measured inside
//! the server, by its hidden `vetrina bench hot`, which also says how the function is called.

use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use crate::Common;
use crate::report::Figures;
use crate::stack::process::Recipe;
use crate::stack::redis::RedisServer;
use crate::stack::{StackError, node};

/// Options of the command.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
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
    #[error("redis-benchmark printed no rate: {0}")]
    Benchmark(String),
    #[error("not done within {0} s")]
    TimedOut(u64),
}

/// What `vetrina bench hot` prints.
#[derive(Debug, Deserialize)]
struct Bench {
    coalesced_per_second: f64,
    single_per_second: f64,
    answered_10k_ms: f64,
    benchmark: Calls,
}

/// The same work as commands of Redis; `__rand_int__` stands for a fresh number. Each is of a show
/// of its own that is left open.
#[derive(Debug, Deserialize)]
struct Calls {
    /// One reservation a call.
    single: Vec<String>,
    /// Many in a call, with one append to the log.
    batched: Vec<String>,
    /// How many.
    batch: u32,
}

/// What a user would type: many clients, one call each at a time.
const SINGLE_CLIENTS: u32 = 64;
const SINGLE_RESERVATIONS: u32 = 60_000;
/// With few clients and with many; the better one counts.
const BATCHED_CLIENTS: [u32; 2] = [4, 32];
/// In each of the runs: all of them together stay below what one show may have open.
const BATCHED_RESERVATIONS: u32 = 80_000;
/// Numbers to draw from: hardly any comes twice.
const NUMBERS: &str = "2000000000";

pub(crate) async fn run(options: Options) -> Result<Figures, Failed> {
    if options.common.target.is_some() {
        return Err(Failed::NotOurs);
    }
    let seconds = options.common.timeout_s;
    tokio::time::timeout(Duration::from_secs(seconds), hot())
        .await
        .unwrap_or(Err(Failed::TimedOut(seconds)))
}

async fn hot() -> Result<Figures, Failed> {
    let folder = tempfile::tempdir()?;
    let redis = RedisServer::start("redis", folder.path()).await?;
    let ledger = format!("sqlite:{}", folder.path().join("ledger.sqlite").display());
    let bench = node::vetrina("bench", folder.path())?
        .with(["bench", "hot", "--redis", &redis.url()])
        .with(["--database", &ledger]);
    let said = bench.said().await?;
    let bench: Bench = serde_json::from_str(&said).map_err(Failed::Bench)?;
    let calls = &bench.benchmark;
    let folder = folder.path();
    let port = redis.port;
    let single = benchmark(
        folder,
        port,
        SINGLE_CLIENTS,
        SINGLE_RESERVATIONS,
        &calls.single,
    );
    let single = single.await?;
    let mut batched = 0.0_f64;
    let requests = BATCHED_RESERVATIONS / calls.batch.max(1);
    for clients in BATCHED_CLIENTS {
        let calls_per_second = benchmark(folder, port, clients, requests, &calls.batched).await?;
        batched = batched.max(calls_per_second * f64::from(calls.batch));
    }
    let mut figures = Figures::default();
    figures.add("reservations_per_second", bench.coalesced_per_second);
    let ratio = bench.coalesced_per_second / single;
    figures.add("ratio_to_redis_benchmark_single", ratio);
    let ratio = bench.coalesced_per_second / batched;
    figures.add("ratio_to_redis_benchmark_batched", ratio);
    figures.add("answered_10k_ms", bench.answered_10k_ms);
    figures.add("one_call_each_per_second", bench.single_per_second);
    figures.add("redis_benchmark_single_per_second", single);
    figures.add("redis_benchmark_batched_per_second", batched);
    Ok(figures)
}

/// Calls per second by redis-benchmark.
async fn benchmark(
    folder: &std::path::Path,
    port: u16,
    clients: u32,
    requests: u32,
    call: &[String],
) -> Result<f64, Failed> {
    let recipe = Recipe::new("redis-benchmark", "redis-benchmark", folder)
        .with(["-h", "127.0.0.1", "-p", &port.to_string(), "--csv"])
        .with(["-c", &clients.to_string(), "-n", &requests.to_string()])
        .with(["-r", NUMBERS])
        .with(call);
    let said = recipe.said().await?;
    rate(&said).ok_or(Failed::Benchmark(said))
}

/// The second column of the last line; the first is the whole call.
fn rate(csv: &str) -> Option<f64> {
    let (heading, line) = csv.trim().rsplit_once('\n')?;
    let columns = heading.rsplit('\n').next()?.matches("\",\"").count() + 1;
    let values: Vec<&str> = line.trim().trim_matches('"').rsplit("\",\"").collect();
    let rate: f64 = values.get(columns - 2)?.parse().ok()?;
    (rate > 0.0).then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn the_rate_is_the_second_column() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"FCALL a \",\" b\",\"1234.50\",\"0.1\"\n";
        assert_eq!(rate(csv), Some(1234.5));
        assert_eq!(rate("\"test\",\"rps\"\n\"FCALL a\",\"0.00\"\n"), None);
        assert_eq!(rate("Error: FCALL"), None);
    }
}
