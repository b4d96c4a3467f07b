//! What the suite runs on: every pair of a ledger and a hot store that the server may be given.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use vetrina_store::Now;
use vetrina_store::hot::HotStore;
use vetrina_store::ledger::Ledger;
use vetrina_store::memory::MemoryStore;
use vetrina_store::redis::{Patience, RedisAddress, RedisOptions, RedisStore};
use vetrina_store::sqlite::SqliteLedger;

use super::world::DEADLINE;
use vetrina_backends::{PostgresServer, RedisCluster, RedisServer};

/// What the suite runs on.
#[async_trait]
pub(crate) trait Backend: Send + Sync {
    /// The hot store lives outside of the process: a start joins what is there, and several
    /// processes write one log.
    const SHARED: bool;
    /// Nothing in it.
    fn new() -> Self;
    /// Opens the ledger, the same data every time.
    async fn ledger(&self) -> Arc<dyn Ledger>;
    /// A hot store that knows nothing yet.
    async fn hot(&self, ledger: Arc<dyn Ledger>, now: Now) -> Arc<dyn HotStore>;
    /// Makes the hot store lose everything, while nobody uses it.
    async fn forget(&self);
}

/// The defaults of one process.
pub(crate) struct SqliteAndMemory {
    folder: TempDir,
}

#[async_trait]
impl Backend for SqliteAndMemory {
    const SHARED: bool = false;

    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    async fn ledger(&self) -> Arc<dyn Ledger> {
        let path = self.folder.path().join("ledger.db");
        Arc::new(SqliteLedger::open(&path).await.expect("the ledger opens"))
    }

    async fn hot(&self, ledger: Arc<dyn Ledger>, now: Now) -> Arc<dyn HotStore> {
        Arc::new(MemoryStore::start(ledger, now))
    }

    async fn forget(&self) {
        // It forgot everything when its process ended.
    }
}

/// One Redis of the test's own.
pub(crate) struct SqliteAndRedis {
    sqlite: SqliteAndMemory,
    pub(crate) redis: RedisServer,
}

#[async_trait]
impl Backend for SqliteAndRedis {
    const SHARED: bool = true;

    fn new() -> Self {
        Self {
            sqlite: SqliteAndMemory::new(),
            redis: RedisServer::start(),
        }
    }

    async fn ledger(&self) -> Arc<dyn Ledger> {
        self.sqlite.ledger().await
    }

    async fn hot(&self, ledger: Arc<dyn Ledger>, now: Now) -> Arc<dyn HotStore> {
        Arc::new(redis_store(&self.redis.url(), ledger, now))
    }

    async fn forget(&self) {
        self.redis.tell(&["FLUSHALL"]);
    }
}

/// A Redis Cluster of three processes of the test's own.
pub(crate) struct SqliteAndCluster {
    sqlite: SqliteAndMemory,
    redis: RedisCluster,
}

#[async_trait]
impl Backend for SqliteAndCluster {
    const SHARED: bool = true;

    fn new() -> Self {
        Self {
            sqlite: SqliteAndMemory::new(),
            redis: RedisCluster::start(),
        }
    }

    async fn ledger(&self) -> Arc<dyn Ledger> {
        self.sqlite.ledger().await
    }

    async fn hot(&self, ledger: Arc<dyn Ledger>, now: Now) -> Arc<dyn HotStore> {
        Arc::new(redis_store(&self.redis.url(), ledger, now))
    }

    async fn forget(&self) {
        for server in &self.redis.servers {
            server.tell(&["FLUSHALL"]);
        }
    }
}

/// A node by the test's clock, patient with a busy machine.
pub(crate) fn redis_store(url: &str, ledger: Arc<dyn Ledger>, now: Now) -> RedisStore {
    let options = RedisOptions {
        watcher: Arc::new(()),
        node: "test".into(),
        clock: Some(Arc::clone(&now)),
        now,
        patience: Patience {
            call: Duration::from_secs(5),
            open: DEADLINE,
            ..Patience::default()
        },
    };
    let address: RedisAddress = url.parse().expect("a good address");
    RedisStore::start(&address, ledger, options).expect("the store starts")
}

/// The ledger of many nodes, with the hot store of one.
pub(crate) struct PostgresAndMemory {
    pub(crate) server: PostgresServer,
}

#[async_trait]
impl Backend for PostgresAndMemory {
    const SHARED: bool = false;

    fn new() -> Self {
        Self {
            server: PostgresServer::start(env!("CARGO_TARGET_TMPDIR")),
        }
    }

    async fn ledger(&self) -> Arc<dyn Ledger> {
        let ledger = vetrina_store::ledger::open(&self.server.url()).await;
        ledger.expect("the ledger opens")
    }

    async fn hot(&self, ledger: Arc<dyn Ledger>, now: Now) -> Arc<dyn HotStore> {
        Arc::new(MemoryStore::start(ledger, now))
    }

    async fn forget(&self) {
        // It forgot everything when its process ended.
    }
}
