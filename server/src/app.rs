//! Composes the parts and runs them until shutdown. The only place that knows them all.

use std::net::{SocketAddr, TcpListener};

use tokio_util::sync::CancellationToken;

use crate::config::{Config, Provider};

/// Every port of the process, bound.
#[derive(Debug)]
pub struct Listeners {
    /// Pages, REST, channel, WHIP, WHEP.
    pub public: TcpListener,
    /// Ops page, metrics, health.
    pub ops: TcpListener,
    /// The sandbox provider's page.
    pub sandbox: Option<TcpListener>,
    /// The UDP port, with its engine.
    pub media: vetrina_media::Media,
}

/// Why the server did not start, or not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A port cannot be had.
    #[error("cannot listen on {address}: {source}; choose another with --{option}")]
    Bind {
        /// Which option names it.
        option: &'static str,
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The media engine does not start.
    #[error("{0}; choose another port with --udp-port, or an address with --udp-bind")]
    Media(#[from] vetrina_media::MediaError),
}

impl Listeners {
    /// Binds every port that the configuration asks for, or none.
    ///
    /// # Errors
    /// A port is taken or not allowed; the message names the option.
    pub fn bind(config: &Config) -> Result<Self, RunError> {
        let public = bind("listen", config.listen)?;
        let ops = bind("ops-listen", config.ops_listen)?;
        let sandbox = match config.payment.provider {
            Provider::Sandbox => Some(bind("sandbox-listen", config.payment.sandbox_listen)?),
            Provider::None => None,
        };
        let media = vetrina_media::Media::start(vetrina_media::MediaConfig {
            udp_bind: config.media.udp,
            public_ips: config.media.public_ips.clone(),
            sessions_max: config.media.sessions_max,
        })?;
        Ok(Self {
            public,
            ops,
            sandbox,
            media,
        })
    }
}

fn bind(option: &'static str, address: SocketAddr) -> Result<TcpListener, RunError> {
    let fail = |source| RunError::Bind {
        option,
        address,
        source,
    };
    let listener = TcpListener::bind(address).map_err(fail)?;
    listener.set_nonblocking(true).map_err(fail)?;
    Ok(listener)
}

/// Runs the server on `listeners` until `shutdown` is cancelled, then drains.
///
/// # Errors
/// A part that the server cannot do without did not start.
pub async fn run(
    _config: Config,
    listeners: Listeners,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    shutdown.cancelled().await;
    listeners.media.shutdown().await;
    Ok(())
}
