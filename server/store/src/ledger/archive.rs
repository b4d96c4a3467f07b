//! The archive of every show's log, and the journal that brings reservations back.

use std::sync::Arc;

use async_trait::async_trait;
use vetrina_core::hot::{HotChange, Mirror};
use vetrina_core::reservation::ReservationRow;
use vetrina_core::show::ShowFold;
use vetrina_core::waitlist::WaitlistRow;
use vetrina_protocol::event::LoggedEvent;
use vetrina_protocol::id::ShowId;
use vetrina_protocol::time::{Epoch, Offset, UnixMs};
use vetrina_protocol::view::ShowState;

use super::{Ledger, ListingRow, ShowRow};
use crate::StoreError;

/// The first number that an epoch gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochStart {
    /// Which.
    pub epoch: Epoch,
    /// Its first offset; everything before it is of an earlier epoch and archived.
    pub first: Offset,
}

/// Archived events read at once.
const PAGE_EVENTS: u32 = 2_000;

/// A log that may be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStart {
    /// The new epoch.
    pub epoch: Epoch,
    /// The last archived event; the next one is numbered after it.
    pub archived: Offset,
    /// All epochs, oldest first, the new one included.
    pub epochs: Vec<EpochStart>,
}

/// What one show has to archive; a suffix of what was decided, in one transaction.
#[derive(Debug, Clone)]
pub struct ArchiveBatch {
    /// Which show.
    pub show: ShowId,
    /// Under which epoch it was decided. When a newer one was opened, the batch is refused
    /// `show_state`: somebody else writes this log now.
    pub epoch: Epoch,
    /// Contiguous, following what is archived; events that are archived already are skipped.
    pub events: Vec<Arc<LoggedEvent>>,
    /// Journal rows.
    pub changes: Vec<HotChange>,
}

/// Everything that a show's hot state starts from, read at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct ShowSeed {
    /// The show.
    pub show: ShowRow,
    /// In the run of show's order.
    pub listings: Vec<ListingRow>,
    /// One per listing, with all buyers' units and all settled reservations.
    pub mirrors: Vec<Mirror>,
    /// The journal.
    pub reservations: Vec<ReservationRow>,
    /// The journal.
    pub waitlist: Vec<WaitlistRow>,
}

/// See the module's words.
#[async_trait]
pub trait Archive: Send + Sync {
    /// The show, its listings and its journal. Refused `show_unknown`.
    async fn load_show(&self, show: ShowId) -> Result<ShowSeed, StoreError>;

    /// Starts a new epoch after the last archived event. Refused `show_unknown`.
    async fn open_log(&self, show: ShowId, now: UnixMs) -> Result<LogStart, StoreError>;

    /// The newest epoch and what is archived, without starting another: for a node that joins
    /// those who write this log. Epoch 0 when none was started. Refused `show_unknown`.
    async fn current_log(&self, show: ShowId) -> Result<LogStart, StoreError>;

    /// Writes batches, all in one transaction.
    async fn archive(&self, batches: Vec<ArchiveBatch>) -> Result<(), StoreError>;

    /// At most `limit` archived events after `after`.
    async fn read_log(
        &self,
        show: ShowId,
        after: Offset,
        limit: u32,
    ) -> Result<Vec<LoggedEvent>, StoreError>;

    /// Reads one row and tells how the disk is: for the health check.
    async fn check(&self) -> Result<(), StoreError>;
}

/// The archived part of a show's log, folded. What is not part of the log (title, poster, times) is
/// the row's.
///
/// # Errors
/// `Unavailable` when the archive has a gap, or does not answer.
pub(crate) async fn archived_fold(
    ledger: &dyn Ledger,
    show: &ShowRow,
    archived: Offset,
) -> Result<ShowFold, StoreError> {
    let mut first = show.clone();
    first.state = ShowState::Scheduled;
    first.live_at = None;
    first.ended_at = None;
    let mut fold = ShowFold::new(
        first.view(String::new(), String::new()),
        Vec::new(),
        Offset(0),
    );
    while fold.offset() < archived {
        let before = fold.offset();
        for event in ledger.read_log(show.id, before, PAGE_EVENTS).await? {
            fold.apply(&event);
        }
        if fold.offset() == before {
            tracing::error!(show = %show.id, offset = before.0, "the archive has a gap");
            return Err(StoreError::Unavailable("the archive has a gap".into()));
        }
    }
    fold.set_show(show.clone().view(String::new(), String::new()));
    Ok(fold)
}
