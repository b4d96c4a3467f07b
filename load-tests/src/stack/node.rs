//! A `vetrina serve` of our own, and the seller and the host's token that its ledger knows.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::process::{Process, Recipe};
use super::{SECRET, StackError, free_address};

/// A node that is not ready after this time will not be.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(25);
const ADVICE: &str = "build it (cargo build -p vetrina) or set VETRINA_BIN";

/// What nodes share, and what makes them different from a node on its own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared {
    /// --redis.
    pub(crate) redis: Option<String>,
    /// --database.
    pub(crate) database: Option<String>,
    /// Of a sandbox that is a process of its own.
    pub(crate) sandbox: Option<SocketAddr>,
    /// The ledger claims without looking whether there is enough.
    pub(crate) guard_off: bool,
    /// Whatever else.
    pub(crate) arguments: Vec<String>,
    /// The cores that nodes may use; none named: all.
    pub(crate) cores: Vec<usize>,
}

impl Shared {
    fn arguments(&self) -> Vec<String> {
        let mut all = Vec::new();
        let options = [("--redis", &self.redis), ("--database", &self.database)];
        for (name, value) in options {
            all.extend(
                value
                    .iter()
                    .flat_map(|value| [name.to_owned(), value.clone()]),
            );
        }
        if let Some(sandbox) = self.sandbox {
            let url = format!("http://{sandbox}");
            all.extend(["--payment", "sandbox", "--sandbox-api", &url].map(str::to_owned));
        }
        if self.guard_off {
            all.extend(["--ledger-guard", "off"].map(str::to_owned));
        }
        all.extend(self.arguments.iter().cloned());
        all
    }
}

/// A running node.
pub(crate) struct Node {
    pub(crate) process: Process,
    /// Of the public listener.
    pub(crate) address: SocketAddr,
    ops: SocketAddr,
}

impl Node {
    /// Starts a node with its data in `folder`; it may not be ready yet.
    pub(crate) fn spawn(
        name: &str,
        folder: &Path,
        address: SocketAddr,
        shared: &Shared,
    ) -> Result<Self, StackError> {
        let ops = free_address()?;
        let (listen, ops_listen) = (address.to_string(), ops.to_string());
        let data = folder.join(name);
        let recipe = Recipe {
            cores: shared.cores.clone(),
            ..vetrina(name, folder)?
        };
        let process = recipe
            .with(["serve", "--log", "warn", "--listen", &listen])
            .with(["--ops-listen", &ops_listen, "--udp-port", "0"])
            .with(["--udp-bind", "127.0.0.1", "--public-ip", "127.0.0.1"])
            .with(["--node", name, "--node-url", &format!("http://{address}")])
            .with(["--data-dir"])
            .with([data.as_os_str()])
            .with(shared.arguments())
            .start()?;
        Ok(Self {
            process,
            address,
            ops,
        })
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&mut self, http: &reqwest::Client) -> Result<(), StackError> {
        let url = format!("http://{}/health/ready", self.ops);
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            self.process.still_runs()?;
            let answer = http.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(StackError::Silent("the server: not ready"))
    }
}

/// A command of the server's program with the secrets that all of an installation share.
pub(crate) fn vetrina(name: &str, folder: &Path) -> Result<Recipe, StackError> {
    let secrets = [
        "VETRINA_TOKEN_SECRET",
        "VETRINA_SANDBOX_API_KEY",
        "VETRINA_WEBHOOK_SECRET",
    ];
    let mut variables: Vec<_> = secrets.map(|name| (name, SECRET.to_owned())).into();
    variables.push(("VETRINA_CHAOS", "1".to_owned()));
    Ok(Recipe {
        variables,
        advice: ADVICE,
        ..Recipe::new(name, binary()?, folder)
    })
}

/// Makes a seller in the ledger and gives a host's token for all of its shows. Before a server has
/// the data folder for itself.
pub(crate) async fn host_token(
    folder: &Path,
    data: &Path,
    shared: &Shared,
) -> Result<String, StackError> {
    let place = |recipe: Recipe| {
        let database = shared.database.iter();
        recipe
            .with(["--data-dir"])
            .with([data.as_os_str()])
            .with(database.flat_map(|url| ["--database", url]))
    };
    let seller = place(vetrina("seller", folder)?.with(["seller", "Load"]))
        .said()
        .await?;
    let token = vetrina("token", folder)?.with(["token", "--role", "host", "--seller", &seller]);
    place(token).said().await
}

/// VETRINA_BIN, or the program beside this one.
fn binary() -> Result<PathBuf, StackError> {
    if let Some(path) = std::env::var_os("VETRINA_BIN") {
        return Ok(path.into());
    }
    Ok(std::env::current_exe()?.with_file_name("vetrina"))
}
