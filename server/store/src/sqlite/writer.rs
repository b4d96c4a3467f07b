//! The one connection that writes. Everything that waits when a transaction ends goes into the
//! next one together: claims are decided as one set, other work runs in its own savepoint, and one
//! fdatasync makes all of it durable before anybody is answered.
//!
//! On any error of SQLite the batch is answered *unknown* and the connection is replaced: after an
//! automatic rollback nobody can say what a connection believes.

use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use vetrina_core::refused::Refused;

use super::claims;
use crate::StoreError;
use crate::ledger::{Checkout, Claimed};

/// Work that may wait; more is answered `Busy`. Ten thousand buyers at once fit.
const QUEUE_MAX: usize = 16_384;
/// Claims decided together: larger batches gain nothing and keep the first waiting.
const CLAIMS_PER_BATCH: usize = 256;
/// Other work in one transaction.
const JOBS_PER_BATCH: usize = 128;
/// How long a caller waits before the outcome is called unknown. The work is done all the same.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// First and longest pause between two attempts to open the file again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Why a piece of work did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// By the rules: its savepoint is rolled back, the batch goes on.
    Refused(Refused),
    /// SQLite failed: so did the batch.
    Sql(sqlx::Error),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

enum Request {
    Claim(Box<Checkout>, Answer<Claimed>),
    Job(Box<dyn Job>),
    Stop(oneshot::Sender<()>),
}

/// A piece of work of any kind.
trait Job: Send {
    /// Runs inside the transaction.
    fn run<'c>(
        &'c mut self,
        db: &'c mut SqliteConnection,
    ) -> BoxFuture<'c, Result<(), sqlx::Error>>;
    /// The transaction ended.
    fn finish(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Once<F, T> {
    work: Option<F>,
    outcome: Option<Result<T, Refused>>,
    answer: Answer<T>,
}

impl<F, T> Job for Once<F, T>
where
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, Failure>> + Send,
    T: Send,
{
    fn run<'c>(
        &'c mut self,
        db: &'c mut SqliteConnection,
    ) -> BoxFuture<'c, Result<(), sqlx::Error>> {
        Box::pin(async move {
            let Some(work) = self.work.take() else {
                return Ok(());
            };
            sqlx::query("SAVEPOINT job").execute(&mut *db).await?;
            match work(&mut *db).await {
                Ok(done) => self.outcome = Some(Ok(done)),
                Err(Failure::Refused(refused)) => {
                    sqlx::query("ROLLBACK TO job").execute(&mut *db).await?;
                    self.outcome = Some(Err(refused));
                }
                Err(Failure::Sql(error)) => return Err(error),
            }
            sqlx::query("RELEASE job").execute(&mut *db).await?;
            Ok(())
        })
    }

    fn finish(self: Box<Self>, committed: Result<(), StoreError>) {
        let outcome = match (committed, self.outcome) {
            (Ok(()), Some(outcome)) => outcome.map_err(StoreError::Refused),
            (Ok(()), None) => Err(StoreError::Unavailable("the work was not run".into())),
            (Err(error), _) => Err(error),
        };
        // A caller that went away has nobody to tell; the work is done.
        drop(self.answer.send(outcome));
    }
}

/// The way to the writing task.
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Request>>>,
}

impl Writer {
    pub(super) fn start(connection: SqliteConnection, options: SqliteConnectOptions) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        let task = Task {
            requests,
            connection: Some(connection),
            options,
        };
        tokio::spawn(task.run());
        Self {
            queue: Mutex::new(Some(queue)),
        }
    }

    /// Runs `work` in the next transaction; it is on disk when this returns `Ok`.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, Failure>>
            + Send
            + 'static,
        T: Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Job(Box::new(Once {
            work: Some(work),
            outcome: None,
            answer,
        })))?;
        wait(answered).await
    }

    /// Claims in the next transaction, together with all others that wait.
    pub(super) async fn claim(&self, checkout: Checkout) -> Result<Claimed, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Claim(Box::new(checkout), answer))?;
        wait(answered).await
    }

    /// Lets what is queued finish, then closes the file.
    pub(super) async fn stop(&self) {
        let queue = self
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(queue) = queue {
            let (stopped, wait) = oneshot::channel();
            if queue.send(Request::Stop(stopped)).await.is_ok() {
                // The task is gone already if nobody answers.
                drop(wait.await);
            }
        }
    }

    fn send(&self, request: Request) -> Result<(), StoreError> {
        // Held for the length of a try_send; stop() is why it exists.
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = queue.as_ref() else {
            return Err(StoreError::Unavailable("the ledger is closed".into()));
        };
        queue.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy("the ledger's queue is full"),
            mpsc::error::TrySendError::Closed(_) => {
                StoreError::Unavailable("the ledger's writer is gone".into())
            }
        })
    }
}

async fn wait<T>(answered: oneshot::Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(ANSWER_WAIT, answered).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(StoreError::Unavailable(
            "the ledger's writer is gone".into(),
        )),
        Err(_) => Err(StoreError::Unavailable(
            "the ledger did not answer in time".into(),
        )),
    }
}

struct Task {
    requests: mpsc::Receiver<Request>,
    /// `None` after an error, until it is replaced.
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
}

#[derive(Default)]
struct Batch {
    checkouts: Vec<Checkout>,
    claimants: Vec<Answer<Claimed>>,
    jobs: Vec<Box<dyn Job>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Task {
    async fn run(mut self) {
        while let Some(batch) = self.next_batch().await {
            let Batch {
                checkouts,
                claimants,
                mut jobs,
                stop,
            } = batch;
            if !checkouts.is_empty() || !jobs.is_empty() {
                let outcome = self.carry_out(&checkouts, &mut jobs).await;
                answer(outcome, claimants, jobs);
            }
            if let Some(stopped) = stop {
                self.close().await;
                stopped.send(()).ok();
                return;
            }
        }
        self.close().await;
    }

    /// Waits for the first request and takes with it what came meanwhile.
    async fn next_batch(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        batch.take(self.requests.recv().await?);
        while batch.has_room() {
            match self.requests.try_recv() {
                Ok(request) => batch.take(request),
                Err(_) => break,
            }
        }
        Some(batch)
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
        let work = AssertUnwindSafe(transaction(&mut db, checkouts, jobs)).catch_unwind();
        match work.await {
            Ok(Ok(claimed)) => {
                self.connection = Some(db);
                Ok(claimed)
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "a ledger transaction failed; opening the file anew");
                discard(db).await;
                Err(StoreError::Unavailable(error.to_string()))
            }
            Err(_) => {
                tracing::error!("a ledger transaction panicked; opening the file anew");
                discard(db).await;
                Err(StoreError::Unavailable(
                    "a ledger transaction panicked".into(),
                ))
            }
        }
    }

    /// One attempt per batch, with a growing pause inside: callers are answered meanwhile.
    async fn reconnect(&mut self) -> Result<SqliteConnection, StoreError> {
        let mut pause = RECONNECT_PAUSE;
        loop {
            match connect(&self.options).await {
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

    async fn close(&mut self) {
        if let Some(db) = self.connection.take()
            && let Err(error) = db.close().await
        {
            tracing::warn!(%error, "the ledger's file did not close cleanly");
        }
    }
}

impl Batch {
    fn take(&mut self, request: Request) {
        match request {
            Request::Claim(checkout, claimant) => {
                self.checkouts.push(*checkout);
                self.claimants.push(claimant);
            }
            Request::Job(job) => self.jobs.push(job),
            Request::Stop(stopped) => self.stop = Some(stopped),
        }
    }

    fn has_room(&self) -> bool {
        self.stop.is_none()
            && self.checkouts.len() < CLAIMS_PER_BATCH
            && self.jobs.len() < JOBS_PER_BATCH
    }
}

/// Opens the connection that writes.
pub(super) async fn connect(options: &SqliteConnectOptions) -> sqlx::Result<SqliteConnection> {
    options.connect().await
}

async fn transaction(
    db: &mut SqliteConnection,
    checkouts: &[Checkout],
    jobs: &mut [Box<dyn Job>],
) -> sqlx::Result<Vec<Result<Claimed, Refused>>> {
    // Plain statements instead of sqlx's transactions: there is no depth to get out of step.
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *db).await?;
    let claimed = if checkouts.is_empty() {
        Vec::new()
    } else {
        claims::claim_batch(db, checkouts).await?
    };
    for job in jobs {
        job.run(db).await?;
    }
    sqlx::query("COMMIT").execute(&mut *db).await?;
    Ok(claimed)
}

fn answer(
    outcome: Result<Vec<Result<Claimed, Refused>>, StoreError>,
    claimants: Vec<Answer<Claimed>>,
    jobs: Vec<Box<dyn Job>>,
) {
    let committed = outcome.as_ref().map(|_| ()).map_err(Clone::clone);
    match outcome {
        Ok(claimed) => {
            for (claimant, claimed) in claimants.into_iter().zip(claimed) {
                drop(claimant.send(claimed.map_err(StoreError::Refused)));
            }
        }
        Err(error) => {
            for claimant in claimants {
                drop(claimant.send(Err(error.clone())));
            }
        }
    }
    for job in jobs {
        job.finish(committed.clone());
    }
}

async fn discard(db: SqliteConnection) {
    // Closing rolls back what is open; it must be gone before the next connection writes.
    if let Err(error) = db.close().await {
        tracing::warn!(%error, "a failed ledger connection did not close cleanly");
    }
}
