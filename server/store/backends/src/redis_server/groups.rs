//! Several servers that know of each other: a Cluster, and a primary with a replica and sentinels.

use std::process::{Child, Command, Stdio};

use redis::cmd;
use tempfile::TempDir;

use super::{RedisServer, wait_until};
use crate::free_port;

/// How many primaries a Cluster has at least.
const PRIMARIES: u16 = 3;
const SLOTS: u16 = 16_384;
const SENTINELS: usize = 3;
/// What the sentinels call the primary.
const GROUP: &str = "shop";

/// A replica logs in as a user of its own, so that it can be shut out.
const MEMBER: [&str; 15] = [
    "--repl-diskless-sync-delay",
    "0",
    "--masteruser",
    "replica",
    "--masterauth",
    "replica",
    "--user",
    "replica",
    "on",
    ">replica",
    "+psync",
    "+replconf",
    "+ping",
    "--loglevel",
    "notice",
];

/// Three primaries that share the slots.
#[derive(Debug)]
pub struct RedisCluster {
    /// The primaries.
    pub servers: Vec<RedisServer>,
}

impl RedisCluster {
    /// An empty one that serves.
    ///
    /// # Panics
    /// It does not come about.
    #[must_use]
    pub fn start() -> Self {
        let mut servers = Vec::new();
        let mut buses = Vec::new();
        for _ in 0..PRIMARIES {
            let (server, bus) = RedisServer::start_in_cluster();
            servers.push(server);
            buses.push(bus.to_string());
        }
        let share = SLOTS / PRIMARIES + 1;
        for (number, server) in (0..).zip(&servers) {
            let first: u16 = number * share;
            let last = (first + share).min(SLOTS) - 1;
            let (first, last) = (first.to_string(), last.to_string());
            server.tell(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
            if number == 0 {
                continue;
            }
            let port = server.port.to_string();
            let bus = &buses[usize::from(number)];
            servers[0].tell(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]);
        }
        for server in &servers {
            wait_until("the Cluster agrees", || {
                let info = ["CLUSTER", "INFO"];
                server.says(&info, "cluster_state:ok")
                    && server.says(&info, "cluster_known_nodes:3")
            });
        }
        Self { servers }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        let hosts = self.servers.iter();
        let hosts: Vec<_> = hosts.map(|it| format!("127.0.0.1:{}", it.port)).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }
}

/// A primary, its replica, and three sentinels that watch them.
#[derive(Debug)]
pub struct Watched {
    /// The primary of the start.
    pub primary: RedisServer,
    _replica: RedisServer,
    sentinels: Vec<Sentinel>,
}

#[derive(Debug)]
struct Sentinel {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Watched {
    /// An empty one; everybody knows everybody.
    ///
    /// # Panics
    /// It does not come about.
    #[must_use]
    pub fn start() -> Self {
        let primary = RedisServer::start_with(&MEMBER);
        let replica = RedisServer::start_with(&MEMBER);
        replica.tell(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
        wait_until("the replica follows", || {
            replica.says(&["INFO", "replication"], "master_link_status:up")
        });
        let sentinels: Vec<_> = (0..SENTINELS)
            .map(|_| Sentinel::start(primary.port))
            .collect();
        for sentinel in &sentinels {
            wait_until("the sentinels know each other and the replica", || {
                let told = sentinel.told();
                let is = |name: &str, value: &str| {
                    told.chunks(2)
                        .any(|pair| pair[0] == name && pair[1] == value)
                };
                is("num-slaves", "1") && is("num-other-sentinels", "2")
            });
        }
        Self {
            primary,
            _replica: replica,
            sentinels,
        }
    }

    /// From now on the replica misses everything, and does not know it.
    ///
    /// # Panics
    /// The primary does not answer.
    pub fn cut(&self) {
        self.primary.tell(&["ACL", "SETUSER", "replica", "off"]);
        self.primary.tell(&["CLIENT", "KILL", "TYPE", "replica"]);
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        let hosts = self.sentinels.iter();
        let hosts: Vec<_> = hosts.map(|it| format!("127.0.0.1:{}", it.port)).collect();
        format!("redis+sentinel://{}/{GROUP}", hosts.join(","))
    }
}

impl Sentinel {
    fn start(primary: u16) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let path = folder.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nlogfile {}\n\
             sentinel monitor {GROUP} 127.0.0.1 {primary} 2\n\
             sentinel down-after-milliseconds {GROUP} 500\n\
             sentinel failover-timeout {GROUP} 3000\n",
            folder.path().display(),
            folder.path().join("log").display(),
        );
        std::fs::write(&path, text).expect("written");
        let child = Command::new("redis-server")
            .arg(&path)
            .arg("--sentinel")
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server >= 7 must be installed (Debian: redis-server)");
        Self {
            child,
            port,
            _folder: folder,
        }
    }

    /// Name, value, name, value ...
    fn told(&self) -> Vec<String> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port));
        let asked = client.and_then(|client| {
            let mut connection = client.get_connection()?;
            cmd("SENTINEL")
                .arg("MASTER")
                .arg(GROUP)
                .query(&mut connection)
        });
        asked.unwrap_or_default()
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
