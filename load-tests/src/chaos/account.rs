//! What a buyer of the chaos run was promised, and what became of it. Whether a promise held is
//! judged by what the buyer was told, not by what the server counts.

use std::collections::BTreeMap;

use vetrina_protocol::id::{CommentId, ReservationId};

/// What became of a reservation that was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Still good, for all that this buyer knows.
    Open,
    /// An order.
    Ordered,
    /// Given back by its buyer, or ran out by itself.
    Over,
    /// Taken away before its time.
    Broken {
        how: &'static str,
        /// When, by the customer's watch.
        at_ms: i64,
    },
}

/// A reservation that was granted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grant {
    pub(crate) granted_at_ms: i64,
    pub(crate) expires_at_ms: i64,
    /// By the waitlist's turn.
    pub(crate) from_waitlist: bool,
    pub(crate) fate: Fate,
}

/// What a buyer was told, beyond what every customer writes down.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) grants: BTreeMap<ReservationId, Grant>,
    /// Comments that were acknowledged.
    pub(crate) comments: Vec<CommentId>,
    /// Turns of a waitlist that came.
    pub(crate) offers: u32,
    /// Refusals that are no promise's matter, by code.
    pub(crate) refused: BTreeMap<&'static str, u32>,
    /// Payments that were made after the order had been given up.
    pub(crate) late: u32,
}
