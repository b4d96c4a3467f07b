//! Every port of the process. All are bound before anything runs, or none is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
#[cfg(target_os = "linux")]
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::{Config, Provider};

/// What the kernel may keep for a client that does not read. More, times ten thousand stuck
/// viewers, is memory that nobody counts.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// A client that takes nothing of what waits for it, or does not answer at all, for this long is
/// forgotten by the kernel too: also after we closed, when its bytes would wait for minutes more.
/// Longer than the channel's own patience, which is first to say why.
#[cfg(target_os = "linux")]
const UNREAD_AFTER: Duration = Duration::from_secs(30);
/// Connections that wait to be accepted, when a show begins and everybody comes at once.
const BACKLOG: i32 = 4_096;

/// Every port of the process, bound.
#[derive(Debug)]
pub struct Listeners {
    /// Pages, REST, channel, WHIP, WHEP.
    pub public: TcpListener,
    /// Ops page, metrics, health.
    pub ops: TcpListener,
    /// The sandbox provider's page.
    pub sandbox: Option<TcpListener>,
    /// With HTTPS outside, server and sandbox provider talk over this one, on loopback.
    pub internal: Option<TcpListener>,
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
    /// Certificate or key are no good.
    #[error("--tls-cert, --tls-key: {0}")]
    Tls(String),
    /// The data folder is no good.
    #[error("cannot use the folder {path}: {source}; choose another with --data-dir")]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The data folder is taken.
    #[error("another vetrina uses the folder {path}: stop it, or choose another with --data-dir")]
    FolderInUse {
        /// Which.
        path: PathBuf,
    },
    /// The ledger does not open.
    #[error("--database: {0}")]
    Ledger(#[from] vetrina_store::ledger::OpenError),
    /// The shared hot store cannot be had.
    #[error("--redis: {0}")]
    Redis(String),
    /// The records refused what a start needs.
    #[error("the records cannot be prepared: {0}")]
    Records(#[from] vetrina_store::StoreError),
    /// The payment side does not start.
    #[error("payments do not start: {0}")]
    Payments(String),
    /// A listener failed while running.
    #[error("a listener failed: {0}")]
    Listener(std::io::Error),
}

impl Listeners {
    /// Binds every port that the configuration asks for, or none.
    ///
    /// # Errors
    /// A port is taken or not allowed; the message names the option.
    pub fn bind(config: &Config) -> Result<Self, RunError> {
        let public = bind("listen", config.listen)?;
        let ops = bind("ops-listen", config.ops_listen)?;
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (sandbox, internal) = match config.payment.provider {
            Provider::None => (None, None),
            Provider::Sandbox if config.payment.sandbox_api.is_some() => (None, None),
            Provider::Sandbox => {
                let sandbox = Self::bind_sandbox(config)?;
                let internal = match config.tls {
                    Some(_) => Some(bind("sandbox-listen", loopback)?),
                    None => None,
                };
                (Some(sandbox), internal)
            }
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
            internal,
            media,
        })
    }
}

impl Listeners {
    /// Binds the port of the sandbox provider alone.
    ///
    /// # Errors
    /// As [`Self::bind`].
    pub(crate) fn bind_sandbox(config: &Config) -> Result<TcpListener, RunError> {
        bind("sandbox-listen", config.payment.sandbox_listen)
    }

    /// Where a person on this machine finds the pages.
    ///
    /// # Errors
    /// The system does not know the listener's address.
    pub fn public_address(&self) -> Result<SocketAddr, RunError> {
        reachable(&self.public)
    }

    /// Where a person on this machine finds the ops page.
    ///
    /// # Errors
    /// As above.
    pub fn ops_address(&self) -> Result<SocketAddr, RunError> {
        reachable(&self.ops)
    }

    /// Where a person on this machine finds the pay page, if there is one.
    ///
    /// # Errors
    /// As above.
    pub fn sandbox_address(&self) -> Result<Option<SocketAddr>, RunError> {
        self.sandbox.as_ref().map(reachable).transpose()
    }
}

/// An address under which this machine reaches its own listener.
pub(super) fn reachable(listener: &TcpListener) -> Result<SocketAddr, RunError> {
    let mut address = listener.local_addr().map_err(RunError::Listener)?;
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    Ok(address)
}

fn bind(option: &'static str, address: SocketAddr) -> Result<TcpListener, RunError> {
    listen(address).map_err(|source| RunError::Bind {
        option,
        address,
        source,
    })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit these.
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNREAD_AFTER))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
