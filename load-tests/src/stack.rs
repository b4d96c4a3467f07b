//! A whole installation of our own on this machine: nodes, and where asked for Redis with a replica
//! and sentinels, PostgreSQL, and the sandbox payment provider. Every process listens on a free
//! loopback port, lives in one temporary folder, and ends with the value that stands for it: also
//! when a command fails or is interrupted.

pub(crate) mod node;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod redis;
pub(crate) mod sandbox;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::buyer::BuyerError;

use node::{Node, Shared, host_token};
use postgres::Postgres;
use process::{Process, ending};
use redis::{RedisGroup, RedisServer};
use sandbox::Provider;

/// Signs tokens and webhooks of servers that we start; they listen on loopback and end with us.
pub(crate) const SECRET: &str = "load-tests-only-secret-of-a-server-on-loopback";

/// Why there is no installation, or why it does not work any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StackError {
    #[error("cannot start {0}: {1}; {2}")]
    Start(PathBuf, std::io::Error, &'static str),
    #[error("{0} ended: {how}: {2}", how = ending(*.1))]
    Ended(String, ExitStatus, String),
    #[error("no answer from {0}")]
    Silent(&'static str),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("Redis: {0}")]
    Redis(#[from] ::redis::RedisError),
    #[error("PostgreSQL: {0}")]
    Postgres(#[from] sqlx::Error),
    #[error("{0}")]
    Http(#[from] BuyerError),
}

/// Where the nodes keep what they share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stores {
    /// In the node itself: there can be one only.
    Own,
    /// One Redis and one PostgreSQL.
    Single,
    /// Redis with a replica and three sentinels, and PostgreSQL.
    Watched,
}

/// What to start.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) stores: Stores,
    pub(crate) nodes: usize,
    /// The sandbox as a process of its own; without it there are no payments, unless `arguments`
    /// say otherwise.
    pub(crate) sandbox: bool,
    pub(crate) guard_off: bool,
    pub(crate) arguments: Vec<String>,
    /// The cores that nodes may use; none named: all.
    pub(crate) cores: Vec<usize>,
}

/// What runs. Fields are dropped in this order: nodes first.
pub(crate) struct Stack {
    pub(crate) nodes: Vec<Node>,
    pub(crate) sandbox: Option<(Process, Provider)>,
    pub(crate) group: Option<RedisGroup>,
    _redis: Option<RedisServer>,
    pub(crate) postgres: Option<Postgres>,
    /// A host's, for all shows of the one seller.
    pub(crate) token: String,
    pub(crate) http: reqwest::Client,
    /// Removed at the end.
    folder: tempfile::TempDir,
}

impl Plan {
    /// This many nodes that sell and take no payments: alone, or with Redis and PostgreSQL.
    pub(crate) fn selling(nodes: usize, stores: Stores) -> Self {
        Self {
            stores,
            nodes,
            sandbox: false,
            guard_off: false,
            arguments: Vec::new(),
            cores: Vec::new(),
        }
    }
}

impl Stack {
    /// Starts everything; back when every node is ready.
    pub(crate) async fn start(plan: &Plan) -> Result<Self, StackError> {
        let folder = tempfile::Builder::new().prefix("vetrina-load-").tempdir()?;
        let path = folder.path();
        let addresses = (0..plan.nodes)
            .map(|_| free_address())
            .collect::<Result<Vec<_>, _>>()?;
        let mut shared = Shared {
            guard_off: plan.guard_off,
            arguments: plan.arguments.clone(),
            cores: plan.cores.clone(),
            ..Shared::default()
        };
        let (mut single, mut group, mut postgres) = (None, None, None);
        match plan.stores {
            Stores::Own => {}
            Stores::Single => {
                let server = RedisServer::start("redis", path).await?;
                shared.redis = Some(server.url());
                single = Some(server);
            }
            Stores::Watched => {
                let all = RedisGroup::start(path).await?;
                shared.redis = Some(all.url());
                group = Some(all);
            }
        }
        if plan.stores != Stores::Own {
            let ours = Postgres::start(path).await?;
            shared.database = Some(ours.url.clone());
            postgres = Some(ours);
        }
        let mut sandbox = None;
        if plan.sandbox {
            let address = free_address()?;
            shared.sandbox = Some(address);
            sandbox = Some(sandbox::start(path, address, &addresses).await?);
        }
        let token = host_token(path, &path.join(node_name(0)), &shared).await?;
        let mut stack = Self {
            nodes: Vec::new(),
            sandbox,
            group,
            _redis: single,
            postgres,
            token,
            http: client()?,
            folder,
        };
        stack.start_nodes(&addresses, &shared).await?;
        Ok(stack)
    }

    async fn start_nodes(
        &mut self,
        addresses: &[SocketAddr],
        shared: &Shared,
    ) -> Result<(), StackError> {
        for (n, address) in addresses.iter().enumerate() {
            let node = Node::spawn(&node_name(n), self.folder.path(), *address, shared)?;
            self.nodes.push(node);
        }
        for node in &mut self.nodes {
            node.ready(&self.http).await?;
        }
        Ok(())
    }

    /// Resident memory of the largest node, in megabytes.
    pub(crate) fn largest_node_mb(&self) -> f64 {
        let sizes = self.nodes.iter().map(|node| node.process.resident_mb());
        sizes.fold(0.0, f64::max)
    }

    /// Everybody's folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Keeps the folder with everybody's logs, and says where it is.
    pub(crate) fn keep_folder(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }
}

fn node_name(n: usize) -> String {
    format!("node-{}", n + 1)
}

/// A client that no proxy of the environment comes between.
pub(crate) fn client() -> Result<reqwest::Client, BuyerError> {
    Ok(reqwest::Client::builder().no_proxy().build()?)
}

/// A port that was free a moment ago. Somebody may take it before the server does; then the server
/// says so and the command fails, which is rare enough to be run again.
pub(crate) fn free_address() -> Result<SocketAddr, std::io::Error> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
