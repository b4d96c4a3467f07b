//! The ledger in PostgreSQL, for one node or several that write at once. Opening, and what its
//! connections are told; what is in a transaction is `sql`'s.
//!
//! It refuses to wait: a server that does not answer is *unknown* after a few seconds, and nothing
//! piles up behind it.

mod blobs;
mod engine;
mod url;

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{PgConnection, Postgres, Row as _};
use tokio::time::timeout;

use crate::sql::db::Db;
use crate::sql::writer::Writer;
use crate::sql::{Dialect, SqlLedger};
pub use blobs::PostgresBlobs;
use engine::PostgresEngine;
pub use url::UrlError;

/// The oldest version with everything that is used here.
const VERSION_MIN: i32 = 14;
/// Writers of a node. Work about one show or order always goes through the same one, where it
/// gathers; a seller who is waited for does not stop the others.
const WRITERS: u128 = 4;
/// Connections of a node that only read.
const READERS_MAX: u32 = 6;
/// How long a read may wait for a connection before the caller is told to try again.
const READER_WAIT: Duration = Duration::from_secs(2);
/// How long a connection may take to open.
const CONNECT_WAIT: Duration = Duration::from_secs(4);
/// How long a start may take, another node's migration included.
const MIGRATE_WAIT: Duration = Duration::from_secs(120);

/// What every connection asks of the server. Milliseconds. Callers are answered after five seconds
/// whatever happens; the server should have given up before.
const SETTINGS: [(&str, &str); 5] = [
    ("statement_timeout", "4000"),
    ("lock_timeout", "2000"),
    ("idle_in_transaction_session_timeout", "5000"),
    // A statement whose client is gone ends, and lets go of its locks.
    ("client_connection_check_interval", "1000"),
    // A plan that was made for empty tables would be kept while they fill up.
    ("plan_cache_mode", "force_custom_plan"),
];

/// See the module's words.
pub type PostgresLedger = SqlLedger<Postgres>;

impl Dialect for Postgres {
    const BEGIN_MOMENT: &'static str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

    fn db(connection: &mut PgConnection) -> Db<'_> {
        Db::Postgres(connection)
    }
}

/// Why the ledger did not open. Says where, never with which password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL cannot be used.
    #[error("the database URL: {0}")]
    Url(#[from] UrlError),
    /// The server cannot be reached, or does not let us in.
    #[error("cannot open the ledger in PostgreSQL at {place}: {source}")]
    Connect {
        /// Host and database.
        place: String,
        /// What went wrong.
        source: sqlx::Error,
    },
    /// The server has no TLS, or a certificate that is not believed.
    #[error(
        "PostgreSQL at {place} cannot be trusted: {source}; sslrootcert must name the file (PEM) \
         of the authority that signed its certificate, and the certificate the host in the URL"
    )]
    Tls {
        /// Host and database.
        place: String,
        /// What is wrong with it.
        source: sqlx::Error,
    },
    /// The server does not answer.
    #[error("PostgreSQL at {place} does not answer; is it running, and does a firewall let it?")]
    Silent {
        /// Host and database.
        place: String,
    },
    /// The server's settings would break promises.
    #[error("PostgreSQL at {place} cannot keep a ledger: {reason}")]
    Unfit {
        /// Host and database.
        place: String,
        /// What to change.
        reason: String,
    },
    /// The schema cannot be brought up to date.
    #[error(
        "cannot bring the ledger in PostgreSQL at {place} up to date: {source}; was it written by \
         a newer version?"
    )]
    Migration {
        /// Host and database.
        place: String,
        /// What went wrong.
        source: MigrateError,
    },
}

impl PostgresLedger {
    /// Opens the database at `url` and brings its schema up to date; several nodes may do so at
    /// once. `postgres://user:password@host:port/name`, with `?host=/folder` for a local socket and
    /// `?sslmode=verify-full&sslrootcert=FILE` for TLS.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn connect(url: &str) -> Result<Self, OpenError> {
        let options = url::options(url)?;
        let place = place_of(&options);
        let open = async {
            prepare(&options, &place).await?;
            let options = options.clone().options(SETTINGS);
            let readers = readers(options.clone());
            let connected = readers.acquire().await;
            connected.map_err(|source| connect_error(&place, source))?;
            let engine = || Writer::start(PostgresEngine::new(options.clone()));
            let writers = (0..WRITERS).map(|_| engine()).collect();
            Ok(Self::new(writers, readers))
        };
        let opened = timeout(MIGRATE_WAIT, open).await;
        opened.unwrap_or(Err(OpenError::Silent { place }))
    }
}

/// Takes away the last thing that stands between a claim and an oversold unit: for
/// [`crate::ledger::without_guard`] alone.
///
/// # Errors
/// The database cannot be reached or does not let us.
pub(crate) async fn drop_guard(url: &str) -> Result<(), OpenError> {
    let options = url::options(url)?;
    let place = place_of(&options);
    let pool = readers(options);
    sqlx::query("ALTER TABLE listings DROP CONSTRAINT IF EXISTS listings_check")
        .execute(&pool)
        .await
        .map_err(|source| connect_error(&place, source))?;
    pool.close().await;
    Ok(())
}

fn readers(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(READERS_MAX)
        .acquire_timeout(READER_WAIT)
        .connect_lazy_with(options)
}

/// Checks the server and brings the schema up to date.
async fn prepare(options: &PgConnectOptions, place: &str) -> Result<(), OpenError> {
    // Alone, and without time limits: a migration may take long, and PostgreSQL's advisory lock
    // makes a second node wait for the first one's.
    let alone = PgPoolOptions::new().max_connections(1);
    let connecting = timeout(CONNECT_WAIT, alone.connect_with(options.clone()));
    let pool = connecting.await.map_err(|_| OpenError::Silent {
        place: place.to_owned(),
    })?;
    let pool = pool.map_err(|source| connect_error(place, source))?;
    let connection = pool.acquire().await;
    let mut connection = connection.map_err(|source| connect_error(place, source))?;
    let fit = check(&mut connection).await;
    let fit = fit.map_err(|source| connect_error(place, source))?;
    drop(connection);
    fit.map_err(|reason| OpenError::Unfit {
        place: place.to_owned(),
        reason,
    })?;
    let migrated = sqlx::migrate!("migrations/postgres").run(&pool).await;
    pool.close().await;
    migrated.map_err(|source| OpenError::Migration {
        place: place.to_owned(),
        source,
    })
}

/// Whether this server can keep promises; if not, what to change.
async fn check(connection: &mut PoolConnection<Postgres>) -> sqlx::Result<Result<(), String>> {
    let row = sqlx::query(
        "SELECT current_setting('server_version_num') AS version,
           current_setting('synchronous_commit') AS synchronous_commit,
           current_setting('fsync') AS fsync,
           current_setting('server_encoding') AS encoding",
    )
    .fetch_one(&mut **connection)
    .await?;
    let version: String = row.try_get("version")?;
    let version = i32::from_str(&version).unwrap_or_default() / 10_000;
    if version < VERSION_MIN {
        return Ok(Err(format!(
            "it is version {version}; version {VERSION_MIN} or newer is needed"
        )));
    }
    let encoding: String = row.try_get("encoding")?;
    if encoding != "UTF8" {
        return Ok(Err(format!(
            "the database's encoding is {encoding}; create it with ENCODING 'UTF8'"
        )));
    }
    if row.try_get::<String, _>("synchronous_commit")? == "off" {
        return Ok(Err(
            "synchronous_commit is off, so that it would say yes before an order is on disk; \
             turn it on for this role or database"
                .into(),
        ));
    }
    if row.try_get::<String, _>("fsync")? == "off" {
        tracing::warn!("PostgreSQL runs with fsync = off: orders do not survive a power failure");
    }
    Ok(Ok(()))
}

fn connect_error(place: &str, source: sqlx::Error) -> OpenError {
    let place = place.to_owned();
    if is_distrust(&source) {
        return OpenError::Tls { place, source };
    }
    OpenError::Connect { place, source }
}

/// A handshake that failed comes as an error of reading, with data that make no sense.
fn is_distrust(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

fn place_of(options: &PgConnectOptions) -> String {
    let name = options.get_database().unwrap_or(options.get_username());
    match options.get_socket() {
        Some(folder) => format!("{}, database {name}", folder.display()),
        None => format!(
            "{}:{}, database {name}",
            options.get_host(),
            options.get_port()
        ),
    }
}
