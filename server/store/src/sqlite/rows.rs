//! Columns into types. A column that does not hold what was written there is an error of the
//! database, never a panic.

use std::str::FromStr;

use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};
use vetrina_core::checkout::BodyDigest;
use vetrina_protocol::money::Money;
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::ShowState;

/// Reading one row.
pub(super) trait Columns {
    /// A column as SQLite has it.
    fn get_as<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(&'r self, column: &str) -> sqlx::Result<T>;

    /// Text.
    fn text(&self, column: &str) -> sqlx::Result<String> {
        self.get_as(column)
    }
    /// Text or NULL.
    fn maybe_text(&self, column: &str) -> sqlx::Result<Option<String>> {
        self.get_as(column)
    }
    /// A whole number.
    fn int(&self, column: &str) -> sqlx::Result<i64> {
        self.get_as(column)
    }
    /// A number of units and the like.
    fn count(&self, column: &str) -> sqlx::Result<u32> {
        let number = self.int(column)?;
        u32::try_from(number).map_err(|error| wrong(column, error))
    }
    /// A number that never was negative.
    fn unsigned(&self, column: &str) -> sqlx::Result<u64> {
        let number = self.int(column)?;
        u64::try_from(number).map_err(|error| wrong(column, error))
    }
    /// An id, a currency, whatever text says.
    fn parsed<T>(&self, column: &str) -> sqlx::Result<T>
    where
        T: FromStr,
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let text: &str = self.get_as(column)?;
        text.parse().map_err(|error| wrong(column, error))
    }
    /// The same or NULL.
    fn maybe_parsed<T>(&self, column: &str) -> sqlx::Result<Option<T>>
    where
        T: FromStr,
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let text: Option<&str> = self.get_as(column)?;
        text.map(str::parse)
            .transpose()
            .map_err(|error| wrong(column, error))
    }
    /// A moment.
    fn at(&self, column: &str) -> sqlx::Result<UnixMs> {
        self.int(column).map(UnixMs)
    }
    /// A moment or NULL.
    fn maybe_at(&self, column: &str) -> sqlx::Result<Option<UnixMs>> {
        let number: Option<i64> = self.get_as(column)?;
        Ok(number.map(UnixMs))
    }
    /// Yes or no.
    fn flag(&self, column: &str) -> sqlx::Result<bool> {
        Ok(self.int(column)? != 0)
    }
    /// Minor units of `currency`.
    fn money(&self, column: &str) -> sqlx::Result<Money> {
        Ok(Money::new(self.int(column)?, self.parsed("currency")?))
    }
    /// A name out of a closed set.
    fn named<T>(&self, column: &str, from: impl Fn(&str) -> Option<T>) -> sqlx::Result<T> {
        let text: &str = self.get_as(column)?;
        from(text).ok_or_else(|| wrong(column, std::io::Error::other("not one of its names")))
    }
}

impl Columns for SqliteRow {
    fn get_as<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(&'r self, column: &str) -> sqlx::Result<T> {
        self.try_get(column)
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

/// A JSON array for `json_each`.
pub(super) fn json(rows: &impl serde::Serialize) -> String {
    serde_json::to_string(rows).expect("texts and numbers always encode")
}
