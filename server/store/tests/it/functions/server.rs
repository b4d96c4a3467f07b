//! A real redis-server for one test: its own process in a temporary folder, reached by a socket
//! file, ended by its process id.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::{Client, Connection, Value};
use tempfile::TempDir;
use vetrina_store::redis::functions::{Call, CallError, load};

const ATTEMPTS: usize = 5;
const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// Ends with the value.
pub(crate) struct RedisServer {
    child: Child,
    folder: TempDir,
}

impl RedisServer {
    /// One that keeps nothing on disk. Slots are checked as a Cluster's node does, so that a call
    /// whose keys are not of one slot fails.
    pub(crate) fn start() -> Self {
        let server = (0..ATTEMPTS)
            .find_map(|_| Self::try_start())
            .expect("redis-server starts");
        let started = Instant::now();
        let mut admin = server.connect("");
        let _: () = redis::cmd("CLUSTER")
            .arg("ADDSLOTSRANGE")
            .arg(0)
            .arg(16_383)
            .query(&mut admin)
            .expect("slots");
        while ask(&mut admin, "CLUSTER", &["INFO"]).contains("cluster_state:fail") {
            assert!(
                started.elapsed() < STARTS_WITHIN,
                "the slots are not served"
            );
            std::thread::yield_now();
        }
        run(&mut admin, &load()).expect("the library loads");
        server
    }

    /// None when it ends at once: somebody else took its port for the bus of the Cluster.
    fn try_start() -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let bus = free.local_addr().expect("an address").port();
        drop(free);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no"])
            .args(["--bind", "127.0.0.1", "--cluster-enabled", "yes"])
            .args(["--cluster-port", &bus.to_string()])
            .args(["--unixsocket", "socket"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server is installed (Debian: apt install redis-server)");
        let said = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let is_ready = |line: &String| line.contains("ready to accept connections at");
        let is_up = said.map_while(Result::ok).any(|line| is_ready(&line));
        let server = Self { child, folder };
        is_up.then_some(server)
    }

    /// A connection; `user` is empty or `?user=..&pass=..`.
    pub(crate) fn connect(&self, user: &str) -> Connection {
        let socket: PathBuf = self.folder.path().join("socket");
        let url = format!("redis+unix://{}{user}", socket.display());
        let client = Client::open(url).expect("an address");
        client.get_connection().expect("it is up")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sends a call and reads its answer.
pub(crate) fn run<T>(to: &mut Connection, call: &Call<T>) -> Result<T, CallError> {
    match call.cmd().query::<Value>(to) {
        Ok(value) => call.read(value),
        Err(error) => Err(CallError::Failed(error.to_string())),
    }
}

/// A command whose answer is a text.
pub(crate) fn ask(to: &mut Connection, command: &str, args: &[&str]) -> String {
    redis::cmd(command).arg(args).query(to).expect("answered")
}
