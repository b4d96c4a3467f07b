//! All that the hot store decides about one show: [`ShowStock`] is the state machine that the
//! memory store wraps under a lock and that Redis Functions repeat.
//!
//! It refuses to know where it is kept, who asks, and the ledger's tables.

mod command;

use vetrina_protocol::id::{ListingId, UserId};
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::{Reservation, Stock, WaitlistPlace};

pub use command::{
    BuyerUnits, CheckoutOutcome, HotAnswer, HotChange, HotCommand, HotOutput, Mirror, Reserve,
    Restore, Settled,
};

/// The stock, reservations and queues of one show.
#[derive(Debug, Clone, Default)]
pub struct ShowStock {}

impl ShowStock {
    /// An empty show: answers buyers [`HotAnswer::NotLoaded`] until every listing was mirrored and
    /// [`HotCommand::Restore`] came.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One command at `now`. Outputs and changes pile up until they are drained.
    pub fn apply(&mut self, now: UnixMs, command: HotCommand) -> HotAnswer {
        let _ = (now, command);
        HotAnswer::NotLoaded
    }

    /// What others must hear of, oldest first.
    pub fn drain_outputs(&mut self) -> Vec<HotOutput> {
        Vec::new()
    }

    /// What a journal must write; each row at most once, as it is now.
    pub fn drain_changes(&mut self) -> Vec<HotChange> {
        Vec::new()
    }

    /// When the next `Tick` is due; none: not before another command.
    #[must_use]
    pub fn next_due(&self) -> Option<UnixMs> {
        None
    }

    /// Units of one listing, if it was mirrored.
    #[must_use]
    pub fn stock(&self, listing: ListingId) -> Option<Stock> {
        let _ = listing;
        None
    }

    /// Open reservations of one buyer, soonest to expire first.
    #[must_use]
    pub fn reservations_of(&self, buyer: UserId) -> Vec<Reservation> {
        let _ = buyer;
        Vec::new()
    }

    /// Places of one buyer in queues.
    #[must_use]
    pub fn places_of(&self, buyer: UserId) -> Vec<WaitlistPlace> {
        let _ = buyer;
        Vec::new()
    }
}
