//! `--nodes N`: a whole small installation on this machine. Redis, PostgreSQL where it is
//! installed, the sandbox provider and N nodes, each a process of its own as in real life, started
//! in order and ended in the reverse one.
//!
//! It refuses to know what the nodes do: it hands them the options that `--help` lists.

mod household;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{lines, say};
use crate::cli::serve::until_first_signal;
use crate::cli::{Failure, block_on};
use crate::config::Gathered;
use crate::config::source::Source;
use household::Household;

/// More than a laptop has use for.
pub(crate) const NODES_MAX: u16 = 8;

/// Runs the installation until Ctrl-C.
pub(super) fn run(gathered: &Gathered, nodes: u16) -> Result<(), Failure> {
    let folder = PathBuf::from(gathered.text("data-dir")).join("nodes");
    std::fs::create_dir_all(&folder)?;
    // PostgreSQL and Redis want to know where they are.
    let folder = folder.canonicalize()?;
    block_on(async {
        let shutdown = until_first_signal()?;
        let mut household = Household::default();
        let started = start(&mut household, gathered, nodes, &folder, &shutdown).await;
        let ended = match started {
            Ok(()) if !shutdown.is_cancelled() => household.run(&mut lines(), &shutdown).await,
            other => other,
        };
        say("\nEnding the nodes, then what they stand on.")?;
        household.end().await;
        say("The demo has ended; its data stay in the folder.")?;
        ended
    })
}

async fn start(
    household: &mut Household,
    gathered: &Gathered,
    nodes: u16,
    folder: &Path,
    shutdown: &CancellationToken,
) -> Result<(), Failure> {
    let redis = redis(household, folder).await?;
    let database = match postgres_programs() {
        Some(programs) => household.postgres(&programs, folder).await?,
        None => {
            say(
                "PostgreSQL is not installed, so the nodes share one SQLite file: good for trying, \
                 on one machine only. Debian's package is `postgresql`.",
            )?;
            format!("sqlite:{}", folder.join("ledger.sqlite").display())
        }
    };
    let secret = secret(&folder.join("secret"))?;
    let ports = Ports::of(gathered);
    let origins: Vec<String> = (0..nodes)
        .map(|number| ports.listen(number).map(|at| format!("http://{at}")))
        .collect::<Result<_, _>>()?;
    let pay_page = ports.sandbox()?;
    let mut sandbox = vetrina("sandbox")?;
    sandbox
        .args(["--sandbox-listen", &pay_page.to_string()])
        .args(["--webhook-url", &origins.join(",")])
        .arg("--data-dir")
        .arg(folder.join("sandbox"))
        .args(["--log", gathered.text("log")])
        .env("VETRINA_TOKEN_SECRET", &secret);
    household.start("sandbox", sandbox, "pay page").await?;
    for (number, origin) in origins.iter().enumerate() {
        if shutdown.is_cancelled() {
            return Ok(());
        }
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        let name = format!("node-{}", number + 1);
        let mut node = vetrina("demo")?;
        node.args(["--node", &name, "--node-url", origin])
            .args(["--listen", origin.trim_start_matches("http://")])
            .args(["--ops-listen", &ports.ops(number)?.to_string()])
            .args(["--udp-port", &ports.udp(number).to_string()])
            .args(["--sandbox-api", &format!("http://{pay_page}")])
            .args(["--log", gathered.text("log")])
            .args(["--log-format", gathered.text("log-format")])
            .arg("--data-dir")
            .arg(folder.join(&name))
            .env("VETRINA_TOKEN_SECRET", &secret)
            .env("VETRINA_REDIS", &redis)
            .env("VETRINA_DATABASE", &database);
        say(&format!("\n{name} of {nodes}"))?;
        household.start(&name, node, "The links").await?;
    }
    say("\nThe same show is open on every node: watch on one, sell on another.")?;
    Ok(())
}

async fn redis(household: &mut Household, folder: &Path) -> Result<String, Failure> {
    let version = Command::new("redis-server").arg("--version").output();
    version.await.map_err(|error| {
        Failure::new(format!(
            "--nodes needs redis-server 7 or newer ({error}); Debian's package is `redis-server`"
        ))
    })?;
    let data = folder.join("redis");
    std::fs::create_dir_all(&data)?;
    let port = free_port()?;
    let mut redis = Command::new("redis-server");
    redis
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--appendonly", "yes", "--loglevel", "notice"])
        .arg("--dir")
        .arg(data);
    household
        .start("redis", redis, "Ready to accept connections")
        .await?;
    Ok(format!("redis://127.0.0.1:{port}/"))
}

/// Where `initdb` and `postgres` are: Debian keeps them out of the PATH.
fn postgres_programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut folders: Vec<PathBuf> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .filter(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
        .collect();
    folders.sort();
    folders.pop()
}

/// This program again.
fn vetrina(command: &str) -> Result<Command, Failure> {
    let mut child = Command::new(crate::config::this_program()?);
    child.arg(command);
    Ok(child)
}

/// Signs the nodes' tokens: drawn once, kept beside the data.
fn secret(file: &Path) -> Result<String, Failure> {
    if let Ok(secret) = std::fs::read_to_string(file) {
        return Ok(secret);
    }
    let secret = format!(
        "{:032x}{:032x}",
        rand::random::<u128>(),
        rand::random::<u128>()
    );
    super::write_private(file, &secret)?;
    Ok(secret)
}

/// Which ports the nodes listen on: those of the options, and the next ones for the next nodes.
struct Ports {
    listen: u16,
    ops: u16,
    udp: u16,
    sandbox: u16,
}

impl Ports {
    fn of(gathered: &Gathered) -> Self {
        let port = |name: &str| {
            let address = gathered.text(name).parse::<SocketAddr>();
            address.map_or(0, |address| address.port())
        };
        let udp = gathered.text("udp-port").parse().unwrap_or(0);
        Self {
            listen: port("listen"),
            ops: port("ops-listen"),
            udp,
            // Beside the nodes' own ports, however many they are.
            sandbox: match gathered.source("sandbox-listen") {
                Source::Default if port("listen") != 0 => port("listen").saturating_add(NODES_MAX),
                _ => port("sandbox-listen"),
            },
        }
    }

    fn listen(&self, node: u16) -> Result<SocketAddr, Failure> {
        loopback(self.listen, node)
    }

    fn ops(&self, node: u16) -> Result<SocketAddr, Failure> {
        loopback(self.ops, node)
    }

    /// 0: the node takes any.
    fn udp(&self, node: u16) -> u16 {
        match self.udp {
            0 => 0,
            port => port.saturating_add(node),
        }
    }

    fn sandbox(&self) -> Result<SocketAddr, Failure> {
        loopback(self.sandbox, 0)
    }
}

fn loopback(port: u16, further: u16) -> Result<SocketAddr, Failure> {
    let port = match port {
        0 => free_port()?,
        port => port.saturating_add(further),
    };
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// A port that was free a moment ago: for programs that cannot say which one they took.
fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
