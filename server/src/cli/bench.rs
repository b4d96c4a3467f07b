//! `vetrina bench`: measures the stores from inside, for `vetrina-load`. Hidden: it fills the
//! database that it is given.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::{Failure, block_on};
use crate::clock::Clock;
use vetrina_store::{HotStore as _, Patience, RedisOptions, RedisStore};

/// Each part is measured this long, s.
const SECONDS: &str = "4";

pub(super) fn command() -> Command {
    let claims = Command::new("claims")
        .about("Durable claims per second on one hot sku, as JSON")
        .arg(
            Arg::new("database")
                .long("database")
                .value_name("URL")
                .required(true)
                .help("sqlite:PATH or postgres://...; it gets a show of its own, which stays"),
        )
        .arg(
            Arg::new("seconds")
                .long("seconds")
                .value_name("S")
                .default_value(SECONDS)
                .value_parser(value_parser!(u64).range(1..=600))
                .help("How long each of the two parts is measured"),
        );
    let hot = Command::new("hot")
        .about("Reservations per second on one hot listing, as JSON")
        .arg(
            Arg::new("redis")
                .long("redis")
                .value_name("URL")
                .required(true)
                .help("redis://...; it gets shows of its own, which stay"),
        )
        .args(claims.get_arguments().cloned());
    Command::new("bench")
        .hide(true)
        .about("Measures the stores from inside")
        .subcommand_required(true)
        .subcommand(claims)
        .subcommand(hot)
}

pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    match matches.subcommand() {
        Some(("claims", matches)) => claims(matches),
        Some(("hot", matches)) => hot(matches),
        _ => Err(Failure::new("type: vetrina bench claims --database URL")),
    }
}

fn claims(matches: &ArgMatches) -> Result<(), Failure> {
    let url = matches.get_one::<String>("database");
    let url = url.ok_or_else(|| Failure::new("name a --database"))?;
    let seconds = matches.get_one::<u64>("seconds").copied().unwrap_or(1);
    let each = Duration::from_secs(seconds);
    block_on(async {
        let figures = vetrina_store::bench::claims(url, Clock::system().now(), each).await?;
        let figures = serde_json::json!({
            "claims_per_second": figures.claims_per_second,
            "single_per_second": figures.single_per_second,
        });
        writeln!(std::io::stdout(), "{figures}")?;
        Ok(())
    })
}

fn hot(matches: &ArgMatches) -> Result<(), Failure> {
    let text = |name| matches.get_one::<String>(name).map_or("", String::as_str);
    let seconds = matches.get_one::<u64>("seconds").copied().unwrap_or(1);
    let each = Duration::from_secs(seconds);
    let clock = Clock::system();
    let now = clock.clone();
    block_on(async {
        let ledger = vetrina_store::ledger::open(text("database")).await?;
        let options = RedisOptions {
            watcher: Arc::new(()),
            node: "bench".into(),
            now: Arc::new(move || now.now()),
            clock: None,
            // What is measured is waited for.
            patience: Patience {
                call: Duration::from_secs(5),
                ..Patience::default()
            },
        };
        let address = text("redis").parse()?;
        let store = RedisStore::start(&address, ledger.clone(), options)?;
        let measured = vetrina_store::bench::hot(&store, &*ledger, clock.now(), each).await;
        store.shutdown().await;
        ledger.close().await;
        let figures = measured?;
        let figures = serde_json::json!({
            "reservations_per_second": figures.reservations_per_second,
            "single_per_second": figures.single_per_second,
            "answered_10k_ms": figures.answered_10k_ms,
            "granted_10k": figures.granted_10k,
            "redis_benchmark_single": figures.redis_benchmark_single,
            "redis_benchmark_batched": figures.redis_benchmark_batched,
        });
        writeln!(std::io::stdout(), "{figures}")?;
        Ok(())
    })
}
