//! A redis-server of a test's own: on a free port, in a temporary folder, ended by its process id.
//! It refuses to know what is kept in it.

mod groups;

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::{Cmd, FromRedisValue, cmd};
use tempfile::TempDir;

pub(crate) use groups::{RedisCluster, Watched};

/// A busy machine starts a process slowly.
const READY_WITHIN: Duration = Duration::from_secs(20);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Another process may take a port between looking and binding.
const ATTEMPTS: usize = 5;

/// See the module's words.
pub(crate) struct RedisServer {
    folder: TempDir,
    child: Child,
    pub(crate) port: u16,
    options: Vec<String>,
}

impl RedisServer {
    /// An empty one that answers.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With more options, as on the command line.
    pub(crate) fn start_with(options: &[&str]) -> Self {
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

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// One command, on a connection of its own.
    pub(crate) fn ask<T: FromRedisValue>(&self, command: &Cmd) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_connection_with_timeout(ANSWER_WITHIN)?;
        connection.set_read_timeout(Some(ANSWER_WITHIN))?;
        command.query(&mut connection)
    }

    /// The same by its words; must succeed.
    pub(crate) fn tell(&self, words: &[&str]) {
        let (name, rest) = words.split_first().expect("a command");
        let mut command = cmd(name);
        command.arg(rest);
        if let Err(error) = self.ask::<redis::Value>(&command) {
            panic!("{words:?}: {error}");
        }
    }

    /// SIGKILL, and again with nothing in it, on the same port.
    pub(crate) fn crash_and_start_empty(&mut self) {
        self.kill();
        self.child = spawn(&self.folder, self.port, &self.options);
        assert!(self.is_ready(), "redis-server does not start again");
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        // Fails only if it has ended already.
        drop(self.child.kill());
        self.child.wait().expect("the process is ours");
    }

    /// `STOP` or `CONT`.
    pub(crate) fn signal(&self, name: &str) {
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

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
