//! Redis of our own: one server, or a primary with a replica and three sentinels that watch them.
//! Servers keep nothing on disk: one that starts again is empty.

use std::path::Path;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, FromRedisValue, cmd};

use super::process::{Process, Recipe};
use super::{StackError, free_address};

/// The sentinels' name for the primary.
const GROUP: &str = "vetrina";
/// A primary that is silent for this long is taken for dead.
const DOWN_AFTER_MS: u64 = 2_000;
/// A second failover may follow after twice this time.
const FAILOVER_MS: u64 = 3_000;
/// How a replica logs in; so that a primary can shut replicas out and nobody else.
const REPLICA: &str = "replica";
const READY_WITHIN: Duration = Duration::from_secs(15);
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(25);
const ADVICE: &str = "install Redis >= 7 (Debian: redis-server)";

/// One server.
pub(crate) struct RedisServer {
    pub(crate) process: Process,
    pub(crate) port: u16,
}

impl RedisServer {
    /// Starts an empty one; back when it answers.
    pub(crate) async fn start(name: &str, folder: &Path) -> Result<Self, StackError> {
        let port = free_address()?.port();
        let user = format!("{REPLICA} on >{REPLICA} +psync +replconf +ping");
        let recipe = Recipe {
            advice: ADVICE,
            ..Recipe::new(name, "redis-server", folder)
        };
        let process = recipe
            .with(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .with(["--save", "", "--appendonly", "no", "--dir"])
            .with([folder.as_os_str()])
            // Its disk may become another one while it runs.
            .with(["--enable-protected-configs", "local"])
            .with(["--repl-diskless-sync-delay", "0", "--repl-timeout", "5"])
            .with(["--masteruser", REPLICA, "--masterauth", REPLICA, "--user"])
            .with(user.split(' '))
            .start()?;
        let mut server = Self { process, port };
        server.ready().await?;
        Ok(server)
    }

    /// As the server takes it with --redis.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// One command on a connection of its own.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StackError> {
        ask(self.port, command).await
    }

    /// A field of INFO.
    pub(crate) async fn info(&self, section: &str, field: &str) -> Result<String, StackError> {
        let text: String = self.ask(cmd("INFO").arg(section)).await?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .unwrap_or_default();
        Ok(value.trim().to_owned())
    }

    /// Kills it with SIGKILL and starts it again, empty, at once.
    pub(crate) async fn crash(&mut self) -> Result<(), StackError> {
        self.process.kill()?;
        self.process.start_again()?;
        self.ready().await
    }

    async fn start_again(&mut self) -> Result<(), StackError> {
        self.process.start_again()?;
        self.ready().await
    }

    async fn ready(&mut self) -> Result<(), StackError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            self.process.still_runs()?;
            match self.ask::<String>(&cmd("PING")).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    async fn follow(&self, primary: u16) -> Result<(), StackError> {
        let mut follow = cmd("REPLICAOF");
        self.ask(follow.arg("127.0.0.1").arg(primary)).await
    }
}

async fn connect(port: u16) -> Result<MultiplexedConnection, StackError> {
    let client = Client::open(format!("redis://127.0.0.1:{port}/"))?;
    let connected = client.get_multiplexed_async_connection();
    Ok(tokio::time::timeout(ANSWER_WITHIN, connected)
        .await
        .map_err(|_| StackError::Silent("Redis"))??)
}

async fn ask<T: FromRedisValue>(port: u16, command: &Cmd) -> Result<T, StackError> {
    let mut connection = connect(port).await?;
    let answer = command.query_async(&mut connection);
    Ok(tokio::time::timeout(ANSWER_WITHIN, answer)
        .await
        .map_err(|_| StackError::Silent("Redis"))??)
}

/// Two servers, one of which follows the other, and three sentinels.
pub(crate) struct RedisGroup {
    servers: [RedisServer; 2],
    /// Which of them is the primary.
    primary: usize,
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    /// Ends with this value.
    _process: Process,
    port: u16,
}

impl RedisGroup {
    /// Starts all five; back when the sentinels know the replica and each other.
    pub(crate) async fn start(folder: &Path) -> Result<Self, StackError> {
        let first = RedisServer::start("redis-1", folder).await?;
        let second = RedisServer::start("redis-2", folder).await?;
        second.follow(first.port).await?;
        let mut sentinels = Vec::new();
        for n in 1..=3 {
            sentinels.push(sentinel(n, first.port, folder)?);
        }
        let group = Self {
            servers: [first, second],
            primary: 0,
            sentinels,
        };
        group.settled().await?;
        Ok(group)
    }

    /// As the server takes it with --redis.
    pub(crate) fn url(&self) -> String {
        let hosts: Vec<String> = self
            .sentinels
            .iter()
            .map(|sentinel| format!("127.0.0.1:{}", sentinel.port))
            .collect();
        format!("redis+sentinel://{}/{GROUP}", hosts.join(","))
    }

    pub(crate) fn primary(&self) -> &RedisServer {
        &self.servers[self.primary]
    }

    pub(crate) fn primary_mut(&mut self) -> &mut RedisServer {
        &mut self.servers[self.primary]
    }

    pub(crate) fn replica(&self) -> &RedisServer {
        &self.servers[1 - self.primary]
    }

    /// Starts the one that was the primary before, empty.
    pub(crate) async fn start_old(&mut self) -> Result<(), StackError> {
        self.servers[1 - self.primary].start_again().await
    }

    /// Whether the primary lets its replica follow. Without it the replica falls behind.
    pub(crate) async fn replicate(&self, on: bool) -> Result<(), StackError> {
        let primary = self.primary();
        let state = if on { "on" } else { "off" };
        let mut rule = cmd("ACL");
        let _: () = primary
            .ask(rule.arg("SETUSER").arg(REPLICA).arg(state))
            .await?;
        if !on {
            let mut cut = cmd("CLIENT");
            let _: i64 = primary
                .ask(cut.arg("KILL").arg("TYPE").arg("replica"))
                .await?;
        }
        Ok(())
    }

    /// How long the sentinels bear with a silent primary; `None`: as usual.
    pub(crate) async fn patience(&self, ms: Option<u64>) -> Result<(), StackError> {
        for sentinel in &self.sentinels {
            let mut set = cmd("SENTINEL");
            set.arg("SET").arg(GROUP).arg("down-after-milliseconds");
            let _: () = ask(sentinel.port, set.arg(ms.unwrap_or(DOWN_AFTER_MS))).await?;
        }
        Ok(())
    }

    /// Waits until the sentinels made the replica the primary; gives how long that took.
    pub(crate) async fn promoted(&mut self, within: Duration) -> Result<Duration, StackError> {
        let began = Instant::now();
        let port = self.replica().port;
        while began.elapsed() < within {
            let role = self.replica().info("replication", "role").await;
            if self.named().await == Some(port) && role.is_ok_and(|role| role == "master") {
                self.primary = 1 - self.primary;
                return Ok(began.elapsed());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(StackError::Silent("the sentinels: no failover"))
    }

    /// Waits until there is a primary with a replica that follows it, and all sentinels know it.
    pub(crate) async fn settled(&self) -> Result<(), StackError> {
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            if self.looks_settled().await {
                return Ok(());
            }
            // A primary that came back believes in itself until somebody tells it.
            if let Ok(role) = self.replica().info("replication", "role").await
                && role == "master"
            {
                self.replica().follow(self.primary().port).await?;
            }
            tokio::time::sleep(LOOK_EVERY * 4).await;
        }
        Err(StackError::Silent("Redis: the replica does not follow"))
    }

    async fn looks_settled(&self) -> bool {
        let link = self
            .replica()
            .info("replication", "master_link_status")
            .await;
        let port = self.replica().info("replication", "master_port").await;
        let follows = link.is_ok_and(|link| link == "up")
            && port.is_ok_and(|port| port == self.primary().port.to_string());
        let mut known = true;
        for sentinel in &self.sentinels {
            let mut quorum = cmd("SENTINEL");
            let quorum: Result<String, _> =
                ask(sentinel.port, quorum.arg("CKQUORUM").arg(GROUP)).await;
            let mut replicas = cmd("SENTINEL");
            let replicas: Result<Vec<redis::Value>, _> =
                ask(sentinel.port, replicas.arg("REPLICAS").arg(GROUP)).await;
            known &= quorum.is_ok_and(|quorum| quorum.contains("3 usable"))
                && replicas.is_ok_and(|replicas| !replicas.is_empty());
        }
        follows && known && self.named().await == Some(self.primary().port)
    }

    /// The primary's port by the first sentinel that answers.
    async fn named(&self) -> Option<u16> {
        for sentinel in &self.sentinels {
            let mut named = cmd("SENTINEL");
            named.arg("GET-MASTER-ADDR-BY-NAME").arg(GROUP);
            if let Ok((_, port)) = ask::<(String, String)>(sentinel.port, &named).await {
                return port.parse().ok();
            }
        }
        None
    }
}

fn sentinel(n: usize, primary: u16, folder: &Path) -> Result<Sentinel, StackError> {
    let port = free_address()?.port();
    let name = format!("sentinel-{n}");
    let file = folder.join(format!("{name}.conf"));
    let text = format!(
        "port {port}\nbind 127.0.0.1\ndir {folder}\n\
         sentinel monitor {GROUP} 127.0.0.1 {primary} 2\n\
         sentinel down-after-milliseconds {GROUP} {DOWN_AFTER_MS}\n\
         sentinel failover-timeout {GROUP} {FAILOVER_MS}\n",
        folder = folder.display(),
    );
    std::fs::write(&file, text)?;
    let recipe = Recipe {
        advice: ADVICE,
        ..Recipe::new(name, "redis-server", folder)
    };
    let process = recipe
        .with([file.as_os_str()])
        .with(["--sentinel"])
        .start()?;
    Ok(Sentinel {
        _process: process,
        port,
    })
}
