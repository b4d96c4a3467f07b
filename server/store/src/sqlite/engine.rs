//! The one connection that writes. On any error of SQLite the batch is answered *unknown* and the
//! connection is replaced: after an automatic rollback nobody can say what a connection believes.

use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use vetrina_core::refused::Refused;

use crate::StoreError;
use crate::ledger::{Checkout, Claimed};
use crate::sql::db::{Db, query};
use crate::sql::writer::{Engine, Job, Outcome, run_batch};

/// First and longest pause between two attempts to open the file again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(2);

/// See the module's words.
pub(super) struct SqliteEngine {
    /// `None` after an error, until it is replaced.
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
}

impl SqliteEngine {
    pub(super) fn new(connection: SqliteConnection, options: SqliteConnectOptions) -> Self {
        Self {
            connection: Some(connection),
            options,
        }
    }

    /// One attempt per batch, with a growing pause inside: callers are answered meanwhile.
    async fn reconnect(&self) -> Result<SqliteConnection, StoreError> {
        let mut pause = RECONNECT_PAUSE;
        loop {
            match self.options.connect().await {
                Ok(db) => return Ok(db),
                Err(error) if pause >= RECONNECT_PAUSE_MAX => {
                    tracing::error!(%error, "the ledger's file cannot be opened");
                    return Err(StoreError::Unavailable(error.to_string()));
                }
                Err(_) => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
            }
        }
    }

    async fn carry_out(
        &mut self,
        checkouts: &[Checkout],
        jobs: &mut [Box<dyn Job>],
    ) -> Result<Vec<Result<Claimed, Refused>>, StoreError> {
        let mut db = match self.connection.take() {
            Some(db) => db,
            None => self.reconnect().await?,
        };
        match transaction(&mut db, checkouts, jobs).await {
            Ok(claimed) => {
                self.connection = Some(db);
                Ok(claimed)
            }
            Err(error) => {
                tracing::error!(%error, "a ledger transaction failed; opening the file anew");
                discard(db).await;
                Err(StoreError::Unavailable(error.to_string()))
            }
        }
    }
}

impl Engine for SqliteEngine {
    const ANSWER_WAIT: Duration = Duration::from_secs(10);

    async fn run(&mut self, checkouts: &[Checkout], jobs: &mut [Box<dyn Job>]) -> Outcome {
        match self.carry_out(checkouts, jobs).await {
            Ok(claimed) => Outcome::committed(claimed, jobs.len()),
            Err(error) => Outcome::failed(&error, checkouts.len(), jobs.len()),
        }
    }

    async fn close(&mut self) {
        if let Some(db) = self.connection.take()
            && let Err(error) = db.close().await
        {
            tracing::warn!(%error, "the ledger's file did not close cleanly");
        }
    }
}

async fn transaction(
    connection: &mut SqliteConnection,
    checkouts: &[Checkout],
    jobs: &mut [Box<dyn Job>],
) -> sqlx::Result<Vec<Result<Claimed, Refused>>> {
    let mut db = Db::Sqlite(connection);
    // Plain statements instead of sqlx's transactions: there is no depth to get out of step.
    query("BEGIN IMMEDIATE").execute(&mut db).await?;
    let claimed = run_batch(&mut db, checkouts, jobs).await?;
    query("COMMIT").execute(&mut db).await?;
    Ok(claimed)
}

async fn discard(db: SqliteConnection) {
    // Closing rolls back what is open; it must be gone before the next connection writes.
    if let Err(error) = db.close().await {
        tracing::warn!(%error, "a failed ledger connection did not close cleanly");
    }
}
