//! `vetrina serve`: the server until SIGINT or SIGTERM.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Failure, block_on};
use crate::app::{App, Listeners};
use crate::config::{Complaint, Config, ConfigError};
use crate::http::serve::tls_config;

pub(super) fn run(config: &Config) -> Result<(), Failure> {
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
        interrupt.recv().await;
        std::process::exit(130);
    });
    Ok(shutdown)
}
