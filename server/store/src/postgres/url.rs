//! The URL of a PostgreSQL database: which parts it may have. Errors never repeat a value: it may
//! be a password, or one that was written in the wrong place.

use std::str::FromStr as _;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

use crate::percent::{NOT_DECODED, percent_decoded};

/// What may follow the `?`.
const KEYS: [&str; 11] = [
    "application_name",
    "dbname",
    "host",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// Those that name files.
const FILES: [&str; 3] = ["sslcert", "sslkey", "sslrootcert"];

/// Why a URL cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// An unknown key.
    #[error("there is no option number {place}; known are {}", KEYS.join(", "))]
    Key {
        /// The how manieth, from 1.
        place: usize,
    },
    /// Not a URL, or a part of it makes no sense.
    #[error(
        "it cannot be read ({0}); write postgres://user:password@host:port/name and encode \
         special characters as %XX"
    )]
    Malformed(String),
    /// A certificate or key is not there.
    #[error("{key}: the file cannot be read: {source}")]
    File {
        /// Which key names it.
        key: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Reads the URL.
pub(super) fn options(url: &str) -> Result<PgConnectOptions, UrlError> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let keys = query.split('&').filter(|pair| !pair.is_empty());
    for (place, pair) in (1..).zip(keys) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !KEYS.contains(&key) {
            return Err(UrlError::Key { place });
        }
        if let Some(key) = FILES.into_iter().find(|file| *file == key) {
            readable(key, value)?;
        }
    }
    let options = PgConnectOptions::from_str(url).map_err(|error| match error {
        // Without the value that did not fit.
        sqlx::Error::Configuration(reason) => {
            let reason = reason.to_string();
            UrlError::Malformed(reason.split('"').next().unwrap_or_default().trim().into())
        }
        _ => UrlError::Malformed("unexpected".into()),
    })?;
    // Statements are not logged: they carry names and addresses.
    Ok(options
        .application_name("vetrina")
        .statement_cache_capacity(256)
        .disable_statement_logging())
}

/// Looked at before anything connects: the driver would say only that there is no such file.
fn readable(key: &'static str, value: &str) -> Result<(), UrlError> {
    let path = percent_decoded(value).ok_or_else(|| UrlError::Malformed(NOT_DECODED.into()))?;
    match std::fs::File::open(path) {
        Ok(_) => Ok(()),
        Err(source) => Err(UrlError::File { key, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_never_repeat_a_secret() {
        for url in [
            "postgres://ada:s3cret@host:99999/shop",
            "postgres://ada:s3cret@host/shop?passwort=s3cret",
            "postgres://ada:s3cret@host/shop?sslmode=s3cret",
            "postgres://ada:s3cret@[host/shop",
            "postgres://ada:s3cret@host/shop?s3cret",
            "postgres://ada@host/shop?sslmode=verify-full&sslrootcert=/nowhere/s3cret",
            "postgres://ada@host/shop?sslrootcert=%s3cret",
        ] {
            let error = options(url).expect_err(url).to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_socket_and_tls_are_chosen_by_the_url() {
        let local = options("postgres://ada@localhost/shop?host=/run/postgresql&port=5433");
        let local = local.expect("good");
        assert_eq!(local.get_port(), 5_433);
        assert!(local.get_socket().is_some());
        let far = options("postgresql://ada:pw@db.example:6432/shop?sslmode=verify-full");
        let far = far.expect("good");
        assert_eq!((far.get_host(), far.get_port()), ("db.example", 6_432));
    }
}
