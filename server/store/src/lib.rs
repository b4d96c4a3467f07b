//! Where state lives: the hot store (reservations, the show's log, private notices), the ledger
//! (what is promised: catalogue, orders, archive) and the blobs (pictures).
//!
//! Callers see the traits and row types of [`hot`], [`ledger`] and [`blob`] only; which
//! implementation stands behind them is chosen once, where the server is composed. This crate is
//! the only place that names SQL and Redis. It refuses to know roles, sessions and HTTP.

pub mod bench;
pub mod blob;
pub mod buckets;
pub mod hot;
pub mod leases;
pub mod ledger;
mod log;
pub mod memory;
mod percent;
pub mod postgres;
pub mod redis;
pub mod shared;
mod sql;
pub mod sqlite;

use std::sync::Arc;

use vetrina_core::refused::Refused;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::time::UnixMs;

pub use blob::BlobStore;
pub use hot::HotStore;
pub use leases::{Leased, Leases};
pub use ledger::Ledger;
pub use redis::{
    Patience, RedisAddress, RedisError, RedisOptions, RedisOutcome, RedisStore, RedisWatcher,
};
pub use shared::Shared;

/// The clock that a store is given. It must never run backwards.
pub type Now = Arc<dyn Fn() -> UnixMs + Send + Sync>;

/// Why a store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Understood and not granted; nothing was changed.
    #[error("{0}")]
    Refused(Refused),
    /// A queue is full or the disk does not keep up; nothing was done.
    #[error("too busy: {0}")]
    Busy(&'static str),
    /// No answer: the outcome is unknown. Repeat the same request with the same ids and keys. The
    /// text is for the log; the store has logged it already.
    #[error("no answer: {0}")]
    Unavailable(String),
}

impl StoreError {
    /// What a client is told. The inner text of an error never leaves.
    #[must_use]
    pub fn refusal(self) -> Refused {
        match self {
            Self::Refused(refused) => refused,
            Self::Busy(_) => Refused::for_now(
                RefusalCode::Overloaded,
                "more is asked than this server can write down; try again in a moment",
                500,
            ),
            Self::Unavailable(_) => Refused::for_now(
                RefusalCode::TryAgain,
                "the server's records did not answer; try the same again in a moment",
                1_000,
            ),
        }
    }

    /// A refusal with this code and these words.
    pub(crate) fn refused(code: RefusalCode, message: &'static str) -> Self {
        Self::Refused(Refused::new(code, message))
    }
}

impl From<Refused> for StoreError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}
