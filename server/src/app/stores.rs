//! The hot side, composed: in this process, or on the Redis that several nodes share.

use std::sync::Arc;

use super::listeners::{Listeners, RunError, reachable};
use crate::clock::Clock;
use crate::config::Config;
use crate::ops::metrics::Metrics;
use crate::origins::Origins;
use vetrina_store::leases::MemoryLeases;
use vetrina_store::memory::MemoryStore;
use vetrina_store::{
    HotStore, Leases, Ledger, Now, Patience, RedisAddress, RedisError, RedisOptions, RedisStore,
    Shared,
};

/// What nodes agree on, or what the only node knows.
pub(super) struct Stores {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) hot: Arc<dyn HotStore>,
    leases: Arc<dyn Leases>,
    /// First answers and rates of all nodes; none: this is the only one.
    pub(super) shared: Option<Arc<dyn Shared>>,
}

impl Stores {
    /// Opens what the configuration names.
    ///
    /// # Errors
    /// Redis cannot be reached, or the URL is wrong.
    pub(super) fn open(
        config: &Config,
        ledger: Arc<dyn Ledger>,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Result<Self, RunError> {
        let clock = clock.clone();
        let now: Now = Arc::new(move || clock.now());
        if let Some(url) = &config.redis {
            let wrong = |error: RedisError| RunError::Redis(error.to_string());
            let address = url.expose().parse::<RedisAddress>().map_err(wrong)?;
            let options = RedisOptions {
                node: config.node.clone(),
                now,
                clock: None,
                patience: Patience::default(),
                watcher: Arc::new(metrics.clone()),
            };
            let store = RedisStore::start(&address, ledger.clone(), options).map_err(wrong)?;
            let store = Arc::new(store);
            return Ok(Self {
                hot: store.clone(),
                leases: store.clone(),
                shared: Some(store),
                ledger,
            });
        }
        Ok(Self {
            hot: Arc::new(MemoryStore::start(ledger.clone(), now.clone())),
            leases: Arc::new(MemoryLeases::new(now)),
            shared: None,
            ledger,
        })
    }

    /// Where video is. A node beside others must say where it is itself; the only one need not,
    /// and answers under whatever address it was asked.
    pub(super) fn origins(
        &self,
        config: &Config,
        listeners: &Listeners,
    ) -> Result<Origins, RunError> {
        let own = match config.node_url.as_ref().or(config.public_url.as_ref()) {
            Some(origin) => origin.to_string(),
            None if self.shared.is_none() => String::new(),
            None if config.tls.is_some() => format!("https://{}", reachable(&listeners.public)?),
            None => format!("http://{}", reachable(&listeners.public)?),
        };
        Ok(Origins::new(self.leases.clone(), &own))
    }
}
