//! The ledger: the only place where something is promised. Catalogue and allocation, orders, the
//! outbox of work that must not be forgotten, one-use codes, and the archive of every show's log.
//!
//! Four traits, one per file, so that a reader finds the half page they need; [`Ledger`] is all of
//! them. Everything that returns `Ok` is on disk (fdatasync). `Unavailable` means unknown: repeat
//! the same call with the same ids. The ledger refuses to know sessions, roles and the provider.

mod archive;
mod catalogue;
mod codes;
mod open;
mod orders;

pub(crate) use archive::archived_fold;
pub use archive::{Archive, ArchiveBatch, EpochStart, LogStart, ShowSeed};
pub use catalogue::{
    Catalogue, Imported, ListingChange, ListingRow, NewListingRow, NewSkuRow, Once, PictureRow,
    ProductChange, ProductRow, SellerRow, ShowChange, ShowRow, SkuRow,
};
pub use codes::{CodeHash, Codes};
pub use open::{OpenError, is_shared, open, without_guard};
pub use orders::{
    Checkout, Claimed, OrderChange, OrderLineRow, OrderRequest, OrderRow, Orders, PaymentRow,
    ReclaimSeat, WebhookId, Work, WorkKind,
};

use async_trait::async_trait;
use vetrina_protocol::rest::Page;

use crate::StoreError;

/// Everything together: what the server is given.
#[async_trait]
pub trait Ledger: Catalogue + Orders + Codes + Archive {
    /// What this process has asked of it so far, and what waits in it.
    async fn figures(&self) -> Result<LedgerFigures, StoreError>;
    /// Finishes what is queued and lets go of the database. Later calls fail with `Unavailable`.
    async fn close(&self);
}

/// See [`Ledger::figures`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LedgerFigures {
    /// Claims that were decided, granted or refused.
    pub claims: u64,
    /// Transactions that they were decided in.
    pub claim_batches: u64,
    /// Work of all nodes that is still to be done.
    pub outbox_waiting: u64,
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageRequest {
    /// As a page before said; a wrong one is refused `invalid`.
    pub cursor: Option<String>,
    /// How many, from 1 to [`PAGE_ITEMS_MAX`]; more is clamped.
    pub limit: u32,
}

/// Most items of one page.
pub const PAGE_ITEMS_MAX: u32 = 200;

/// A page whose items are turned into something else.
#[must_use]
pub fn map_page<T, U>(page: Page<T>, into: impl FnMut(T) -> U) -> Page<U> {
    Page {
        items: page.items.into_iter().map(into).collect(),
        next_cursor: page.next_cursor,
    }
}
