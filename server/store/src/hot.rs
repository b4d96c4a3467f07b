//! The hot store: who may try to buy, the log that all viewers of a show agree on, and the private
//! facts of its buyers. Implementations: `memory` in one process, `redis` for several nodes.
//!
//! What is sold for good is not decided here: the ledger promises units, the hot store mirrors it.
//!
//! **Opening.** A show is loaded from the ledger on its first use; a store that lost it (a restart,
//! a new Redis) loads it again by itself and carries on. Callers never see "not loaded".
//!
//! **Retries.** Every command names what it makes (reservation, order), so that a command whose
//! outcome is unknown ([`StoreError::Unavailable`]) is repeated unchanged.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{broadcast, watch};
use vetrina_core::hot::{HotAnswer, HotCommand};
use vetrina_core::show::ShowFold;
use vetrina_protocol::event::{DeskEvent, Event, LoggedEvent, PrivateEvent};
use vetrina_protocol::id::{ShowId, UserId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::server::ResetReason;
use vetrina_protocol::time::{Epoch, Offset, UnixMs};
use vetrina_protocol::view::{DeskOrder, DeskReservation, Reservation, WaitlistPlace};

use super::StoreError;
use super::ledger::{Ledger, ListingRow};
use super::log::Found;

/// A place in a show's log. Offsets go on counting when the epoch changes; what was lost of the
/// epoch before is numbered anew, so offsets of two epochs are compared by [`HotStore::read`] only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// The log's incarnation.
    pub epoch: Epoch,
    /// The last event seen; 0: before the first.
    pub offset: Offset,
}

/// A command was carried out (or refused by the rules, which is an answer too).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What core's state machine says; never [`HotAnswer::NotLoaded`].
    pub answer: HotAnswer,
    /// The newest event of the log after this command.
    pub position: Position,
}

/// Events that were appended, without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Number of the first.
    pub first: Offset,
    /// Where the log ends with the last.
    pub position: Position,
    /// The moment they were given.
    pub at: UnixMs,
}

/// What follows a position.
#[derive(Debug, Clone, PartialEq)]
pub enum Entries {
    /// The events after it, contiguous; fewer than asked for when the log ends.
    Next {
        /// The log's incarnation now. May be newer than asked for: nothing was lost between.
        epoch: Epoch,
        /// In order of offset.
        events: Vec<Arc<LoggedEvent>>,
    },
    /// It cannot be continued from there: take a snapshot.
    Reset(ResetReason),
}

/// A fact for one buyer and, mostly, for the seller's desk.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// Grows within the show, across restarts too; `mine` and `desk` state the version they
    /// include. Below 2^53.
    pub version: u64,
    /// Whose.
    pub buyer: UserId,
    /// Display name, for the desk. Empty for facts that the desk does not hear.
    pub buyer_name: String,
    /// What.
    pub event: PrivateEvent,
}

impl Notice {
    /// What the seller's desk hears of it.
    #[must_use]
    pub fn desk(&self) -> Option<DeskEvent> {
        match &self.event {
            PrivateEvent::ReservationChanged { reservation }
            | PrivateEvent::WaitlistOffer { reservation } => Some(DeskEvent::ReservationChanged {
                entry: DeskReservation {
                    buyer: self.buyer,
                    buyer_name: self.buyer_name.clone(),
                    reservation: reservation.clone(),
                },
            }),
            PrivateEvent::OrderChanged { order } => Some(DeskEvent::OrderChanged {
                entry: DeskOrder {
                    buyer: self.buyer,
                    buyer_name: self.buyer_name.clone(),
                    order: order.clone(),
                },
            }),
            PrivateEvent::WaitlistChanged { .. } => None,
        }
    }
}

/// One buyer's part of the hot state. Orders are the ledger's: read `HotMine` first, the orders
/// after it, so that no change falls between them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HotMine {
    /// Open ones, soonest to expire first.
    pub reservations: Vec<Reservation>,
    /// Places in queues.
    pub waitlist: Vec<WaitlistPlace>,
    /// Notices up to this version are in here.
    pub version: u64,
}

/// The desk's part of the hot state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HotDesk {
    /// Open ones, soonest to expire first, at most [`DESK_RESERVATIONS_MAX`].
    pub reservations: Vec<DeskReservation>,
    /// Notices up to this version are in here.
    pub version: u64,
}

/// How a server of the store does, as this node sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerState {
    /// Since when there is no connection: calls of its shows fail at once. `None`: it is connected.
    pub down_for: Option<Duration>,
}

/// Most reservations in [`HotDesk`]: more than a person can read, and about 100 kB on the wire.
pub const DESK_RESERVATIONS_MAX: usize = 500;
/// Most events one `read` gives.
pub const READ_EVENTS_MAX: usize = 2_000;
/// Farther behind than this, a snapshot is cheaper than the events ([`ResetReason::TooOld`]).
pub const RESUME_EVENTS_MAX: u64 = 20_000;
/// Notices a slow receiver may be behind before it hears `Lagged` and must read `mine` anew.
pub const NOTICES_BEHIND_MAX: usize = 4_096;

/// See the module's words. All methods fail with `Refused(show_unknown)` for a show that the
/// ledger does not know, and with `Unavailable` when the ledger or the store does not answer.
#[async_trait]
pub trait HotStore: Send + Sync {
    /// Loads the show unless it is loaded: stock, reservations and queues from the ledger's rows
    /// and the journal, the log's end from the archive, under a new epoch. Where the log and the
    /// ledger disagree (a crash between them) the ledger's word is appended as events. Idempotent;
    /// all other methods do it on first use.
    async fn open(&self, show: ShowId) -> Result<Position, StoreError>;

    /// Archives what is left of the show and forgets it. For ended shows without open
    /// reservations, and at shutdown.
    async fn close(&self, show: ShowId) -> Result<(), StoreError>;

    /// Decides one command and, in the same atomic step, appends what it changed in public to the
    /// log: `StockChanged` (once for all that were decided in that step), and for a newer `Mirror`
    /// also `PriceChanged` and (limit per buyer) `ListingChanged`. Nobody else appends these.
    /// Private outputs go to [`Self::notices`]. `Busy` when the journal does not keep up: nothing
    /// was decided.
    async fn apply(&self, show: ShowId, command: HotCommand) -> Result<Applied, StoreError>;

    /// After the ledger made or changed a listing: mirrors its stock and, when its words, picture
    /// or place differ from the log, appends one `ListingChanged`. An older row than the newest
    /// one seen changes nothing.
    async fn publish(&self, show: ShowId, listing: &ListingRow) -> Result<Applied, StoreError>;

    /// Appends events that others decided: comments, pins, moderation, show state, order of
    /// listings. All of them without a gap, or none. From 1 to 64.
    async fn append(&self, show: ShowId, events: Vec<Event>) -> Result<Appended, StoreError>;

    /// At most `limit` events after `after`, from memory or from the archive.
    async fn read(
        &self,
        show: ShowId,
        after: Position,
        limit: usize,
    ) -> Result<Entries, StoreError>;

    /// The log's end.
    async fn position(&self, show: ShowId) -> Result<Position, StoreError>;

    /// The log's end, whenever it moves. Ends (the sender is dropped) when the store closes or
    /// loses the show: ask again.
    async fn watch(&self, show: ShowId) -> Result<watch::Receiver<Position>, StoreError>;

    /// The log, folded, at a position. The show's addresses (WHEP, WHIP) are empty, and what is not
    /// part of the log (title, poster, times) is as old as the opening: `set_show` them.
    async fn fold(&self, show: ShowId) -> Result<(Position, ShowFold), StoreError>;

    /// Private facts from now on, at most [`NOTICES_BEHIND_MAX`] waiting.
    async fn notices(&self, show: ShowId) -> Result<broadcast::Receiver<Arc<Notice>>, StoreError>;

    /// Tells a fact that others decided (an order changed). Gives its version.
    async fn notify(
        &self,
        show: ShowId,
        buyer: UserId,
        buyer_name: String,
        event: PrivateEvent,
    ) -> Result<u64, StoreError>;

    /// One buyer's reservations and places.
    async fn mine(&self, show: ShowId, buyer: UserId) -> Result<HotMine, StoreError>;

    /// All open reservations.
    async fn desk(&self, show: ShowId) -> Result<HotDesk, StoreError>;

    /// Waits until every event up to `offset` is archived on disk. `Unavailable` after
    /// [`DURABLE_WAIT_MS_MAX`]: it may still be archived later.
    async fn durable(&self, show: ShowId, offset: Offset) -> Result<(), StoreError>;

    /// This node's viewers of the show, to be repeated within [`PRESENCE_LEASE_MS`].
    async fn report_viewers(&self, show: ShowId, viewers: u32) -> Result<(), StoreError>;

    /// Viewers on all nodes whose lease holds.
    async fn viewers(&self, show: ShowId) -> Result<u32, StoreError>;

    /// The servers that the store stands on and knows of now, always in the same order; none for
    /// a store in this process.
    fn servers(&self) -> Vec<ServerState> {
        Vec::new()
    }

    /// Whether the store answers: for the health check.
    async fn check(&self) -> Result<(), StoreError>;

    /// Archives everything and stops the store's tasks. Later calls fail with `Unavailable`.
    async fn shutdown(&self);
}

/// How long [`HotStore::durable`] waits: a disk that takes longer is broken.
pub const DURABLE_WAIT_MS_MAX: u64 = 5_000;
/// How long a node's count of viewers is believed.
pub const PRESENCE_LEASE_MS: i64 = 15_000;
/// Most events in one `append`.
pub const APPEND_EVENTS_MAX: usize = 64;

/// How often a publication starts over because a newer row came first.
const ATTEMPTS_MAX: usize = 8;

/// One try of what [`apply`] and [`publish`] bring to its end: what the two stores differ in.
#[async_trait]
pub(crate) trait Attempt: Send + Sync {
    /// What the store is loaded from.
    fn ledger(&self) -> &dyn Ledger;

    /// Decides a command; [`HotAnswer::NotLoaded`] when it names a listing that is not known.
    async fn try_apply(&self, show: ShowId, command: HotCommand) -> Result<Applied, StoreError>;

    /// Publishes a row; `None` when a newer one is known.
    async fn try_publish(
        &self,
        show: ShowId,
        row: &ListingRow,
    ) -> Result<Option<Applied>, StoreError>;
}

/// [`HotStore::apply`]: a listing that is not known is learnt from the ledger.
pub(crate) async fn apply(
    store: &impl Attempt,
    show: ShowId,
    command: HotCommand,
) -> Result<Applied, StoreError> {
    let applied = store.try_apply(show, command.clone()).await?;
    if applied.answer != HotAnswer::NotLoaded {
        return Ok(applied);
    }
    for row in store.ledger().listings(show).await? {
        // A newer row than this one is as good.
        store.try_publish(show, &row).await?;
    }
    let applied = store.try_apply(show, command).await?;
    if applied.answer == HotAnswer::NotLoaded {
        return Err(StoreError::refused(
            RefusalCode::ListingUnknown,
            "there is no such listing in this show",
        ));
    }
    Ok(applied)
}

/// [`HotStore::publish`]: an older row than the one that is known is read again.
pub(crate) async fn publish(
    store: &impl Attempt,
    show: ShowId,
    listing: &ListingRow,
) -> Result<Applied, StoreError> {
    let mut row = listing.clone();
    for _ in 0..ATTEMPTS_MAX {
        if let Some(applied) = store.try_publish(show, &row).await? {
            return Ok(applied);
        }
        // A claim's mirror with a newer version came first: its row has these words too.
        let newer = store.ledger().listing(row.id).await?;
        row = newer.ok_or_else(|| {
            StoreError::refused(RefusalCode::ListingUnknown, "the listing is gone")
        })?;
    }
    Err(StoreError::Busy(
        "the listing changes faster than it can be published",
    ))
}

/// Refuses what [`HotStore::append`] does not take.
pub(crate) fn refuse_unless_appendable(events: &[Event]) -> Result<(), StoreError> {
    if (1..=APPEND_EVENTS_MAX).contains(&events.len()) {
        return Ok(());
    }
    Err(StoreError::refused(
        RefusalCode::Invalid,
        "events: from 1 to 64 at once are appended",
    ))
}

/// [`HotStore::durable`]: waits until everything up to `offset` is on disk.
pub(crate) async fn until_archived(
    mut archived: watch::Receiver<Offset>,
    offset: Offset,
) -> Result<(), StoreError> {
    let wait = archived.wait_for(|archived| *archived >= offset);
    let words = match tokio::time::timeout(Duration::from_millis(DURABLE_WAIT_MS_MAX), wait).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(_)) => "the show was lost meanwhile",
        Err(_) => "the archive does not keep up",
    };
    Err(StoreError::Unavailable(words.into()))
}

/// [`HotStore::read`], from what the log of one process found.
pub(crate) async fn entries(
    ledger: &dyn Ledger,
    show: ShowId,
    after: Offset,
    limit: usize,
    (epoch, found): (Epoch, Found),
) -> Result<Entries, StoreError> {
    let events = match found {
        Found::Events(events) => events,
        Found::Reset(reason) => return Ok(Entries::Reset(reason)),
        Found::Archived(events) => {
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            let limit = limit.min(u32::try_from(events).unwrap_or(u32::MAX));
            let events = ledger.read_log(show, after, limit).await?;
            events.into_iter().map(Arc::new).collect()
        }
    };
    Ok(Entries::Next { epoch, events })
}
