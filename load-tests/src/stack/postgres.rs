//! A PostgreSQL of our own: a fresh cluster in the installation's folder, on a free port, owned by
//! an unprivileged user when we are root, because PostgreSQL refuses root.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Signal, getuid};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::process::{Process, Recipe};
use super::{StackError, free_address};

/// `nobody`: there is one on every Linux, with a name, which initdb wants.
const NOBODY: u32 = 65_534;
const READY_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const ADVICE: &str = "install PostgreSQL (Debian: postgresql)";

/// A running cluster.
pub(crate) struct Postgres {
    pub(crate) process: Process,
    /// As the server takes it with --database.
    pub(crate) url: String,
}

impl Postgres {
    /// Makes the cluster in `folder` and starts it.
    pub(crate) async fn start(folder: &Path) -> Result<Self, StackError> {
        let programs = programs()?;
        let home = folder.join("postgres");
        std::fs::create_dir(&home)?;
        let user = getuid().is_root().then_some(NOBODY);
        if let Some(user) = user {
            chown(&home, Some(user), Some(user))?;
            // Only the way through: what lies beside it stays closed.
            std::fs::set_permissions(folder, PermissionsExt::from_mode(0o711))?;
        }
        let data = home.join("data");
        let recipe = |name: &str, program: &str| Recipe {
            user,
            advice: ADVICE,
            ends_by: Some(Signal::QUIT),
            ..Recipe::new(name, programs.join(program), &home)
        };
        let initdb = recipe("initdb", "initdb")
            .with(["--username=vetrina", "--auth=trust", "--encoding=UTF8"])
            .with(["--no-locale", "--no-sync", "--pgdata"])
            .with([data.as_os_str()]);
        initdb.said().await?;
        let address = free_address()?;
        let process = recipe("postgres", "postgres")
            .with(["-p", &address.port().to_string(), "-D"])
            .with([data.as_os_str()])
            .with(["-c", "listen_addresses=127.0.0.1"])
            .with(["-c", "unix_socket_directories="])
            .with(["-c", "max_connections=60", "-c", "shared_buffers=64MB"])
            .start()?;
        let url = format!("postgres://vetrina@{address}/postgres");
        let mut postgres = Self { process, url };
        postgres.ready().await?;
        Ok(postgres)
    }

    /// Waits until it answers.
    pub(crate) async fn ready(&mut self) -> Result<(), StackError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            self.process.still_runs()?;
            match PgConnection::connect(&self.url).await {
                Ok(connection) => return Ok(connection.close().await?),
                Err(error) if Instant::now() > deadline => return Err(error.into()),
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Kills every process of it with SIGKILL and starts it again; back when it answers.
    pub(crate) async fn crash(&mut self) -> Result<(), StackError> {
        // Its children end by themselves when the first process is gone, but not at once; the next
        // start waits for the last of them.
        self.process.kill()?;
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            self.process.start_again()?;
            match self.ready().await {
                Ok(()) => return Ok(()),
                Err(StackError::Ended(..)) if Instant::now() < deadline => {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Where the newest installed version's programs are: Debian keeps them out of PATH.
fn programs() -> Result<PathBuf, StackError> {
    let installed = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = installed
        .flatten()
        .map(|entry| entry.path())
        .filter_map(|path| Some((version(&path)?, path.join("bin"))))
        .max();
    if let Some((_, programs)) = newest {
        return Ok(programs);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find(|folder| folder.join("initdb").is_file());
    found.ok_or_else(|| {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        StackError::Start("initdb".into(), missing, ADVICE)
    })
}
