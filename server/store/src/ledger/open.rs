//! Which ledger stands behind the traits: chosen by a URL, once, where a program is composed.
//!
//! It never repeats a URL in an error: there may be a password in it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Ledger;
use crate::postgres::{self, PostgresLedger};
use crate::sql::claims;
use crate::sqlite::{self, SqliteLedger};

/// How a ledger's URL begins.
const SQLITE: &str = "sqlite:";
const POSTGRES: [&str; 2] = ["postgres:", "postgresql:"];

/// Why a ledger did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is none of ours.
    #[error(
        "the database URL begins with neither `sqlite:` nor `postgres:`; write sqlite:PATH or \
         postgres://user@host:port/name"
    )]
    Scheme,
    /// The URL of a SQLite ledger names no file.
    #[error("the database URL names no file; write sqlite:PATH, such as sqlite:data/ledger.sqlite")]
    NoFile,
    /// SQLite's file did not open.
    #[error(transparent)]
    Sqlite(#[from] sqlite::OpenError),
    /// PostgreSQL's database did not open.
    #[error(transparent)]
    Postgres(#[from] postgres::OpenError),
}

/// Whether `url` is of a database that several nodes may share.
#[must_use]
pub fn is_shared(url: &str) -> bool {
    POSTGRES.iter().any(|scheme| url.starts_with(scheme))
}

/// Switches off, in this process and in the database, what keeps claims from overselling. A
/// test of faults runs once without it, to see that it would notice; there is no other use.
///
/// # Errors
/// See [`OpenError`].
pub async fn without_guard(url: &str) -> Result<(), OpenError> {
    claims::GUARD_IS_OFF.store(true, Ordering::Relaxed);
    if is_shared(url) {
        postgres::drop_guard(url).await?;
    }
    Ok(())
}

/// Opens the ledger at `url`, `sqlite:PATH` or `postgres://user:password@host:port/name`, and
/// brings its schema up to date. End it with [`Ledger::close`].
///
/// # Errors
/// See [`OpenError`].
pub async fn open(url: &str) -> Result<Arc<dyn Ledger>, OpenError> {
    if is_shared(url) {
        return Ok(Arc::new(PostgresLedger::connect(url).await?));
    }
    let path = url.strip_prefix(SQLITE).ok_or(OpenError::Scheme)?;
    // `sqlite://PATH` is written by habit.
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() {
        return Err(OpenError::NoFile);
    }
    Ok(Arc::new(SqliteLedger::open(Path::new(path)).await?))
}
