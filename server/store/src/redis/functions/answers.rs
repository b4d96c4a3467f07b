//! What `vetrina_apply` answers, as core's values. Refusals travel as a number and up to two
//! figures; their words are core's own.

use vetrina_core::hot::{HotAnswer, HotRefusal};
use vetrina_core::reservation::ReservationRow;
use vetrina_protocol::id::ListingId;
use vetrina_protocol::view::{ReservationState, WaitlistPlace};

use super::CallError;
use super::wire::Reader;

/// One answer; rows that it speaks of are pushed to `rows`.
pub(super) fn decode(bytes: &[u8], rows: &mut Vec<ReservationRow>) -> Result<HotAnswer, CallError> {
    let mut from = Reader::new(bytes);
    let kind = *bytes.first().ok_or(CallError::Malformed("no answer"))?;
    if kind.is_ascii_uppercase() {
        // A row: it begins with its state.
        return reservation(&mut from, false, rows);
    }
    from.byte()?;
    Ok(match kind {
        b'r' => return reservation(&mut from, true, rows),
        b'b' => {
            let bag = from.rows()?;
            let views = bag.iter().map(ReservationRow::view).collect();
            rows.extend(bag);
            HotAnswer::Bag(views)
        }
        b'w' => HotAnswer::Waiting {
            repeated: from.byte()? != 0,
            place: place(&mut from)?,
        },
        b'd' => HotAnswer::Done,
        b't' => HotAnswer::Ticked {
            more: from.byte()? != 0,
        },
        b'n' => HotAnswer::NotLoaded,
        b'x' => HotAnswer::Refused(refusal(&mut from)?.into()),
        _ => return Err(CallError::Malformed("an answer")),
    })
}

fn reservation(
    from: &mut Reader<'_>,
    repeated: bool,
    rows: &mut Vec<ReservationRow>,
) -> Result<HotAnswer, CallError> {
    let row = from.row()?;
    let reservation = row.view();
    rows.push(row);
    Ok(HotAnswer::Reservation {
        reservation,
        repeated,
    })
}

pub(super) fn place(from: &mut Reader<'_>) -> Result<WaitlistPlace, CallError> {
    Ok(WaitlistPlace {
        listing: ListingId(from.id()?),
        quantity: from.units()?,
        position: from.units()?,
    })
}

/// The numbers stand in `functions/wire.lua` too.
fn refusal(from: &mut Reader<'_>) -> Result<HotRefusal, CallError> {
    let number = from.byte()?;
    let (first, second) = (from.units()?, from.units()?);
    Ok(match number {
        1 => HotRefusal::KeyReused,
        2 => HotRefusal::NotLive,
        3 => HotRefusal::Quantity(first),
        4 => HotRefusal::BuyerLimit {
            per_buyer: first,
            units: second,
        },
        5 => HotRefusal::WaitlistFirst { waiting: first },
        6 => HotRefusal::SoldOut,
        7 => HotRefusal::TooFew { available: first },
        8 => HotRefusal::ShowFull,
        9 => HotRefusal::BuyerFull { open: first },
        10 => HotRefusal::Bag,
        11 => HotRefusal::Unknown,
        12 => HotRefusal::ExtensionLimit,
        13 => HotRefusal::Closed(ReservationState::CheckingOut),
        14 => HotRefusal::Closed(ReservationState::Claimed),
        15 => HotRefusal::Closed(ReservationState::Released),
        16 => HotRefusal::Closed(ReservationState::Expired),
        17 => HotRefusal::UnitsFree { available: first },
        18 => HotRefusal::QueueFull,
        19 => HotRefusal::AlreadyWaiting,
        20 => HotRefusal::NotWaiting,
        21 => HotRefusal::BelowCommitted {
            committed: u64::from(first),
        },
        22 => HotRefusal::ListingsFull,
        _ => return Err(CallError::Malformed("a refusal")),
    })
}
