//! Figures that the ledger counts itself.

use prometheus::{IntCounter, IntGauge};
use vetrina_store::ledger::LedgerFigures;

use super::maker::Maker;

pub(super) struct LedgerMetrics {
    claims: IntCounter,
    claim_batches: IntCounter,
    outbox_waiting: IntGauge,
}

impl LedgerMetrics {
    /// All zero.
    pub(super) fn new(make: &Maker) -> Self {
        Self {
            claims: make.counter(
                "claims_total",
                "Checkouts that the ledger decided, granted or refused.",
            ),
            claim_batches: make.counter(
                "claim_batches_total",
                "Transactions that checkouts were decided in.",
            ),
            outbox_waiting: make.gauge(
                "outbox_waiting",
                "Work that follows from orders and is still to be done, of all nodes.",
            ),
        }
    }

    /// Takes over what the ledger has counted.
    pub(super) fn take(&self, figures: &LedgerFigures) {
        let missing = |counter: &IntCounter, now: u64| now.saturating_sub(counter.get());
        self.claims.inc_by(missing(&self.claims, figures.claims));
        self.claim_batches
            .inc_by(missing(&self.claim_batches, figures.claim_batches));
        self.outbox_waiting
            .set(i64::try_from(figures.outbox_waiting).unwrap_or(i64::MAX));
    }
}
