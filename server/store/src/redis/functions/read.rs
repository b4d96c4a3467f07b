//! Calls that only read one show: `functions/read.lua`. Nothing expires by being read.

use vetrina_core::reservation::ReservationRow;
use vetrina_protocol::id::UserId;
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::DeskReservation;

use super::show::{ShowStatus, on_show, only_status, opened, status_of};
use super::wire::{Reader, Writer, bytes};
use super::{Belief, Call, CallError, answers};
use crate::hot::{DESK_RESERVATIONS_MAX, HotDesk, HotMine};
use crate::redis::keys::ShowKeys;

/// One buyer's part.
pub fn mine(keys: &ShowKeys, belief: Belief<'_>, buyer: UserId) -> Call<HotMine> {
    let mut cmd = on_show("vetrina_mine", keys, belief);
    cmd.arg(&buyer.0.to_be_bytes()[..]);
    Call::new(cmd, |value| {
        let parts = opened(value)?;
        let [head, rows, places] = parts.as_slice() else {
            return Err(CallError::Malformed("mine"));
        };
        let rows = Reader::new(bytes(rows)?).rows()?;
        let mut reservations: Vec<_> = rows.iter().map(ReservationRow::view).collect();
        reservations.sort_by_key(|view| (view.expires_at_ms, view.id));
        let mut from = Reader::new(bytes(places)?);
        let mut waitlist = Vec::new();
        while !from.is_empty() {
            waitlist.push(answers::place(&mut from)?);
        }
        waitlist.sort_by_key(|place| place.listing);
        Ok(HotMine {
            reservations,
            waitlist,
            version: status_of(bytes(head)?)?.notices,
        })
    })
}

/// Open reservations, soonest to expire first. Of more than 2,000 only those that are due first
/// are looked at.
pub fn desk(keys: &ShowKeys, belief: Belief<'_>) -> Call<HotDesk> {
    Call::new(on_show("vetrina_desk", keys, belief), |value| {
        let parts = opened(value)?;
        let [head, rows] = parts.as_slice() else {
            return Err(CallError::Malformed("the desk"));
        };
        let rows = Reader::new(bytes(rows)?).rows()?;
        let mut reservations: Vec<_> = rows
            .into_iter()
            .map(|row| DeskReservation {
                buyer: row.buyer,
                reservation: row.view(),
                buyer_name: row.buyer_name,
            })
            .collect();
        reservations.sort_by_key(|it| (it.reservation.expires_at_ms, it.reservation.id));
        reservations.truncate(DESK_RESERVATIONS_MAX);
        Ok(HotDesk {
            reservations,
            version: status_of(bytes(head)?)?.notices,
        })
    })
}

/// Some of the open reservations of a show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRows {
    /// Soonest due first.
    pub rows: Vec<ReservationRow>,
    /// From where to ask on; none at the end.
    pub next: Option<UnixMs>,
}

/// Open reservations whose time is `from` or later, so many.
///
/// # Errors
/// `TooBig` for a time that Lua would not keep exactly.
pub fn rows(
    keys: &ShowKeys,
    belief: Belief<'_>,
    from: UnixMs,
) -> Result<Call<OpenRows>, CallError> {
    let mut to = Writer::default();
    to.ms(from.0);
    let mut cmd = on_show("vetrina_rows", keys, belief);
    cmd.arg(to.finish()?);
    Ok(Call::new(cmd, move |value| {
        let parts = opened(value)?;
        let [_, rows, last] = parts.as_slice() else {
            return Err(CallError::Malformed("rows"));
        };
        let rows = Reader::new(bytes(rows)?).rows()?;
        let last = std::str::from_utf8(bytes(last)?).ok();
        let last = last.and_then(|last| last.parse().ok()).map(UnixMs);
        // Never the same place again: of rows that fill a page at one millisecond the rest is left
        // out. A call seats 200 at most, so that there are not so many.
        let next = last.map(|last| last.max(from.plus_ms(1)));
        let is_last = rows.len() < DESK_RESERVATIONS_MAX;
        Ok(OpenRows {
            rows,
            next: next.filter(|_| !is_last),
        })
    }))
}

/// Nothing but the status.
pub fn status(keys: &ShowKeys, belief: Belief<'_>) -> Call<ShowStatus> {
    Call::new(on_show("vetrina_status", keys, belief), only_status)
}
