//! `crash`: a sale during which the server is killed with SIGKILL at a seeded moment and started
//! again, round after round. Buyers and the host keep their own logs of what was acknowledged; an
//! account at the end compares them with the server's books and the provider's list of charges.
//! Nothing acknowledged as durable may be lost, nothing oversold, nobody charged twice.

mod account;
mod host;
mod shopper;

use std::time::{Duration, Instant};

use clap::Args;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Common;
use crate::buyer::BuyerError;
use crate::market::{self, Stall};
use crate::progress::Progress;
use crate::report::{Figures, percentile};
use crate::server::{Server, ServerError};
use crate::stack::free_address;
use crate::stack::sandbox::Provider;

use account::Account;
use shopper::Shopper;

/// Options of the command.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Kills, each in a show of its own.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Chooses the moments of the kills and what everybody does.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Buyers in each round.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=500))]
    buyers: u32,
    /// Units of each of three listings: fewer than the buyers want.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1000))]
    units: u32,
}

/// Why the command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("{0}")]
    Server(#[from] ServerError),
    #[error("{0}")]
    Show(#[from] BuyerError),
    #[error("round {round} (seed {seed}): {what}")]
    Stuck { round: u32, seed: u64, what: String },
    #[error("not done within {0} s")]
    TimedOut(u64),
}

/// The kill comes this long after the sale opened.
const KILL_AFTER_MS: std::ops::Range<u64> = 20..1_200;
/// After the restart everybody is done within this time, or the round is stuck.
const ROUND_ENDS_WITHIN: Duration = Duration::from_secs(60);

/// Where the sandbox is and how its list of charges is read.
fn sandbox() -> Result<(Vec<String>, Provider), ServerError> {
    let address = free_address()?;
    let arguments = [
        "--payment",
        "sandbox",
        "--sandbox-listen",
        &address.to_string(),
    ];
    Ok((arguments.map(str::to_owned).into(), Provider::at(address)?))
}

pub(crate) async fn run(options: Options) -> Result<Figures, Failed> {
    if options.common.target.is_some() {
        return Err(ServerError::NotOurs.into());
    }
    let seconds = options.common.timeout_s;
    tokio::time::timeout(Duration::from_secs(seconds), crash(&options))
        .await
        .unwrap_or(Err(Failed::TimedOut(seconds)))
}

async fn crash(options: &Options) -> Result<Figures, Failed> {
    let (arguments, provider) = sandbox()?;
    let mut server = Server::own(&arguments).await?;
    let mut account = Account::default();
    let mut recovery_ms = Vec::new();
    let progress = Progress::new("rounds", options.rounds as usize);
    for round in 0..options.rounds {
        let seed = options
            .seed
            .wrapping_mul(1_000_003)
            .wrapping_add(u64::from(round));
        let took = one_round(&mut server, options, round, seed, &provider, &mut account).await?;
        recovery_ms.push(took.as_secs_f64() * 1e3);
        progress.step();
    }
    progress.end();
    recovery_ms.sort_by(f64::total_cmp);
    let mut figures = Figures::default();
    figures.add("rounds", f64::from(options.rounds));
    account.report(&mut figures);
    figures.add("recovery_p50_ms", percentile(&recovery_ms, 50));
    figures.add("recovery_p99_ms", percentile(&recovery_ms, 99));
    Ok(figures)
}

async fn one_round(
    server: &mut Server,
    options: &Options,
    round: u32,
    seed: u64,
    provider: &Provider,
    account: &mut Account,
) -> Result<Duration, Failed> {
    let stall = Stall {
        listings: 3,
        units: options.units,
        inventory: options.units,
        per_buyer: 2,
        reservation_ttl_s: 20,
        order_deadline_s: 60,
    };
    let (show, listings) = market::open(server, &stall).await?;
    let mut random = StdRng::seed_from_u64(seed);
    // Whether the server is there: shoppers stop hammering while it is not.
    let (up, is_up) = watch::channel(true);
    let mut shoppers = JoinSet::new();
    for n in 0..options.buyers {
        let shopper = Shopper::new(
            server,
            show,
            &listings,
            n as usize + 1,
            random.random(),
            is_up.clone(),
        );
        shoppers.spawn(shopper.shop());
    }
    let host = host::Host::new(server, show, &listings, random.random());
    let host = tokio::spawn(host.work(is_up));

    tokio::time::sleep(Duration::from_millis(random.random_range(KILL_AFTER_MS))).await;
    up.send_replace(false);
    server.kill()?;
    let killed = Instant::now();
    server.restart().await?;
    let took = killed.elapsed();
    up.send_replace(true);

    let stuck = |what: String| Failed::Stuck { round, seed, what };
    let ended = async {
        let mut logs = Vec::new();
        while let Some(done) = shoppers.join_next().await {
            logs.push(
                done.map_err(|error| error.to_string())?
                    .map_err(|error| error.to_string())?,
            );
        }
        let host = host.await.map_err(|error| error.to_string())?;
        Ok::<_, String>((logs, host))
    };
    let (logs, host) = tokio::time::timeout(ROUND_ENDS_WITHIN, ended)
        .await
        .map_err(|_| stuck("buyers are not done".into()))?
        .map_err(stuck)?;
    account
        .settle(server, provider, show, &listings, &logs, &host)
        .await?;
    Ok(took)
}
