//! Pages of lists that are newest first: the cursor names the last item that was seen, so that
//! items which come meanwhile move nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;
use vetrina_core::refused::Refused;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::rest::Page;
use vetrina_protocol::time::UnixMs;

use crate::ledger::{PAGE_ITEMS_MAX, PageRequest};

/// Where a page starts and how much of it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Older than this moment...
    pub(super) at: i64,
    /// ...or of it, with a smaller id.
    pub(super) id: Uuid,
    /// One more than asked for, to know whether there is a next page.
    pub(super) rows: i64,
}

impl Window {
    /// Reads the cursor.
    pub(super) fn of(page: &PageRequest) -> Result<Self, Refused> {
        let limit = page.limit.clamp(1, PAGE_ITEMS_MAX);
        let (at, id) = match &page.cursor {
            None => (i64::MAX, Uuid::nil()),
            Some(cursor) => decode(cursor).ok_or_else(|| {
                Refused::new(
                    RefusalCode::Invalid,
                    "cursor: not one of ours; use next_cursor of the page before as it is",
                )
            })?,
        };
        Ok(Self {
            at,
            id,
            rows: i64::from(limit) + 1,
        })
    }

    /// The page of what was read.
    pub(super) fn page<T>(
        &self,
        mut items: Vec<T>,
        place: impl Fn(&T) -> (UnixMs, u128),
    ) -> Page<T> {
        let limit = usize::try_from(self.rows - 1).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| more).map(|last| {
            let (at, id) = place(last);
            let id = Uuid::from_u128(id);
            URL_SAFE_NO_PAD.encode(format!("{}:{id}", at.0))
        });
        Page { items, next_cursor }
    }
}

fn decode(cursor: &str) -> Option<(i64, Uuid)> {
    if cursor.len() > 100 {
        return None;
    }
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (at, id) = text.split_once(':')?;
    Some((at.parse().ok()?, Uuid::try_parse(id).ok()?))
}
