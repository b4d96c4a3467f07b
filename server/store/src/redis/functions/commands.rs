//! [`HotCommand`]s as bytes. The layout of each is written beside the function in
//! `functions/buyer.lua` and `functions/ledger.lua` that reads it.

use vetrina_core::hot::{CheckoutOutcome, HotCommand, Mirror, OrderedUnits, Restore};
use vetrina_core::limits::{CHECKOUT_FENCE_MS_MAX, RESERVATION_TTL_MS_MAX, RESERVATION_TTL_MS_MIN};
use vetrina_core::waitlist::WaitlistRow;
use vetrina_protocol::id::{ListingId, ReservationId, UserId};
use vetrina_protocol::time::MediaTime;

use super::CallError;
use super::wire::Writer;

/// One command.
pub(super) fn encode(command: &HotCommand) -> Result<Vec<u8>, CallError> {
    let mut to = Writer::tagged(tag(command));
    match command {
        HotCommand::Reserve(_) | HotCommand::JoinWaitlist { .. } => wish(&mut to, command),
        HotCommand::ReserveForOrder { .. }
        | HotCommand::BeginCheckout { .. }
        | HotCommand::EndCheckout { .. } => checkout(&mut to, command),
        HotCommand::Extend { reservation, buyer } | HotCommand::Release { reservation, buyer } => {
            to.id(reservation.0).id(buyer.0);
        }
        HotCommand::LeaveWaitlist { buyer, listing } => {
            to.id(buyer.0).id(listing.0);
        }
        HotCommand::Mirror(mirror) => self::mirror(&mut to, mirror),
        HotCommand::FenceTotal {
            listing,
            total,
            fence_ms,
        } => {
            to.id(listing.0).units(*total).ms(fence(*fence_ms));
        }
        HotCommand::SetTimes { reservation_ttl_ms } => {
            to.ms(ttl(*reservation_ttl_ms));
        }
        HotCommand::Restore(restore) => self::restore(&mut to, restore),
        HotCommand::CloseSelling | HotCommand::Tick => {}
    }
    to.finish()
}

fn wish(to: &mut Writer, command: &HotCommand) {
    let wish = match command {
        HotCommand::Reserve(wish) => Tail {
            reservation: wish.reservation,
            listing: wish.listing,
            buyer: wish.buyer,
            buyer_name: &wish.buyer_name,
            quantity: wish.quantity,
            media_time: wish.media_time,
        },
        HotCommand::JoinWaitlist {
            reservation,
            buyer,
            buyer_name,
            listing,
            quantity,
        } => Tail {
            reservation: *reservation,
            listing: *listing,
            buyer: *buyer,
            buyer_name,
            quantity: *quantity,
            media_time: None,
        },
        _ => return,
    };
    tail(to, &wish);
}

fn checkout(to: &mut Writer, command: &HotCommand) {
    match command {
        HotCommand::ReserveForOrder {
            order,
            buyer,
            buyer_name,
            lines,
            fence_ms,
        } => {
            to.id(order.0).id(buyer.0).ms(fence(*fence_ms));
            ordered(to, lines);
            to.name(buyer_name);
        }
        HotCommand::BeginCheckout {
            order,
            buyer,
            reservations,
            fence_ms,
        } => {
            to.id(order.0).id(buyer.0).ms(fence(*fence_ms));
            bag(to, reservations);
        }
        HotCommand::EndCheckout {
            order,
            reservations,
            outcome,
        } => {
            to.id(order.0)
                .byte(u8::from(*outcome == CheckoutOutcome::Claimed));
            bag(to, reservations);
        }
        _ => {}
    }
}

fn tag(command: &HotCommand) -> u8 {
    match command {
        HotCommand::Reserve(_) => b'R',
        HotCommand::ReserveForOrder { .. } => b'O',
        HotCommand::Extend { .. } => b'E',
        HotCommand::Release { .. } => b'L',
        HotCommand::BeginCheckout { .. } => b'B',
        HotCommand::EndCheckout { .. } => b'D',
        HotCommand::JoinWaitlist { .. } => b'J',
        HotCommand::LeaveWaitlist { .. } => b'V',
        HotCommand::Mirror(_) => b'M',
        HotCommand::FenceTotal { .. } => b'F',
        HotCommand::SetTimes { .. } => b'S',
        HotCommand::CloseSelling => b'C',
        HotCommand::Restore(_) => b'Z',
        HotCommand::Tick => b'T',
    }
}

/// A mirror without its tag: `publish` sends one too.
pub(super) fn mirror(to: &mut Writer, mirror: &Mirror) {
    to.id(mirror.listing.0)
        .units(mirror.total)
        .units(mirror.claimed)
        .units(mirror.paid)
        .units(mirror.per_buyer)
        .money(mirror.unit_price)
        .number(mirror.version, "a version")
        .count(mirror.buyer_units.len(), "buyers");
    for entry in &mirror.buyer_units {
        to.id(entry.buyer.0).units(entry.units);
    }
    to.count(mirror.settled.len(), "settled reservations");
    for settled in &mirror.settled {
        to.id(settled.reservation.0).id(settled.order.0);
    }
}

/// The end of a row of `functions/rows.lua`: what never changes.
struct Tail<'a> {
    reservation: ReservationId,
    listing: ListingId,
    buyer: UserId,
    buyer_name: &'a str,
    quantity: u32,
    media_time: Option<MediaTime>,
}

fn tail(to: &mut Writer, tail: &Tail<'_>) {
    to.id(tail.reservation.0)
        .id(tail.listing.0)
        .id(tail.buyer.0)
        .units(tail.quantity)
        .media_time(tail.media_time)
        .name(tail.buyer_name);
}

fn ordered(to: &mut Writer, lines: &[OrderedUnits]) {
    to.count(lines.len(), "lines");
    for line in lines {
        to.id(line.reservation.0)
            .id(line.listing.0)
            .units(line.quantity)
            .money(line.unit_price);
    }
}

fn bag(to: &mut Writer, reservations: &[ReservationId]) {
    to.count(reservations.len(), "reservations");
    for reservation in reservations {
        to.id(reservation.0);
    }
}

/// Rows are sorted here, as core sorts them: Lua compares strings by the server's locale.
fn restore(to: &mut Writer, restore: &Restore) {
    let mut rows: Vec<_> = restore.reservations.iter().collect();
    rows.sort_by_key(|row| (row.closed_at, row.id));
    let mut waiting: Vec<_> = restore.waitlist.iter().collect();
    waiting.sort_by_key(|row| (row.listing, row.sequence));
    to.ms(ttl(restore.reservation_ttl_ms))
        .byte(u8::from(restore.selling_closed))
        .count(rows.len(), "reservations");
    for row in rows {
        to.row(row);
    }
    to.count(waiting.len(), "queue places");
    for row in waiting {
        place(to, row);
    }
}

fn place(to: &mut Writer, row: &WaitlistRow) {
    to.number(row.sequence, "a sequence");
    tail(
        to,
        &Tail {
            reservation: row.reservation,
            listing: row.listing,
            buyer: row.buyer,
            buyer_name: &row.buyer_name,
            quantity: row.quantity,
            media_time: None,
        },
    );
}

fn fence(fence_ms: i64) -> i64 {
    fence_ms.clamp(1, CHECKOUT_FENCE_MS_MAX)
}

fn ttl(reservation_ttl_ms: i64) -> i64 {
    reservation_ttl_ms.clamp(RESERVATION_TTL_MS_MIN, RESERVATION_TTL_MS_MAX)
}
