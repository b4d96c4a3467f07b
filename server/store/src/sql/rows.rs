//! Columns into types. A column that does not hold what was written there is an error of the
//! database, never a panic.

use sqlx::error::UnexpectedNullError;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Postgres, Row as _, Sqlite, Type};
use uuid::Uuid;
use vetrina_core::checkout::BodyDigest;
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::ShowState;

use super::db::LedgerId;

/// A row of either database.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// Text.
    pub(super) fn text(&self, column: &str) -> sqlx::Result<String> {
        self.get(column)
    }
    /// Text or NULL.
    pub(super) fn maybe_text(&self, column: &str) -> sqlx::Result<Option<String>> {
        self.get(column)
    }
    /// A whole number.
    pub(super) fn int(&self, column: &str) -> sqlx::Result<i64> {
        self.get(column)
    }
    /// A number of units and the like.
    pub(super) fn count(&self, column: &str) -> sqlx::Result<u32> {
        let number = self.int(column)?;
        u32::try_from(number).map_err(|error| wrong(column, error))
    }
    /// A number that never was negative.
    pub(super) fn unsigned(&self, column: &str) -> sqlx::Result<u64> {
        let number = self.int(column)?;
        u64::try_from(number).map_err(|error| wrong(column, error))
    }
    /// An id.
    pub(super) fn id<T: LedgerId>(&self, column: &str) -> sqlx::Result<T> {
        self.maybe_id(column)?
            .ok_or_else(|| wrong(column, UnexpectedNullError))
    }
    /// An id or NULL.
    pub(super) fn maybe_id<T: LedgerId>(&self, column: &str) -> sqlx::Result<Option<T>> {
        let id = match self {
            Self::Sqlite(row) => {
                let text: Option<&str> = row.try_get(column)?;
                let id = text.map(Uuid::try_parse).transpose();
                id.map_err(|error| wrong(column, error))?
            }
            Self::Postgres(row) => row.try_get(column)?,
        };
        Ok(id.map(|id| T::of(id.as_u128())))
    }
    /// A moment.
    pub(super) fn at(&self, column: &str) -> sqlx::Result<UnixMs> {
        self.int(column).map(UnixMs)
    }
    /// A moment or NULL.
    pub(super) fn maybe_at(&self, column: &str) -> sqlx::Result<Option<UnixMs>> {
        let number: Option<i64> = self.get(column)?;
        Ok(number.map(UnixMs))
    }
    /// Yes or no.
    pub(super) fn flag(&self, column: &str) -> sqlx::Result<bool> {
        Ok(self.int(column)? != 0)
    }
    /// The column `currency`.
    pub(super) fn currency(&self) -> sqlx::Result<Currency> {
        let text: &str = self.get("currency")?;
        text.parse().map_err(|error| wrong("currency", error))
    }
    /// Minor units of `currency`.
    pub(super) fn money(&self, column: &str) -> sqlx::Result<Money> {
        Ok(Money::new(self.int(column)?, self.currency()?))
    }
    /// A name out of a closed set.
    pub(super) fn named<T>(
        &self,
        column: &str,
        from: impl Fn(&str) -> Option<T>,
    ) -> sqlx::Result<T> {
        let text: &str = self.get(column)?;
        from(text).ok_or_else(|| wrong(column, std::io::Error::other("not one of its names")))
    }

    fn get<'r, T>(&'r self, column: &str) -> sqlx::Result<T>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }
}

/// What is in `column` is not what belongs there.
pub(super) fn wrong(
    column: &str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(source),
    }
}

/// The name of a show's state.
pub(super) const fn state_name(state: ShowState) -> &'static str {
    match state {
        ShowState::Scheduled => "scheduled",
        ShowState::Live => "live",
        ShowState::Interrupted => "interrupted",
        ShowState::Ended => "ended",
        ShowState::Replay => "replay",
    }
}

/// The state with that name.
pub(super) fn state_of(name: &str) -> Option<ShowState> {
    use ShowState as S;
    let all = [S::Scheduled, S::Live, S::Interrupted, S::Ended, S::Replay];
    all.into_iter().find(|state| state_name(*state) == name)
}

/// Bytes as hexadecimal text.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
    }
    text
}

/// A digest from its hexadecimal text.
pub(super) fn digest(text: &str) -> Option<BodyDigest> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(BodyDigest(bytes))
}
