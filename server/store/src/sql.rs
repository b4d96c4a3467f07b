//! The ledger in SQL, written once for SQLite and PostgreSQL: rows, statements, and the calls that
//! bring core's decisions into a transaction. Each concern of the ledger is one file below.
//!
//! It refuses to decide (what a claim or an order may do is core's; here it is read, asked,
//! written) and to know connections: those are `sqlite`'s and `postgres`'.

mod archive;
mod catalogue;
mod claim_rows;
pub(crate) mod claims;
mod codes;
pub(crate) mod db;
mod import;
mod journal;
mod listings;
pub(crate) mod locks;
mod order_rows;
mod orders;
mod outbox;
mod pages;
mod products;
mod rows;
mod shows;
pub(crate) mod writer;

use std::time::Duration;

use async_trait::async_trait;
use sqlx::Pool;
use sqlx::pool::PoolConnection;
use tokio::sync::{Semaphore, watch};

use crate::StoreError;
use crate::ledger::{Checkout, Claimed, Ledger, LedgerFigures};
use db::{Db, query};
use locks::Locks;
use writer::{Failure, Run, Writer};

/// Reads that may wait for a connection; more is answered `Busy`.
const READS_MAX: usize = 4_096;
/// How long a read may take, the wait for a connection included.
const READ_WAIT: Duration = Duration::from_secs(4);

/// One of the two databases.
pub trait Dialect: sqlx::Database {
    /// Begins a transaction whose statements all see one moment.
    const BEGIN_MOMENT: &'static str;

    /// Its connection, for statements.
    fn db(connection: &mut Self::Connection) -> Db<'_>;
}

/// A ledger in either database.
pub struct SqlLedger<D: Dialect> {
    writers: Vec<Writer>,
    readers: Pool<D>,
    reading: Semaphore,
    work: watch::Sender<u64>,
}

impl<D: Dialect> SqlLedger<D> {
    pub(crate) fn new(writers: Vec<Writer>, readers: Pool<D>) -> Self {
        Self {
            writers,
            readers,
            reading: Semaphore::new(READS_MAX),
            work: watch::Sender::new(0),
        }
    }

    /// Claims together with all others that wait.
    async fn claim_units(&self, checkout: Checkout) -> Result<Claimed, StoreError> {
        self.writer(&Locks::show(checkout.show))
            .claim(checkout)
            .await
    }

    /// Runs `work` in the next transaction, with these locks.
    async fn write<A, T>(&self, locks: Locks, input: A, work: Run<A, T>) -> Result<T, StoreError>
    where
        A: Send + 'static,
        T: Send + 'static,
    {
        self.writer(&locks).write(locks.clone(), input, work).await
    }

    /// Work about one thing goes through one writer, where it gathers; other things do not wait.
    fn writer(&self, locks: &Locks) -> &Writer {
        let lanes = self.writers.len() as u128;
        let lane = usize::try_from(locks.subject() % lanes).unwrap_or_default();
        &self.writers[lane]
    }

    /// Reads what was committed.
    async fn read<A, T, E>(&self, input: A, work: Run<A, T, E>) -> Result<T, StoreError>
    where
        A: Send + Sync,
        T: Send,
        Failure: From<E>,
    {
        let reading = async {
            let mut reader = self.reader().await?;
            let outcome = work(&mut reader.db(), &input).await;
            reader.answer(outcome.map_err(Failure::from))
        };
        self.bounded(reading).await
    }

    /// Reads with several statements that all see one moment.
    async fn read_moment<A, T>(&self, input: A, work: Run<A, T>) -> Result<T, StoreError>
    where
        A: Send + Sync,
        T: Send,
    {
        let reading = async {
            let mut reader = self.reader().await?;
            let outcome = async {
                query(D::BEGIN_MOMENT).execute(&mut reader.db()).await?;
                let outcome = work(&mut reader.db(), &input).await;
                query("COMMIT").execute(&mut reader.db()).await?;
                outcome
            };
            let outcome = outcome.await;
            reader.answer(outcome)
        };
        self.bounded(reading).await
    }

    async fn bounded<T>(
        &self,
        reading: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let Ok(_place) = self.reading.try_acquire() else {
            return Err(StoreError::Busy("too much is read at once"));
        };
        match tokio::time::timeout(READ_WAIT, reading).await {
            Ok(outcome) => outcome,
            Err(_) => Err(StoreError::Unavailable(
                "the ledger did not answer in time".into(),
            )),
        }
    }

    async fn reader(&self) -> Result<Reader<D>, StoreError> {
        match self.readers.acquire().await {
            Ok(connection) => Ok(Reader(Some(connection))),
            Err(sqlx::Error::PoolTimedOut) => Err(StoreError::Busy("all readers are busy")),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// New work is in the outbox.
    fn tell_workers(&self) {
        self.work
            .send_modify(|changes| *changes = changes.wrapping_add(1));
    }
}

#[async_trait]
impl<D: Dialect> Ledger for SqlLedger<D> {
    async fn figures(&self) -> Result<LedgerFigures, StoreError> {
        let outbox_waiting = self
            .read((), |db, ()| Box::pin(outbox::waiting(db)))
            .await?;
        let counts = self.writers.iter().map(Writer::claims);
        let sum = |(claims, batches), (more, of)| (claims + more, batches + of);
        let (claims, claim_batches) = counts.fold((0, 0), sum);
        Ok(LedgerFigures {
            claims,
            claim_batches,
            outbox_waiting,
        })
    }

    async fn close(&self) {
        for writer in &self.writers {
            writer.stop().await;
        }
        self.readers.close().await;
    }
}

impl<D: Dialect> std::fmt::Debug for SqlLedger<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlLedger").finish_non_exhaustive()
    }
}

/// A connection that reads. Unless it answered, it is closed instead of given back: nobody knows
/// what it is waiting for.
struct Reader<D: Dialect>(Option<PoolConnection<D>>);

impl<D: Dialect> Reader<D> {
    fn db(&mut self) -> Db<'_> {
        D::db(self.0.as_mut().expect("it is there until it has answered"))
    }

    fn answer<T>(mut self, outcome: Result<T, Failure>) -> Result<T, StoreError> {
        match outcome {
            Ok(read) => {
                drop(self.0.take());
                Ok(read)
            }
            Err(Failure::Refused(refused)) => {
                drop(self.0.take());
                Err(StoreError::Refused(refused))
            }
            Err(Failure::Sql(error)) => Err(unavailable(&error)),
        }
    }
}

impl<D: Dialect> Drop for Reader<D> {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

/// What reading came to, for callers.
fn unavailable(error: &sqlx::Error) -> StoreError {
    tracing::error!(%error, "the ledger could not be read");
    StoreError::Unavailable(error.to_string())
}
