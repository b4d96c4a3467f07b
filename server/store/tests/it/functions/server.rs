//! A real redis-server for one test: its own process in a temporary folder, reached by a socket
//! file, ended by its process id.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::{Client, Connection, Value};
use tempfile::TempDir;
use vetrina_store::redis::functions::{Call, CallError, load};

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
        let folder = tempfile::tempdir().expect("a temporary folder");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no"])
            .args(["--cluster-enabled", "yes", "--unixsocket", "socket"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed (Debian: apt install redis-server)");
        let server = Self { child, folder };
        let started = Instant::now();
        while server.try_connect("").is_none() {
            assert!(started.elapsed() < STARTS_WITHIN, "redis-server is not up");
            std::thread::yield_now();
        }
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

    /// A connection; `user` is empty or `?user=..&pass=..`.
    pub(crate) fn connect(&self, user: &str) -> Connection {
        self.try_connect(user).expect("it is up")
    }

    fn try_connect(&self, user: &str) -> Option<Connection> {
        let socket: PathBuf = self.folder.path().join("socket");
        let url = format!("redis+unix://{}{user}", socket.display());
        Client::open(url).expect("an address").get_connection().ok()
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
