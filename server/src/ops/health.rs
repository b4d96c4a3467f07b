//! Whether this node can do its work, part by part, for whoever routes traffic to it.

use std::sync::Arc;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use vetrina_store::{HotStore, Ledger, StoreError};

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Each part.
    pub parts: Vec<PartHealth>,
}

/// One part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartHealth {
    /// Which.
    pub part: &'static str,
    /// It works.
    pub good: bool,
    /// What does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Report {
    /// Every part works.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.parts.iter().all(|part| part.good)
    }
}

/// Asks the parts.
#[derive(Clone)]
pub struct Health {
    ledger: Arc<dyn Ledger>,
    hot: Arc<dyn HotStore>,
    shutdown: CancellationToken,
}

impl Health {
    /// Of these parts.
    #[must_use]
    pub fn new(
        ledger: Arc<dyn Ledger>,
        hot: Arc<dyn HotStore>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            ledger,
            hot,
            shutdown,
        }
    }

    /// Asks every part now.
    pub async fn check(&self) -> Report {
        let (ledger, hot) = tokio::join!(self.ledger.check(), self.hot.check());
        let store = |part, checked: Result<(), StoreError>| PartHealth {
            part,
            good: checked.is_ok(),
            reason: checked.err().map(|error| error.to_string()),
        };
        let leaving = self.shutdown.is_cancelled();
        Report {
            parts: vec![
                store("ledger", ledger),
                store("hot store", hot),
                PartHealth {
                    part: "node",
                    good: !leaving,
                    reason: leaving.then(|| "the node is leaving".to_owned()),
                },
            ],
        }
    }
}
