//! `vetrina bench`: measures the stores from inside, for `vetrina-load`. Hidden: it fills the
//! database that it is given.

use std::io::Write as _;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::{Failure, block_on};
use crate::clock::Clock;

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
    Command::new("bench")
        .hide(true)
        .about("Measures the stores from inside")
        .subcommand_required(true)
        .subcommand(claims)
}

pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    match matches.subcommand() {
        Some(("claims", matches)) => claims(matches),
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
