//! The two streams of a show. One entry holds all that one call brought about, in order:
//!
//! - log: id `<offset of the last event>-0`, field `e`: epoch, moment, number of events, events.
//!   Entries follow each other without a gap: the first offset is the last one minus the number,
//!   plus one. Events that Lua makes are short; those that callers append are what they encoded.
//! - notices: id `<version of the last one>-0`, field `n`: version before the first, version of the
//!   first, and the facts. A reader that sees another "version before" than it knows missed some.

use std::collections::HashMap;

use redis::Value;
use vetrina_core::reservation::ReservationRow;
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::event::{Event, LoggedEvent, PrivateEvent};
use vetrina_protocol::id::{ListingId, UserId};
use vetrina_protocol::time::{Epoch, Offset};
use vetrina_protocol::view::Listing;

use super::CallError;
use super::answers::place;
use super::wire::{Reader, Writer};
use crate::hot::Notice;

/// The field of a log entry.
pub(crate) const LOG_FIELD: &str = "e";
/// The field of a notices entry.
pub(crate) const NOTICES_FIELD: &str = "n";

/// The events of one entry of the log, and their epoch.
///
/// # Errors
/// `Malformed` when another version of the library wrote it.
pub fn log_entry(
    id: &str,
    fields: &HashMap<String, Value>,
) -> Result<(Epoch, Vec<LoggedEvent>), CallError> {
    let last = sequence(id)?;
    let mut from = Reader::new(field(fields, LOG_FIELD)?);
    let epoch = Epoch(from.number()?);
    let at_ms = from.ms()?;
    let count = from.count()? as u64;
    let before = last
        .checked_sub(count)
        .ok_or(CallError::Malformed("more events than offsets"))?;
    let mut events = Vec::new();
    for offset in before + 1..=last {
        events.push(LoggedEvent {
            offset: Offset(offset),
            at_ms,
            event: event(&mut from)?,
        });
    }
    if !from.is_empty() {
        return Err(CallError::Malformed("bytes after the last event"));
    }
    Ok((epoch, events))
}

/// The facts of one entry of the notices.
#[derive(Debug, Clone, PartialEq)]
pub struct NoticesEntry {
    /// The newest version before this entry.
    pub before: u64,
    /// In order of version.
    pub notices: Vec<PrivateNotice>,
}

/// A fact and the row it is about, if it is about a reservation.
#[derive(Debug, Clone, PartialEq)]
pub struct PrivateNotice {
    /// The fact.
    pub notice: Notice,
    /// To be remembered, in case Redis loses it.
    pub row: Option<ReservationRow>,
}

/// Reads one entry of the notices.
///
/// # Errors
/// `Malformed` when another version of the library wrote it.
pub fn notices_entry(id: &str, fields: &HashMap<String, Value>) -> Result<NoticesEntry, CallError> {
    let last = sequence(id)?;
    let mut from = Reader::new(field(fields, NOTICES_FIELD)?);
    let before = from.number()?;
    let mut version = from.number()?;
    let mut notices = Vec::new();
    while !from.is_empty() {
        notices.push(private(&mut from, version)?);
        version += 1;
    }
    if version != last + 1 {
        return Err(CallError::Malformed("another number of notices"));
    }
    Ok(NoticesEntry { before, notices })
}

fn private(from: &mut Reader<'_>, version: u64) -> Result<PrivateNotice, CallError> {
    let kind = from.byte()?;
    let (buyer, buyer_name, event, row) = match kind {
        b'R' | b'O' => {
            let row = from.row()?;
            let reservation = row.view();
            let event = match kind {
                b'R' => PrivateEvent::ReservationChanged { reservation },
                _ => PrivateEvent::WaitlistOffer { reservation },
            };
            (row.buyer, row.buyer_name.clone(), event, Some(row))
        }
        b'W' => {
            let buyer = UserId(from.id()?);
            let place = place(from)?;
            let listing = place.listing;
            let place = (place.position > 0).then_some(place);
            let event = PrivateEvent::WaitlistChanged { listing, place };
            (buyer, String::new(), event, None)
        }
        b'E' => {
            let buyer = UserId(from.id()?);
            let name = from.name()?;
            (buyer, name, one(from.blob()?)?, None)
        }
        _ => return Err(CallError::Malformed("a notice")),
    };
    let notice = Notice {
        version,
        buyer,
        buyer_name,
        event,
    };
    Ok(PrivateNotice { notice, row })
}

fn event(from: &mut Reader<'_>) -> Result<Event, CallError> {
    Ok(match from.byte()? {
        b'S' => Event::StockChanged {
            listing: ListingId(from.id()?),
            stock: from.stock()?,
        },
        b'P' => Event::PriceChanged {
            listing: ListingId(from.id()?),
            price: from.money()?,
        },
        b'L' => {
            let position = from.units()?;
            let stock = from.stock()?;
            let price = from.money()?;
            let per_buyer = from.units()?;
            let words: Listing = one(from.blob()?)?;
            Event::ListingChanged {
                listing: Listing {
                    position,
                    stock,
                    price,
                    per_buyer,
                    ..words
                },
            }
        }
        b'E' => one(from.blob()?)?,
        _ => return Err(CallError::Malformed("an event")),
    })
}

/// One message of the protocol, as bytes that Lua does not look into.
pub(super) fn opaque<T: serde::Serialize>(message: &T) -> Vec<u8> {
    Encoding::MessagePack.encode(std::slice::from_ref(message))
}

/// What the log says of a listing beside price, stock, place and limit: equal words are equal
/// bytes.
pub(super) fn words(to: &mut Writer, listing: &Listing) {
    let words = Listing {
        position: 0,
        stock: vetrina_protocol::view::Stock::default(),
        per_buyer: 0,
        price: vetrina_protocol::money::Money::new(0, listing.price.currency),
        ..listing.clone()
    };
    to.money(listing.price)
        .units(listing.per_buyer)
        .blob(&opaque(&words));
}

fn one<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, CallError> {
    let messages: Vec<T> = Encoding::MessagePack
        .decode(bytes)
        .map_err(|_| CallError::Malformed("a message of the protocol"))?;
    let mut messages = messages.into_iter();
    match (messages.next(), messages.next()) {
        (Some(message), None) => Ok(message),
        _ => Err(CallError::Malformed("not one message")),
    }
}

fn sequence(id: &str) -> Result<u64, CallError> {
    id.strip_suffix("-0")
        .and_then(|number| number.parse().ok())
        .ok_or(CallError::Malformed("an entry's id"))
}

fn field<'a>(fields: &'a HashMap<String, Value>, name: &str) -> Result<&'a [u8], CallError> {
    let value = fields
        .get(name)
        .ok_or(CallError::Malformed("an entry without its field"))?;
    super::wire::bytes(value)
}
