//! The server under load: a running one by URL, or one of our own from the `vetrina` binary,
//! started on free ports in a temporary folder and ended with the command.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Common;
use crate::buyer::BuyerError;

/// Signs the tokens of servers that we start; they listen on loopback and end with us.
pub(crate) const SECRET: &str = "load-tests-only-secret-of-a-server-on-loopback";
/// A server that is not ready after this time will not be.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// A server with a host's token.
pub(crate) struct Server {
    /// Without a trailing slash.
    pub(crate) base: String,
    /// Of the public listener.
    pub(crate) address: SocketAddr,
    http: reqwest::Client,
    token: String,
    /// Ends with this value.
    own: Option<Own>,
}

/// A server process of our own.
struct Own {
    binary: PathBuf,
    child: Child,
    ops: SocketAddr,
    arguments: Vec<OsString>,
    /// Removed at the end.
    _folder: tempfile::TempDir,
}

impl Drop for Own {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Why there is no server to load.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error("cannot start {0}: {1}; build it (cargo build -p vetrina) or set VETRINA_BIN")]
    Start(PathBuf, std::io::Error),
    #[error("the server ended while starting: {0}")]
    Ended(std::process::ExitStatus),
    #[error("the server was not ready within {READY_WITHIN:?}")]
    NotReady,
    #[error("this command needs a server of its own: leave --target out")]
    NotOurs,
    #[error("vetrina seller or token: {0}")]
    Token(String),
    #[error("--target {0}: {1}")]
    Target(String, String),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Buyer(#[from] BuyerError),
}

impl Server {
    pub(crate) async fn of(common: &Common) -> Result<Self, ServerError> {
        let http = client()?;
        match (&common.target, &common.token) {
            (Some(target), Some(token)) => {
                let address = address_of(target).await?;
                let base = target.trim_end_matches('/').to_owned();
                Ok(Self {
                    base,
                    address,
                    http,
                    token: token.clone(),
                    own: None,
                })
            }
            _ => Self::start(http, &[]).await,
        }
    }

    /// One of our own with further arguments, for commands that need more than selling.
    pub(crate) async fn own(arguments: &[String]) -> Result<Self, ServerError> {
        Self::start(client()?, arguments).await
    }

    async fn start(http: reqwest::Client, further: &[String]) -> Result<Self, ServerError> {
        let binary = binary()?;
        let folder = tempfile::tempdir()?;
        let (address, ops) = (free_address()?, free_address()?);
        let (listen, ops_listen) = (address.to_string(), ops.to_string());
        let mut arguments: Vec<OsString> = ["serve", "--log", "warn"].map(OsString::from).into();
        arguments.extend(["--listen", &listen, "--ops-listen", &ops_listen].map(OsString::from));
        arguments.extend(["--udp-port", "0", "--udp-bind", "127.0.0.1"].map(OsString::from));
        arguments.extend(["--public-ip", "127.0.0.1", "--data-dir"].map(OsString::from));
        arguments.push(folder.path().into());
        arguments.extend(further.iter().map(OsString::from));
        // Before the server has the folder for itself.
        let token = host_token(&binary, folder.path())?;
        let child = spawn(&binary, &arguments)?;
        let mut own = Own {
            binary,
            child,
            ops,
            arguments,
            _folder: folder,
        };
        own.ready(&http).await?;
        Ok(Self {
            base: format!("http://{address}"),
            address,
            http,
            token,
            own: Some(own),
        })
    }

    /// Kills our server with SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<(), ServerError> {
        let own = self.own.as_mut().ok_or(ServerError::NotOurs)?;
        own.child.kill()?;
        own.child.wait()?;
        Ok(())
    }

    /// Starts it again with the same ports and folder; back when it is ready.
    pub(crate) async fn restart(&mut self) -> Result<(), ServerError> {
        let own = self.own.as_mut().ok_or(ServerError::NotOurs)?;
        own.child = spawn(&own.binary, &own.arguments)?;
        own.ready(&self.http).await
    }

    /// The host's token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Makes something by REST, as the host.
    pub(crate) async fn make<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, BuyerError> {
        let answer = self
            .http
            .post(format!("{}{path}", self.base))
            .bearer_auth(&self.token)
            .header("idempotency-key", uuid::Uuid::new_v4().to_string())
            .json(body)
            .send()
            .await?;
        let status = answer.status();
        if !status.is_success() {
            return Err(BuyerError::Answer(
                status,
                answer.text().await.unwrap_or_default(),
            ));
        }
        Ok(answer.json().await?)
    }
}

impl Server {
    /// Reads something by REST, as the host.
    pub(crate) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, BuyerError> {
        let url = format!("{}{path}", self.base);
        let answer = self.http.get(url).bearer_auth(&self.token).send().await?;
        let status = answer.status();
        if !status.is_success() {
            return Err(BuyerError::Answer(
                status,
                answer.text().await.unwrap_or_default(),
            ));
        }
        Ok(answer.json().await?)
    }
}

async fn address_of(target: &str) -> Result<SocketAddr, ServerError> {
    let wrong = |why: &str| ServerError::Target(target.to_owned(), why.to_owned());
    let authority = target
        .strip_prefix("http://")
        .ok_or_else(|| wrong("only http:// is spoken here; put the tool beside the server"))?
        .trim_end_matches('/');
    let authority = if authority.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let mut addresses = tokio::net::lookup_host(&authority)
        .await
        .map_err(|error| wrong(&error.to_string()))?;
    addresses
        .find(SocketAddr::is_ipv4)
        .ok_or_else(|| wrong("no IPv4 address"))
}

/// VETRINA_BIN, or the binary beside this one.
fn binary() -> Result<PathBuf, ServerError> {
    if let Some(path) = std::env::var_os("VETRINA_BIN") {
        return Ok(path.into());
    }
    Ok(std::env::current_exe()?.with_file_name("vetrina"))
}

fn vetrina(binary: &PathBuf) -> Command {
    let mut command = Command::new(binary);
    command
        .env("VETRINA_TOKEN_SECRET", SECRET)
        .env("VETRINA_SANDBOX_API_KEY", SECRET)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// Makes a seller in the folder and gives a host's token for all of its shows.
fn host_token(binary: &PathBuf, folder: &Path) -> Result<String, ServerError> {
    let folder = folder.as_os_str();
    let seller = said(
        vetrina(binary)
            .args(["seller", "Load", "--data-dir"])
            .arg(folder),
    )?;
    let mut token = vetrina(binary);
    token
        .args(["token", "--role", "host", "--seller", &seller, "--data-dir"])
        .arg(folder);
    said(&mut token)
}

/// What a command of the binary prints.
fn said(command: &mut Command) -> Result<String, ServerError> {
    let output = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()?;
    if !output.status.success() {
        return Err(ServerError::Token(
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A port that was free a moment ago. Somebody may take it before the server does; then the server
/// says so and the command fails, which is rare enough to be run again.
pub(crate) fn free_address() -> Result<SocketAddr, std::io::Error> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

impl Own {
    async fn ready(&mut self, http: &reqwest::Client) -> Result<(), ServerError> {
        let url = format!("http://{}/health/ready", self.ops);
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Err(ServerError::Ended(status));
            }
            let answer = http.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(ServerError::NotReady)
    }
}

fn client() -> Result<reqwest::Client, ServerError> {
    let built = reqwest::Client::builder().no_proxy().build();
    built.map_err(|error| ServerError::Buyer(error.into()))
}

fn spawn(binary: &PathBuf, arguments: &[OsString]) -> Result<Child, ServerError> {
    vetrina(binary)
        .args(arguments)
        .spawn()
        .map_err(|error| ServerError::Start(binary.clone(), error))
}
