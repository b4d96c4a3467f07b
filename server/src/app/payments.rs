//! The payment side, composed: the sandbox provider in its own origin, the client that talks to it
//! over HTTP as to any provider, and the worker that brings orders forward.

use std::sync::Arc;

use super::listeners::{Listeners, RunError, reachable};
use crate::clock::Clock;
use crate::config::Config;
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

/// The sandbox provider, open, and how the server reaches it.
pub(super) struct RunningSandbox {
    pub(super) sandbox: Sandbox,
    /// The origin of the pay page in buyers' browsers.
    pub(super) pay_origin: String,
    api_url: String,
    api_key: String,
    webhook_secret: Vec<u8>,
}

impl RunningSandbox {
    /// A client of it.
    pub(super) fn provider(&self) -> Result<Arc<dyn PaymentProvider>, RunError> {
        let provider = SandboxProvider::new(&self.api_url, &self.api_key, &self.webhook_secret)
            .map_err(|error| RunError::Payments(error.to_string()))?;
        Ok(Arc::new(provider))
    }
}

/// Opens the sandbox if it is the provider.
pub(super) async fn open_sandbox(
    config: &Config,
    listeners: &Listeners,
) -> Result<Option<RunningSandbox>, RunError> {
    let Some(listener) = &listeners.sandbox else {
        return Ok(None);
    };
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let pay_origin = match &config.payment.sandbox_url {
        Some(origin) => origin.to_string(),
        None => format!("{scheme}://{}", reachable(listener)?),
    };
    // A certificate of our own would not be believed by our own client, so with HTTPS outside the
    // two talk over loopback.
    let (api, webhooks) = match &listeners.internal {
        Some(internal) => (reachable(internal)?, reachable(internal)?),
        None => (reachable(listener)?, reachable(&listeners.public)?),
    };
    let api_key = config.payment.sandbox_api_key.expose().to_owned();
    let webhook_secret = config.payment.webhook_secret.expose().as_bytes().to_vec();
    let sandbox = Sandbox::open(SandboxConfig {
        file: config.data_dir.join("sandbox.sqlite"),
        public_url: pay_origin.clone(),
        webhook_url: format!("http://{webhooks}/v1/webhooks/sandbox"),
        api_key: api_key.clone(),
        webhook_secret: webhook_secret.clone(),
    })
    .await
    .map_err(|error| RunError::Payments(error.to_string()))?;
    Ok(Some(RunningSandbox {
        sandbox,
        pay_origin,
        api_url: format!("http://{api}"),
        api_key,
        webhook_secret,
    }))
}
