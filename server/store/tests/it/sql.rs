//! What a test asks a PostgreSQL server behind the ledger's back.

use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

/// A connection of the test's own.
pub(crate) async fn connect(url: &str) -> PgConnection {
    let options = PgConnectOptions::from_str(url).expect("a URL");
    options.connect().await.expect("connected")
}

/// One statement.
pub(crate) async fn execute(url: &str, statement: &'static str) {
    let mut connection = connect(url).await;
    sqlx::query(statement)
        .execute(&mut connection)
        .await
        .expect("done");
    connection.close().await.expect("closed");
}

/// The number that a query gives.
pub(crate) async fn number(url: &str, query: &'static str) -> i64 {
    let mut connection = connect(url).await;
    let number = sqlx::query_scalar(query).fetch_one(&mut connection).await;
    connection.close().await.expect("closed");
    number.expect("a number")
}
