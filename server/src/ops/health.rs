//! Whether this node can do its work, part by part, for whoever routes traffic to it.

use std::sync::Arc;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use vetrina_store::Ledger;

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
    shutdown: CancellationToken,
}

impl Health {
    /// Of these parts.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, shutdown: CancellationToken) -> Self {
        Self { ledger, shutdown }
    }

    /// Asks every part now.
    pub async fn check(&self) -> Report {
        let ledger = self.ledger.check().await.err();
        let leaving = self.shutdown.is_cancelled();
        Report {
            parts: vec![
                PartHealth {
                    part: "ledger",
                    good: ledger.is_none(),
                    reason: ledger.map(|error| error.to_string()),
                },
                PartHealth {
                    part: "node",
                    good: !leaving,
                    reason: leaving.then(|| "the node is leaving".to_owned()),
                },
            ],
        }
    }
}
