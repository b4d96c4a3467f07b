//! `vetrina serve`: the server until SIGINT or SIGTERM.

use clap::{Arg, ArgMatches, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Failure, block_on, configuration, with_settings};
use crate::app::{App, Listeners};
use crate::config::{Complaint, Config, ConfigError};
use crate::http::serve::tls_config;

pub(super) fn command() -> Command {
    with_settings(Command::new("serve"), false, &[])
        .about("Runs the server until SIGINT or SIGTERM")
        .arg(
            Arg::new("ledger-guard")
                .long("ledger-guard")
                .value_parser(["on", "off"])
                .default_value("on")
                .hide(true),
        )
        .arg(
            Arg::new("chaos")
                .long("chaos")
                .env("VETRINA_CHAOS")
                .hide(true),
        )
}

pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let mut config = configuration(matches, false)?;
    if matches
        .get_one::<String>("ledger-guard")
        .is_some_and(|guard| guard == "off")
    {
        if matches
            .get_one::<String>("chaos")
            .is_none_or(|chaos| chaos != "1")
        {
            return Err(Failure::new(
                "--ledger-guard off sells what is not there: it is for the control run of a test \
                 of faults, which says VETRINA_CHAOS=1",
            ));
        }
        config.without_guard = true;
    }
    let config = &config;
    crate::ops::log::start(&config.log);
    block_on(async {
        let listeners = Listeners::bind(config)?;
        let app = App::open(config.clone(), listeners).await?;
        app.run(until_signal()?).await?;
        Ok(())
    })
}

/// Certificate and key must fit; noticed before any port is bound.
pub(crate) fn check_tls(config: &Config) -> Result<(), ConfigError> {
    let Some(tls) = &config.tls else {
        return Ok(());
    };
    match tls_config(tls) {
        Ok(_) => Ok(()),
        Err(message) => Err(ConfigError(vec![Complaint {
            place: "--tls-cert, --tls-key".into(),
            message,
        }])),
    }
}

/// Cancelled by the first SIGINT or SIGTERM. A second SIGINT ends the process at once.
pub(crate) fn until_signal() -> std::io::Result<CancellationToken> {
    signalled(|| std::process::exit(130))
}

/// Cancelled by the first SIGINT or SIGTERM; those that follow are of no use, because others have
/// to be ended first.
pub(crate) fn until_first_signal() -> std::io::Result<CancellationToken> {
    signalled(|| ())
}

fn signalled(second: impl Fn() + Send + 'static) -> std::io::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let told = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("asked to stop: open requests and sessions may end");
        told.cancel();
        while interrupt.recv().await.is_some() {
            second();
        }
    });
    Ok(shutdown)
}
