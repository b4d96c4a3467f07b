//! The sandbox payment provider: as a process of its own, and as what anybody sees of a provider:
//! its pay page, its list of charges and the switches of what goes wrong.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use vetrina_protocol::id::OrderId;
use vetrina_protocol::money::Money;

use super::node::vetrina;
use super::process::Process;
use super::{SECRET, StackError};
use crate::buyer::BuyerError;

const READY_WITHIN: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// A provider that is silent for this long is taken for gone.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A charge of the provider's list.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Charge {
    pub(crate) order: OrderId,
    pub(crate) intent: String,
    pub(crate) amount: Money,
    pub(crate) refunded: bool,
}

/// What goes wrong with webhooks from now on.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Faults {
    /// Each is sent this many times more.
    pub(crate) webhook_copies: u32,
    /// Those that are due together go out last first.
    pub(crate) webhook_reverse: bool,
    /// None is sent.
    pub(crate) webhook_mute: bool,
}

/// The provider, wherever it runs.
#[derive(Clone)]
pub(crate) struct Provider {
    base: String,
    http: reqwest::Client,
}

impl Provider {
    pub(crate) fn at(address: SocketAddr) -> Result<Self, StackError> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(ANSWER_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(BuyerError::from)?;
        Ok(Self {
            base: format!("http://{address}"),
            http,
        })
    }

    /// All charges that were ever made.
    pub(crate) async fn charges(&self) -> Result<Vec<Charge>, BuyerError> {
        let url = format!("{}/api/charges", self.base);
        let answer = self.http.get(url).bearer_auth(SECRET).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Sets what goes wrong; what is not named goes well again.
    pub(crate) async fn set(&self, faults: &Faults) -> Result<(), BuyerError> {
        let url = format!("{}/api/faults", self.base);
        let request = self.http.put(url).bearer_auth(SECRET).json(faults);
        request.send().await?.error_for_status()?;
        Ok(())
    }
}

/// Starts the provider's process; its webhooks go to the first of `nodes` that takes them.
pub(crate) async fn start(
    folder: &Path,
    address: SocketAddr,
    nodes: &[SocketAddr],
) -> Result<(Process, Provider), StackError> {
    let webhooks = nodes
        .iter()
        .flat_map(|node| {
            let origin = format!("http://{node}");
            ["--webhook-url".to_owned(), origin]
        })
        .collect::<Vec<_>>();
    let data = folder.join("sandbox");
    let mut process = vetrina("sandbox", folder)?
        .with([
            "sandbox",
            "--sandbox-listen",
            &address.to_string(),
            "--data-dir",
        ])
        .with([data.as_os_str()])
        .with(webhooks)
        .start()?;
    let provider = Provider::at(address)?;
    let deadline = Instant::now() + READY_WITHIN;
    while Instant::now() < deadline {
        process.still_runs()?;
        if provider.charges().await.is_ok() {
            return Ok((process, provider));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(StackError::Silent("the sandbox provider: not ready"))
}
