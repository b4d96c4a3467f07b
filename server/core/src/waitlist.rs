//! The queue of one sold-out listing: strict first in, first out, by sequence number. It refuses
//! to know stock: whether the head's turn has come is decided by [`crate::hot`].

use std::collections::BTreeMap;

use vetrina_protocol::id::{ListingId, ReservationId, UserId};
use vetrina_protocol::view::WaitlistPlace;

/// One buyer in one queue; what a journal keeps of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitlistRow {
    /// For what.
    pub listing: ListingId,
    /// Order of arrival within the listing; never reused.
    pub sequence: u64,
    /// Who.
    pub buyer: UserId,
    /// For the seller's desk.
    pub buyer_name: String,
    /// How many units.
    pub quantity: u32,
    /// The reservation to make when the turn comes.
    pub reservation: ReservationId,
}

/// One queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waitlist {
    rows: BTreeMap<u64, WaitlistRow>,
    by_buyer: BTreeMap<UserId, u64>,
    last_sequence: u64,
}

impl Waitlist {
    /// Puts a buyer at the end and gives the position, from 1. The caller has checked that the
    /// buyer is not in it.
    pub fn join(&mut self, mut row: WaitlistRow) -> &WaitlistRow {
        self.last_sequence += 1;
        row.sequence = self.last_sequence;
        self.by_buyer.insert(row.buyer, row.sequence);
        self.rows.entry(row.sequence).or_insert(row)
    }

    /// Puts a journal's row back at its place. False when the place or the buyer is taken.
    pub fn restore(&mut self, row: WaitlistRow) -> bool {
        if self.rows.contains_key(&row.sequence) || self.by_buyer.contains_key(&row.buyer) {
            return false;
        }
        self.last_sequence = self.last_sequence.max(row.sequence);
        self.by_buyer.insert(row.buyer, row.sequence);
        self.rows.insert(row.sequence, row);
        true
    }

    /// Takes a buyer out. Gives the row and how many stood before it.
    pub fn leave(&mut self, buyer: UserId) -> Option<(WaitlistRow, usize)> {
        let sequence = self.by_buyer.remove(&buyer)?;
        let before = self.rows.range(..sequence).count();
        self.rows.remove(&sequence).map(|row| (row, before))
    }

    /// Whose turn is next.
    #[must_use]
    pub fn head(&self) -> Option<&WaitlistRow> {
        self.rows.first_key_value().map(|(_, row)| row)
    }

    /// The row of a buyer.
    #[must_use]
    pub fn of(&self, buyer: UserId) -> Option<&WaitlistRow> {
        self.by_buyer
            .get(&buyer)
            .and_then(|sequence| self.rows.get(sequence))
    }

    /// The place of a buyer, counted from 1.
    #[must_use]
    pub fn place(&self, buyer: UserId) -> Option<WaitlistPlace> {
        let row = self.of(buyer)?;
        let before = self.rows.range(..row.sequence).count();
        Some(place(row, before))
    }

    /// Everybody, first to last.
    pub fn rows(&self) -> impl Iterator<Item = &WaitlistRow> {
        self.rows.values()
    }

    /// Places of the first ones, first to last.
    pub fn places(&self) -> impl Iterator<Item = (UserId, WaitlistPlace)> {
        self.rows
            .values()
            .enumerate()
            .map(|(before, row)| (row.buyer, place(row, before)))
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

fn place(row: &WaitlistRow, before: usize) -> WaitlistPlace {
    WaitlistPlace {
        listing: row.listing,
        quantity: row.quantity,
        position: u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1),
    }
}
