//! Statements that run on either database, and the values that go into them.
//!
//! Most statements are one text for both: `$1` is a parameter to each of them. Where sets go in,
//! SQLite unfolds JSON with `json_each` and PostgreSQL with its own words, so those have two texts.

use sqlx::encode::Encode;
use sqlx::postgres::PgArguments;
use sqlx::query::Query as Sqlx;
use sqlx::sqlite::SqliteArguments;
use sqlx::types::Type;
use sqlx::{PgConnection, Postgres, Sqlite, SqliteConnection};
use uuid::Uuid;
use vetrina_protocol::id::{
    ListingId, OrderId, PictureId, ProductId, ReservationId, SellerId, ShowId, SkuId, UserId,
};
use vetrina_protocol::time::UnixMs;

use super::pages::Window;
use super::rows::Row;

/// A connection, usually with an open transaction on it.
pub enum Db<'c> {
    /// SQLite.
    Sqlite(&'c mut SqliteConnection),
    /// PostgreSQL.
    Postgres(&'c mut PgConnection),
}

/// One statement with its values.
pub(crate) struct Statement {
    sqlite: &'static str,
    postgres: &'static str,
    values: Vec<Value>,
}

/// What a statement takes. Ids are text in SQLite and `uuid` in PostgreSQL.
pub(crate) enum Value {
    Id(Option<Uuid>),
    Text(Option<String>),
    Int(Option<i64>),
    Ids(Vec<Uuid>),
    Names(Vec<&'static str>),
}

/// A statement that is the same for both.
pub(crate) fn query(sql: &'static str) -> Statement {
    query_either(sql, sql)
}

/// A statement that each database says in its own words, with the same values.
pub(crate) fn query_either(sqlite: &'static str, postgres: &'static str) -> Statement {
    Statement {
        sqlite,
        postgres,
        values: Vec::new(),
    }
}

/// A statement about rows whose column (the last word of `$before`) is one of the first value's.
macro_rules! query_one_of {
    ($before:expr, $after:expr) => {
        $crate::sql::db::query_either(
            concat!($before, " IN (SELECT value FROM json_each($1)) ", $after),
            concat!($before, " = ANY ($1) ", $after),
        )
    };
}
pub(crate) use query_one_of;

impl Statement {
    /// The next value.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Ids for `query_one_of!`.
    pub(crate) fn bind_ids<T: LedgerId>(mut self, ids: impl IntoIterator<Item = T>) -> Self {
        let ids = ids.into_iter().map(|id| Uuid::from_u128(id.number()));
        self.values.push(Value::Ids(ids.collect()));
        self
    }

    /// A page's beginning and length, as three parameters: `(created_at, id) < ($n, $n+1)`,
    /// newest first, `LIMIT $n+2`.
    pub(super) fn bind_window(self, window: &Window) -> Self {
        self.bind(window.at).bind(window.id).bind(window.rows)
    }

    /// A set of rows as JSON, each an array.
    pub(crate) fn bind_rows(self, rows: &impl serde::Serialize) -> Self {
        self.bind(json(rows))
    }

    /// Runs it; gives how many rows it wrote.
    pub(crate) async fn execute(self, db: &mut Db<'_>) -> sqlx::Result<u64> {
        match db {
            Db::Sqlite(db) => {
                let done = self.for_sqlite()?.execute(&mut **db).await?;
                Ok(done.rows_affected())
            }
            Db::Postgres(db) => {
                let done = self.for_postgres()?.execute(&mut **db).await?;
                Ok(done.rows_affected())
            }
        }
    }

    /// All rows.
    pub(crate) async fn fetch_all(self, db: &mut Db<'_>) -> sqlx::Result<Vec<Row>> {
        match db {
            Db::Sqlite(db) => {
                let rows = self.for_sqlite()?.fetch_all(&mut **db).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Db::Postgres(db) => {
                let rows = self.for_postgres()?.fetch_all(&mut **db).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// The row, if there is one.
    pub(crate) async fn fetch_optional(self, db: &mut Db<'_>) -> sqlx::Result<Option<Row>> {
        Ok(self.fetch_all(db).await?.into_iter().next())
    }

    /// The row that must be there.
    pub(crate) async fn fetch_one(self, db: &mut Db<'_>) -> sqlx::Result<Row> {
        let row = self.fetch_optional(db).await?;
        row.ok_or(sqlx::Error::RowNotFound)
    }

    fn for_sqlite(self) -> sqlx::Result<Sqlx<'static, Sqlite, SqliteArguments>> {
        let mut query = sqlx::query(self.sqlite);
        for value in self.values {
            match value {
                Value::Id(id) => add(&mut query, id.map(|id| id.to_string())),
                Value::Text(text) => add(&mut query, text),
                Value::Int(number) => add(&mut query, number),
                Value::Ids(ids) => {
                    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
                    add(&mut query, json(&ids))
                }
                Value::Names(names) => add(&mut query, json(&names)),
            }?;
        }
        Ok(query)
    }

    fn for_postgres(self) -> sqlx::Result<Sqlx<'static, Postgres, PgArguments>> {
        let mut query = sqlx::query(self.postgres);
        for value in self.values {
            match value {
                Value::Id(id) => add(&mut query, id),
                Value::Text(text) => add(&mut query, text),
                Value::Int(number) => add(&mut query, number),
                Value::Ids(ids) => add(&mut query, ids),
                Value::Names(names) => add(&mut query, names),
            }?;
        }
        Ok(query)
    }
}

fn add<D, T>(query: &mut Sqlx<'static, D, D::Arguments>, value: T) -> sqlx::Result<()>
where
    D: sqlx::Database,
    T: for<'q> Encode<'q, D> + Type<D> + Send + 'static,
{
    query.try_bind(value).map_err(sqlx::Error::Encode)
}

/// JSON, for a column or for a set of rows.
pub(crate) fn json(rows: &impl serde::Serialize) -> String {
    serde_json::to_string(rows).expect("texts and numbers always encode")
}

/// An id of the protocol as a column.
pub(crate) trait LedgerId: Copy {
    fn of(number: u128) -> Self;
    fn number(self) -> u128;
}

macro_rules! ledger_ids {
    ($($id:ident),*) => {
        $(
            impl LedgerId for $id {
                fn of(number: u128) -> Self {
                    Self(number)
                }
                fn number(self) -> u128 {
                    self.0
                }
            }

            impl From<$id> for Value {
                fn from(id: $id) -> Self {
                    Self::Id(Some(Uuid::from_u128(id.0)))
                }
            }

            impl From<Option<$id>> for Value {
                fn from(id: Option<$id>) -> Self {
                    Self::Id(id.map(|id| Uuid::from_u128(id.0)))
                }
            }
        )*
    };
}

ledger_ids!(
    ListingId,
    OrderId,
    PictureId,
    ProductId,
    ReservationId,
    SellerId,
    ShowId,
    SkuId,
    UserId
);

impl From<Uuid> for Value {
    fn from(id: Uuid) -> Self {
        Self::Id(Some(id))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl From<&Option<String>> for Value {
    fn from(text: &Option<String>) -> Self {
        Self::Text(text.clone())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(Some(i64::from(number)))
    }
}

impl From<Option<u32>> for Value {
    fn from(number: Option<u32>) -> Self {
        Self::Int(number.map(i64::from))
    }
}

impl From<UnixMs> for Value {
    fn from(at: UnixMs) -> Self {
        Self::Int(Some(at.0))
    }
}

impl From<Option<UnixMs>> for Value {
    fn from(at: Option<UnixMs>) -> Self {
        Self::Int(at.map(|at| at.0))
    }
}

impl From<Vec<&'static str>> for Value {
    fn from(names: Vec<&'static str>) -> Self {
        Self::Names(names)
    }
}
