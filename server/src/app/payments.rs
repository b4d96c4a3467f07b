//! The payment side, composed: the sandbox provider in its own origin (of this process, or of one
//! that several nodes share), the client that talks to it over HTTP as to any provider, and the
//! worker that brings orders forward.

use std::net::TcpListener;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::listeners::{Listeners, RunError, reachable};
use crate::clock::Clock;
use crate::config::{Config, Origin, Provider};
use crate::http::serve::{serve, tls_config};
use crate::payment::sandbox::{Sandbox, SandboxConfig};
use crate::payment::sandbox_provider::SandboxProvider;
use crate::payment::{Intents, OrderDesk, PaymentProvider, Worker};
use vetrina_store::Ledger;

/// What takes the money.
pub(crate) struct Payments {
    /// The provider's name, as in the path of its webhooks.
    pub(crate) provider: &'static str,
    /// Brings orders forward.
    pub(crate) worker: Worker,
}

impl Payments {
    pub(super) fn new(
        node: &str,
        ledger: Arc<dyn Ledger>,
        provider: Arc<dyn PaymentProvider>,
        intents: Intents,
        desk: Arc<dyn OrderDesk>,
        clock: Clock,
    ) -> Self {
        Self {
            provider: provider.name(),
            worker: Worker::new(node.to_owned(), ledger, provider, intents, desk, clock),
        }
    }
}

/// Whoever takes the money, ready to be asked.
pub(super) struct OpenProvider {
    /// Talks to it.
    pub(super) client: Arc<dyn PaymentProvider>,
    /// The origin of the pay page in buyers' browsers.
    pub(super) pay_origin: String,
    /// The provider itself, when it is the sandbox of this process.
    pub(super) sandbox: Option<Sandbox>,
}

/// Opens the provider that the configuration names, if any.
pub(super) async fn open_provider(
    config: &Config,
    listeners: &Listeners,
) -> Result<Option<OpenProvider>, RunError> {
    if config.payment.provider == Provider::None {
        return Ok(None);
    }
    let (api_url, pay_origin, sandbox) = match (&config.payment.sandbox_api, &listeners.sandbox) {
        (Some(api), _) => {
            let pay_origin = config.payment.sandbox_url.as_ref().unwrap_or(api);
            (api.to_string(), pay_origin.to_string(), None)
        }
        (None, Some(listener)) => {
            let pay_origin = sandbox_origin(config, listener)?;
            // A certificate of our own would not be believed by our own client, so with HTTPS
            // outside the two talk over loopback.
            let (api, webhooks) = match &listeners.internal {
                Some(internal) => (reachable(internal)?, reachable(internal)?),
                None => (reachable(listener)?, reachable(&listeners.public)?),
            };
            let webhooks = vec![format!("http://{webhooks}{WEBHOOK_PATH}")];
            let sandbox = open_sandbox(config, pay_origin.clone(), webhooks).await?;
            (format!("http://{api}"), pay_origin, Some(sandbox))
        }
        (None, None) => return Ok(None),
    };
    let payment = &config.payment;
    let client = SandboxProvider::new(
        &api_url,
        payment.sandbox_api_key.expose(),
        payment.webhook_secret.expose().as_bytes(),
    );
    Ok(Some(OpenProvider {
        client: Arc::new(client.map_err(failed)?),
        pay_origin,
        sandbox,
    }))
}

/// Where the sandbox's webhooks are taken.
const WEBHOOK_PATH: &str = "/v1/webhooks/sandbox";

fn failed(error: impl std::error::Error) -> RunError {
    RunError::Payments(error.to_string())
}

fn sandbox_origin(config: &Config, listener: &TcpListener) -> Result<String, RunError> {
    Ok(match &config.payment.sandbox_url {
        Some(origin) => origin.to_string(),
        None if config.tls.is_some() => format!("https://{}", reachable(listener)?),
        None => format!("http://{}", reachable(listener)?),
    })
}

async fn open_sandbox(
    config: &Config,
    public_url: String,
    webhook_urls: Vec<String>,
) -> Result<Sandbox, RunError> {
    let payment = &config.payment;
    let opened = Sandbox::open(SandboxConfig {
        file: config.data_dir.join("sandbox.sqlite"),
        public_url,
        webhook_urls,
        api_key: payment.sandbox_api_key.expose().to_owned(),
        webhook_secret: payment.webhook_secret.expose().as_bytes().to_vec(),
    });
    opened.await.map_err(failed)
}

/// The sandbox provider as a process of its own, for several nodes, until `shutdown`. `said` is
/// told its origin once it is reached there.
///
/// # Errors
/// Its port or its file cannot be had, or it stopped.
pub(crate) async fn run_sandbox(
    config: &Config,
    webhook_origins: &[Origin],
    shutdown: CancellationToken,
    said: impl FnOnce(&str) -> std::io::Result<()>,
) -> Result<(), RunError> {
    let listener = Listeners::bind_sandbox(config)?;
    let origin = sandbox_origin(config, &listener)?;
    std::fs::create_dir_all(&config.data_dir).map_err(|source| RunError::Folder {
        path: config.data_dir.clone(),
        source,
    })?;
    let webhooks = webhook_origins
        .iter()
        .map(|origin| format!("{origin}{WEBHOOK_PATH}"));
    let sandbox = open_sandbox(config, origin.clone(), webhooks.collect()).await?;
    said(&origin).map_err(RunError::Listener)?;
    let tls = match &config.tls {
        Some(tls) => Some(tls_config(tls).map_err(RunError::Tls)?),
        None => None,
    };
    let (routes, grace) = (sandbox.routes(), config.shutdown_grace);
    tokio::select! {
        served = serve(listener, routes, tls, shutdown, grace) => served.map_err(RunError::Listener),
        ran = sandbox.run() => ran.map_err(failed),
    }
}
