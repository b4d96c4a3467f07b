//! One connection that writes, and what its failures mean. Nothing that was not committed happened:
//! it is done again, a bounded number of times. A commit that was not answered is *unknown*.
//!
//! On any failure the connection is dropped instead of being asked what it believes; the server
//! rolls back what was open on it.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::time::{Instant, sleep, timeout_at};
use vetrina_core::refused::Refused;
use vetrina_protocol::refusal::RefusalCode;

use crate::StoreError;
use crate::ledger::{Checkout, Claimed};
use crate::sql::db::{Db, query};
use crate::sql::locks::Locks;
use crate::sql::writer::{Engine, Job, Outcome, run_batch};

/// How long a batch may take, with all its attempts.
const BATCH_WAIT: Duration = Duration::from_millis(4_500);
/// How often a batch is tried.
const ATTEMPTS_MAX: u32 = 6;
/// Pause before the second attempt; doubles with each.
const PAUSE: Duration = Duration::from_millis(10);

/// A connection that was idle for longer is opened anew: a firewall may have forgotten it, and we
/// would find out by waiting.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// See the module's words.
pub(super) struct PostgresEngine {
    /// And when it was used last. `None` until it is needed, and after a failure.
    connection: Option<(PgConnection, Instant)>,
    options: PgConnectOptions,
}

/// Why an attempt failed.
enum Trouble {
    /// Nothing was written, and another attempt may do better.
    Again(sqlx::Error),
    /// Nothing was written, and the same will happen again.
    Hopeless(sqlx::Error),
    /// Nobody knows.
    Unknown(sqlx::Error),
}

impl PostgresEngine {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self {
            connection: None,
            options,
        }
    }

    async fn together(&mut self, checkouts: &[Checkout], jobs: &mut [Box<dyn Job>]) -> Attempted {
        let until = Instant::now() + BATCH_WAIT;
        let mut pause = PAUSE;
        let mut attempt = 1;
        loop {
            let trouble = match timeout_at(until, self.attempt(checkouts, jobs)).await {
                Ok(Ok(claimed)) => return Attempted::Committed(claimed),
                Ok(Err(trouble)) => trouble,
                Err(_) => {
                    tracing::error!("PostgreSQL did not answer a transaction in time");
                    return Attempted::Failed(StoreError::Unavailable(
                        "PostgreSQL did not answer in time".into(),
                    ));
                }
            };
            match trouble {
                Trouble::Again(error) if attempt < ATTEMPTS_MAX && Instant::now() < until => {
                    tracing::warn!(%error, attempt, "a ledger transaction is tried again");
                    sleep(pause).await;
                    pause *= 2;
                    attempt += 1;
                }
                Trouble::Again(error) if is_unreachable(&error) => {
                    tracing::error!(%error, "PostgreSQL cannot be reached");
                    return Attempted::Failed(StoreError::Unavailable(error.to_string()));
                }
                Trouble::Again(error) => {
                    tracing::error!(%error, "a ledger transaction did not succeed");
                    return Attempted::Failed(StoreError::Busy("the ledger is contended"));
                }
                Trouble::Hopeless(error) => return Attempted::Hopeless(error),
                Trouble::Unknown(error) => {
                    tracing::error!(%error, "nobody knows whether a transaction was committed");
                    return Attempted::Failed(StoreError::Unavailable(error.to_string()));
                }
            }
        }
    }

    async fn attempt(
        &mut self,
        checkouts: &[Checkout],
        jobs: &mut [Box<dyn Job>],
    ) -> Result<Vec<Result<Claimed, Refused>>, Trouble> {
        // Kept only when all went well.
        let mut connection = match self.connection.take() {
            Some((connection, used)) if used.elapsed() < IDLE_MAX => connection,
            _ => self.options.connect().await.map_err(Trouble::Again)?,
        };
        let mut db = Db::Postgres(&mut connection);
        let claimed = transaction(&mut db, checkouts, jobs).await;
        let claimed = claimed.map_err(Trouble::before_commit)?;
        let committed = query("COMMIT").execute(&mut db).await;
        committed.map_err(Trouble::at_commit)?;
        self.connection = Some((connection, Instant::now()));
        Ok(claimed)
    }
}

/// What a batch came to after all its attempts.
enum Attempted {
    Committed(Vec<Result<Claimed, Refused>>),
    Failed(StoreError),
    Hopeless(sqlx::Error),
}

impl Attempted {
    fn outcome(self, claims: usize, jobs: usize) -> Outcome {
        match self {
            Self::Committed(claimed) => Outcome::committed(claimed, jobs),
            Self::Failed(error) => Outcome::failed(&error, claims, jobs),
            Self::Hopeless(error) => {
                tracing::error!(%error, "PostgreSQL does not take what a caller asked for");
                Outcome::failed(&hopeless(&error), claims, jobs)
            }
        }
    }
}

impl Engine for PostgresEngine {
    const ANSWER_WAIT: Duration = Duration::from_secs(5);

    async fn run(&mut self, checkouts: &[Checkout], jobs: &mut [Box<dyn Job>]) -> Outcome {
        let attempted = self.together(checkouts, jobs).await;
        let several = checkouts.len() + jobs.len() > 1;
        if !(several && matches!(attempted, Attempted::Hopeless(_))) {
            return attempted.outcome(checkouts.len(), jobs.len());
        }
        // One of them is to blame: the others must not suffer.
        let mut outcome = Outcome::default();
        for checkout in checkouts {
            let alone = self.together(std::slice::from_ref(checkout), &mut []).await;
            outcome.claims.append(&mut alone.outcome(1, 0).claims);
        }
        for job in jobs {
            let alone = self.together(&[], std::slice::from_mut(job)).await;
            outcome.jobs.append(&mut alone.outcome(0, 1).jobs);
        }
        outcome
    }

    async fn close(&mut self) {
        if let Some((connection, _)) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "a connection to PostgreSQL did not close cleanly");
        }
    }
}

async fn transaction(
    db: &mut Db<'_>,
    checkouts: &[Checkout],
    jobs: &mut [Box<dyn Job>],
) -> sqlx::Result<Vec<Result<Claimed, Refused>>> {
    // Each statement sees what was committed before it: after the locks are taken, that is
    // everything that the work decides over.
    query("BEGIN ISOLATION LEVEL READ COMMITTED")
        .execute(db)
        .await?;
    let locks = Locks::of_batch(checkouts, jobs.iter().map(|job| job.locks()));
    locks.take(db).await?;
    run_batch(db, checkouts, jobs).await
}

impl Trouble {
    fn before_commit(error: sqlx::Error) -> Self {
        if is_unreachable(&error) || is_passing(&error) {
            Self::Again(error)
        } else {
            Self::Hopeless(error)
        }
    }

    fn at_commit(error: sqlx::Error) -> Self {
        // Only these say for certain that it was rolled back.
        if matches!(code(&error).as_deref(), Some(code) if code.starts_with("40")) {
            Self::Again(error)
        } else {
            Self::Unknown(error)
        }
    }
}

/// The connection is gone, or was never made.
fn is_unreachable(error: &sqlx::Error) -> bool {
    match code(error).as_deref() {
        // Connection exceptions; shut down, starting up, terminated; too many connections.
        Some(code) => code.starts_with("08") || code.starts_with("57P") || code == "53300",
        None => matches!(
            error,
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed
        ),
    }
}

/// It went wrong because of what else was going on.
fn is_passing(error: &sqlx::Error) -> bool {
    let Some(code) = code(error) else {
        return false;
    };
    // Serialization failures and deadlocks; lock, statement and idle time-outs; a read-only server
    // (a stand-by, or one that is being promoted); a row that another node made meanwhile, which
    // the next attempt will read.
    code.starts_with("40") || ["55P03", "57014", "25P03", "25006", "23505"].contains(&code.as_str())
}

fn code(error: &sqlx::Error) -> Option<String> {
    let code = error.as_database_error()?.code()?;
    Some(code.into_owned())
}

/// What the caller is told whose request PostgreSQL cannot take.
fn hopeless(error: &sqlx::Error) -> StoreError {
    match code(error) {
        // Data exceptions, such as a text with a NUL in it.
        Some(code) if code.starts_with("22") => StoreError::refused(
            RefusalCode::Invalid,
            "the request has characters that cannot be kept; remove control characters",
        ),
        _ => StoreError::Unavailable(error.to_string()),
    }
}
