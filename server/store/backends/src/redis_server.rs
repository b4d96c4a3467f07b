//! One redis-server: on a free port, in a temporary folder, ended by its process id.

mod groups;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::{Cmd, Connection, FromRedisValue, cmd};
use tempfile::TempDir;

use crate::free_port;
pub use groups::{RedisCluster, Watched};

/// A busy machine starts a process slowly.
const READY_WITHIN: Duration = Duration::from_secs(30);
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Another process may take a port between looking and binding.
const ATTEMPTS: usize = 5;

/// One running server. Dropping it kills it.
#[derive(Debug)]
pub struct RedisServer {
    folder: TempDir,
    child: Child,
    port: u16,
    options: Vec<String>,
}

impl RedisServer {
    /// An empty one that answers.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With more options, as on the command line.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start_with(options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let mut last = Ok(String::new());
        for _ in 0..ATTEMPTS {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let port = free_port();
            let mut server = Self {
                child: spawn(&folder, port, &options),
                folder,
                port,
                options: options.clone(),
            };
            if server.is_ready() {
                return server;
            }
            last = std::fs::read_to_string(server.folder.path().join("log"));
        }
        panic!("redis-server does not start: {last:?}");
    }

    /// An empty one that checks slots as a Cluster's node does, and serves all of them: a call
    /// whose keys are not of one slot fails.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start_alone_in_cluster() -> Self {
        let (server, _) = Self::start_in_cluster();
        server.tell(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        wait_until("the slots are served", || {
            server.says(&["CLUSTER", "INFO"], "cluster_state:ok")
        });
        server
    }

    /// A node without slots, and the port of its bus.
    fn start_in_cluster() -> (Self, u16) {
        let bus = free_port();
        let options = ["--cluster-enabled", "yes", "--cluster-port"];
        let server = Self::start_with(&[&options[..], &[&bus.to_string()]].concat());
        (server, bus)
    }

    /// Where it is, on the loopback interface.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// A connection of the default user.
    ///
    /// # Errors
    /// It does not answer in time.
    pub fn connect(&self) -> redis::RedisResult<Connection> {
        connect(&self.url())
    }

    /// A connection of this user.
    ///
    /// # Errors
    /// It does not answer in time, or does not know the user.
    pub fn connect_as(&self, user: &str, password: &str) -> redis::RedisResult<Connection> {
        connect(&format!(
            "redis://{user}:{password}@127.0.0.1:{}/",
            self.port
        ))
    }

    /// One command, on a connection of its own.
    ///
    /// # Errors
    /// It does not answer in time, or not with this.
    pub fn ask<T: FromRedisValue>(&self, command: &Cmd) -> redis::RedisResult<T> {
        command.query(&mut self.connect()?)
    }

    /// The same by its words; must succeed.
    ///
    /// # Panics
    /// It does not.
    pub fn tell(&self, words: &[&str]) {
        if let Err(error) = self.ask::<redis::Value>(&command(words)) {
            panic!("{words:?}: {error}");
        }
    }

    /// Whether it answers these words with a text that contains `text`.
    fn says(&self, words: &[&str], text: &str) -> bool {
        let said: redis::RedisResult<String> = self.ask(&command(words));
        said.is_ok_and(|said| said.contains(text))
    }

    /// SIGKILL, and again with nothing in it, on the same port.
    ///
    /// # Panics
    /// It does not start again.
    pub fn crash_and_start_empty(&mut self) {
        self.kill();
        self.child = spawn(&self.folder, self.port, &self.options);
        assert!(self.is_ready(), "redis-server does not start again");
    }

    /// SIGKILL.
    ///
    /// # Panics
    /// The process is not ours to wait for.
    pub fn kill(&mut self) {
        // Fails only if it has ended already.
        drop(self.child.kill());
        self.child.wait().expect("the process is ours");
    }

    /// `STOP` or `CONT`.
    ///
    /// # Panics
    /// The process is gone.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status();
        assert!(status.expect("kill runs").success(), "the process is there");
    }

    fn is_ready(&mut self) -> bool {
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            if self
                .child
                .try_wait()
                .expect("the process is ours")
                .is_some()
            {
                return false;
            }
            if self.ask::<String>(&cmd("PING")).is_ok() {
                return true;
            }
            std::thread::yield_now();
        }
        panic!("redis-server does not answer within {READY_WITHIN:?}");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(folder: &TempDir, port: u16, options: &[String]) -> Child {
    let log = folder.path().join("log");
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder.path())
        .arg("--logfile")
        .arg(log)
        .args(options)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server >= 7 must be installed (Debian: redis-server)")
}

fn connect(url: &str) -> redis::RedisResult<Connection> {
    let client = redis::Client::open(url)?;
    let connection = client.get_connection_with_timeout(ANSWER_WITHIN)?;
    connection.set_read_timeout(Some(ANSWER_WITHIN))?;
    Ok(connection)
}

fn command(words: &[&str]) -> Cmd {
    let (name, rest) = words.split_first().expect("a command");
    let mut command = cmd(name);
    command.arg(rest);
    command
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + READY_WITHIN;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::yield_now();
    }
}
