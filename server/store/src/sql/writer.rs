//! The queue in front of what writes. Everything that waits when a transaction ends goes into the
//! next one together: claims are decided as one set, other work runs in its own savepoint, and one
//! flush to the disk makes all of it durable before anybody is answered.
//!
//! It refuses to know connections: an [`Engine`] begins, commits, and tells what a failure means.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use vetrina_core::refused::Refused;

use super::claims;
use super::db::{Db, query};
use super::locks::Locks;
use crate::StoreError;
use crate::ledger::{Checkout, Claimed};

/// Work that may wait; more is answered `Busy`. Ten thousand buyers at once fit.
const QUEUE_MAX: usize = 16_384;
/// Claims decided together. A rush fills it, and a page of an index is then written once for many
/// of them; a fifth of a second of a laptop's disk at most.
const CLAIMS_PER_BATCH: usize = 2_048;
/// Other work in one transaction.
const JOBS_PER_BATCH: usize = 128;

/// Why a piece of work did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// By the rules: its savepoint is rolled back, the batch goes on.
    Refused(Refused),
    /// The database failed: so did the batch.
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

/// Runs batches on one database.
pub(crate) trait Engine: Send + 'static {
    /// How long a caller waits before the outcome is called unknown. The work may be done all the
    /// same.
    const ANSWER_WAIT: Duration;

    /// All of it in one transaction, answered in the order given.
    fn run(
        &mut self,
        checkouts: &[Checkout],
        jobs: &mut [Box<dyn Job>],
    ) -> impl Future<Output = Outcome> + Send;

    /// Nothing comes after.
    fn close(&mut self) -> impl Future<Output = ()> + Send;
}

/// What a batch came to.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) claims: Vec<Result<Claimed, StoreError>>,
    /// Committed or not; a job knows by itself whether it was refused.
    pub(crate) jobs: Vec<Result<(), StoreError>>,
}

impl Outcome {
    /// It is committed.
    pub(crate) fn committed(claims: Vec<Result<Claimed, Refused>>, jobs: usize) -> Self {
        Self {
            claims: claims
                .into_iter()
                .map(|claim| claim.map_err(StoreError::Refused))
                .collect(),
            jobs: vec![Ok(()); jobs],
        }
    }

    /// Nobody got what was asked.
    pub(crate) fn failed(error: &StoreError, claims: usize, jobs: usize) -> Self {
        Self {
            claims: (0..claims).map(|_| Err(error.clone())).collect(),
            jobs: vec![Err(error.clone()); jobs],
        }
    }
}

/// A piece of work of any kind. It may run again when its transaction had to be repeated.
pub(crate) trait Job: Send {
    /// What must be locked before.
    fn locks(&self) -> &Locks;
    /// Runs inside the transaction.
    fn run<'c>(&'c mut self, db: &'c mut Db<'_>) -> BoxFuture<'c, sqlx::Result<()>>;
    /// The transaction ended.
    fn finish(self: Box<Self>, committed: Result<(), StoreError>);
}

/// Runs everything inside the open transaction. A panic is an error like any other.
pub(crate) async fn run_batch(
    db: &mut Db<'_>,
    checkouts: &[Checkout],
    jobs: &mut [Box<dyn Job>],
) -> sqlx::Result<Vec<Result<Claimed, Refused>>> {
    let all = async {
        let claimed = if checkouts.is_empty() {
            Vec::new()
        } else {
            claims::claim_batch(db, checkouts).await?
        };
        for job in jobs {
            job.run(db).await?;
        }
        Ok(claimed)
    };
    let outcome = AssertUnwindSafe(all).catch_unwind().await;
    outcome.unwrap_or_else(|_| {
        Err(sqlx::Error::Protocol(
            "a ledger transaction panicked".into(),
        ))
    })
}

/// What a job does, with what it was given.
pub(crate) type Run<A, T, E = Failure> =
    for<'c, 'd> fn(&'c mut Db<'d>, &'c A) -> BoxFuture<'c, Result<T, E>>;

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

struct Asked<A, T> {
    locks: Locks,
    input: A,
    work: Run<A, T>,
    outcome: Option<Result<T, Refused>>,
    answer: Answer<T>,
}

impl<A: Send, T: Send> Job for Asked<A, T> {
    fn locks(&self) -> &Locks {
        &self.locks
    }

    fn run<'c>(&'c mut self, db: &'c mut Db<'_>) -> BoxFuture<'c, sqlx::Result<()>> {
        Box::pin(async move {
            query("SAVEPOINT job").execute(db).await?;
            match (self.work)(db, &self.input).await {
                Ok(done) => self.outcome = Some(Ok(done)),
                Err(Failure::Refused(refused)) => {
                    query("ROLLBACK TO SAVEPOINT job").execute(db).await?;
                    self.outcome = Some(Err(refused));
                }
                Err(Failure::Sql(error)) => return Err(error),
            }
            query("RELEASE SAVEPOINT job").execute(db).await?;
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

enum Request {
    Claim(Box<Checkout>, Answer<Claimed>),
    Job(Box<dyn Job>),
    Stop(oneshot::Sender<()>),
}

/// The way to the writing task.
pub(crate) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Request>>>,
    answer_wait: Duration,
    counts: Arc<Counts>,
}

/// What the writing task has done so far.
#[derive(Default)]
struct Counts {
    claims: AtomicU64,
    claim_batches: AtomicU64,
}

impl Writer {
    pub(crate) fn start<E: Engine>(engine: E) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        let counts = Arc::<Counts>::default();
        let task = Task {
            requests,
            engine,
            counts: counts.clone(),
        };
        tokio::spawn(task.run());
        Self {
            queue: Mutex::new(Some(queue)),
            answer_wait: E::ANSWER_WAIT,
            counts,
        }
    }

    /// Claims that were decided, and the transactions that they were decided in.
    pub(super) fn claims(&self) -> (u64, u64) {
        (
            self.counts.claims.load(Ordering::Relaxed),
            self.counts.claim_batches.load(Ordering::Relaxed),
        )
    }

    /// Runs `work` in the next transaction; it is on disk when this returns `Ok`.
    pub(super) async fn write<A, T>(
        &self,
        locks: Locks,
        input: A,
        work: Run<A, T>,
    ) -> Result<T, StoreError>
    where
        A: Send + 'static,
        T: Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Job(Box::new(Asked {
            locks,
            input,
            work,
            outcome: None,
            answer,
        })))?;
        self.wait(answered).await
    }

    /// Claims in the next transaction, together with all others that wait.
    pub(super) async fn claim(&self, checkout: Checkout) -> Result<Claimed, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Claim(Box::new(checkout), answer))?;
        self.wait(answered).await
    }

    /// Lets what is queued finish, then closes the connection.
    pub(crate) async fn stop(&self) {
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

    async fn wait<T>(
        &self,
        answered: oneshot::Receiver<Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(self.answer_wait, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(StoreError::Unavailable(
                "the ledger's writer is gone".into(),
            )),
            Err(_) => Err(StoreError::Unavailable(
                "the ledger did not answer in time".into(),
            )),
        }
    }
}

struct Task<E> {
    requests: mpsc::Receiver<Request>,
    engine: E,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Batch {
    checkouts: Vec<Checkout>,
    claimants: Vec<Answer<Claimed>>,
    jobs: Vec<Box<dyn Job>>,
    stop: Option<oneshot::Sender<()>>,
}

impl<E: Engine> Task<E> {
    async fn run(mut self) {
        while let Some(mut batch) = self.next_batch().await {
            let stop = batch.stop.take();
            if !batch.checkouts.is_empty() || !batch.jobs.is_empty() {
                let outcome = self.engine.run(&batch.checkouts, &mut batch.jobs).await;
                self.count(&outcome);
                batch.answer(outcome);
            }
            if let Some(stopped) = stop {
                self.engine.close().await;
                stopped.send(()).ok();
                return;
            }
        }
        self.engine.close().await;
    }

    /// Counts the claims that were decided.
    fn count(&self, outcome: &Outcome) {
        let decided = |claim: &&Result<Claimed, StoreError>| {
            matches!(claim, Ok(_) | Err(StoreError::Refused(_)))
        };
        let claims = outcome.claims.iter().filter(decided).count() as u64;
        self.counts.claims.fetch_add(claims, Ordering::Relaxed);
        let batches = u64::from(claims > 0);
        self.counts
            .claim_batches
            .fetch_add(batches, Ordering::Relaxed);
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

    fn answer(self, outcome: Outcome) {
        for (claimant, claimed) in self.claimants.into_iter().zip(outcome.claims) {
            drop(claimant.send(claimed));
        }
        for (job, committed) in self.jobs.into_iter().zip(outcome.jobs) {
            job.finish(committed);
        }
    }
}
