//! The ledger in one SQLite file: WAL, `synchronous = FULL`, one connection that writes and a few
//! that only read. Opening, and how a batch is committed; what is in it is `sql`'s.

mod engine;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Sqlite, SqliteConnection};

use crate::sql::db::Db;
use crate::sql::writer::Writer;
use crate::sql::{Dialect, SqlLedger};
use engine::SqliteEngine;

/// Connections that read beside the one that writes: more than the machine has cores gains nothing.
const READERS_MAX: u32 = 4;
/// How long a reader may wait for a connection before the caller is told to try again.
const READER_WAIT: Duration = Duration::from_secs(2);
/// How long a connection waits for a lock of another process (a backup, a shell).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The WAL is copied into the file when it has so many pages of 4 KiB: a rush touches the same
/// pages of the indexes again and again, and each is copied once.
const CHECKPOINT_PAGES: &str = "16384";
/// The WAL file is cut down to this after a checkpoint, bytes: as much as those pages.
const WAL_BYTES_KEPT: &str = "67108864";
/// Page cache of a connection, in KiB when negative.
const CACHE_KIB: &str = "-32768";

/// See the module's words.
pub type SqliteLedger = SqlLedger<Sqlite>;

impl Dialect for Sqlite {
    const BEGIN_MOMENT: &'static str = "BEGIN";

    fn db(connection: &mut SqliteConnection) -> Db<'_> {
        Db::Sqlite(connection)
    }
}

/// Why the ledger did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened or written.
    #[error(
        "cannot open the ledger {path}: {source}; check that the folder exists and is writable"
    )]
    File {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// The schema cannot be brought up to date.
    #[error(
        "cannot bring the ledger {path} up to date: {source}; was it written by a newer version?"
    )]
    Migration {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        source: MigrateError,
    },
}

impl SqliteLedger {
    /// Opens the file, making it if it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let file = |source| OpenError::File {
            path: path.to_owned(),
            source,
        };
        let write = write_options(path);
        migrate(path, &write).await?;
        let connection = write.connect().await.map_err(file)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(READER_WAIT)
            .connect_with(read_options(path))
            .await
            .map_err(file)?;
        let engine = SqliteEngine::new(connection, write);
        Ok(Self::new(vec![Writer::start(engine)], readers))
    }
}

/// Brings the schema up to date.
async fn migrate(path: &Path, write: &SqliteConnectOptions) -> Result<(), OpenError> {
    let file = |source| OpenError::File {
        path: path.to_owned(),
        source,
    };
    let alone = SqlitePoolOptions::new().max_connections(1);
    let pool = alone.connect_with(write.clone()).await.map_err(file)?;
    let migrated = sqlx::migrate!("migrations/sqlite").run(&pool).await;
    pool.close().await;
    migrated.map_err(|source| OpenError::Migration {
        path: path.to_owned(),
        source,
    })
}

// Statements are not logged: they carry names and addresses.

fn write_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", WAL_BYTES_KEPT)
        .pragma("cache_size", CACHE_KIB)
        .statement_cache_capacity(256)
        .disable_statement_logging()
}

fn read_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("cache_size", CACHE_KIB)
        .statement_cache_capacity(256)
        .disable_statement_logging()
}
