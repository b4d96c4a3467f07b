//! `claims`: durable claims per second on one hot sku, gathered against one transaction each in the
//! same run. Measured inside the server, by its hidden `vetrina bench claims`, on a database of our
//! own.

use std::path::Path;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Deserialize;

use crate::Common;
use crate::report::Figures;
use crate::stack::postgres::Postgres;
use crate::stack::{StackError, node};

/// Options of the command.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The ledger's database.
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    store: Store,
    /// How long each of the two parts is measured.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Store {
    Sqlite,
    Postgres,
}

/// Why the command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("{0}")]
    Stack(#[from] StackError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("claims measures a database of its own: leave --target out")]
    NotOurs,
    #[error("vetrina bench claims: {0}")]
    Bench(String),
    #[error("not done within {0} s")]
    TimedOut(u64),
}

/// What `vetrina bench claims` prints.
#[derive(Debug, Deserialize)]
struct Bench {
    claims_per_second: f64,
    single_per_second: f64,
}

pub(crate) async fn run(options: Options) -> Result<Figures, Failed> {
    if options.common.target.is_some() {
        return Err(Failed::NotOurs);
    }
    let limit = options.common.timeout_s;
    let work = claims(options.store, options.seconds);
    let done = tokio::time::timeout(Duration::from_secs(limit), work).await;
    done.unwrap_or(Err(Failed::TimedOut(limit)))
}

async fn claims(store: Store, seconds: u64) -> Result<Figures, Failed> {
    let folder = tempfile::tempdir()?;
    let bench = match store {
        Store::Sqlite => {
            let file = folder.path().join("ledger.sqlite");
            bench(
                folder.path(),
                &format!("sqlite:{}", file.display()),
                seconds,
            )
            .await?
        }
        Store::Postgres => {
            let postgres = Postgres::start(folder.path()).await?;
            bench(folder.path(), &postgres.url, seconds).await?
        }
    };
    let mut figures = Figures::default();
    figures.add("claims_per_second", bench.claims_per_second);
    let ratio = bench.claims_per_second / bench.single_per_second;
    figures.add("ratio_to_single", ratio);
    figures.add("single_per_second", bench.single_per_second);
    Ok(figures)
}

async fn bench(folder: &Path, url: &str, seconds: u64) -> Result<Bench, Failed> {
    let recipe = node::vetrina("bench", folder)?
        .with(["bench", "claims", "--database", url])
        .with(["--seconds", &seconds.to_string()]);
    let mut command = tokio::process::Command::from(recipe.command());
    let said = command.kill_on_drop(true).output().await?;
    if !said.status.success() {
        let error = String::from_utf8_lossy(&said.stderr);
        return Err(Failed::Bench(error.trim().to_owned()));
    }
    serde_json::from_slice(&said.stdout).map_err(|error| Failed::Bench(error.to_string()))
}
