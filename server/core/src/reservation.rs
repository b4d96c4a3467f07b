//! One reservation's record and life: reserved -> checking out -> claimed, or released, or expired.
//! It refuses to know other reservations and the counters; [`crate::hot`] owns those.

use vetrina_protocol::QUANTITY_MAX;
use vetrina_protocol::id::{ListingId, OrderId, ReservationId, UserId};
use vetrina_protocol::money::Money;
use vetrina_protocol::time::{MediaTime, UnixMs};
use vetrina_protocol::view::{Reservation, ReservationState};

use crate::hot::HotRefusal;
use crate::limits::EXTENSIONS_MAX;
use crate::refused::Refused;

/// Everything that is known of one reservation; what a journal keeps of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservationRow {
    /// Id.
    pub id: ReservationId,
    /// Of what.
    pub listing: ListingId,
    /// Whose.
    pub buyer: UserId,
    /// For the seller's desk.
    pub buyer_name: String,
    /// Units.
    pub quantity: u32,
    /// Price of one when it was made.
    pub unit_price: Money,
    /// Life cycle.
    pub state: ReservationState,
    /// When the units return, unless extended or checked out.
    pub expires_at: UnixMs,
    /// How often it was extended.
    pub extensions_used: u32,
    /// Made by the waitlist's turn.
    pub from_waitlist: bool,
    /// The frame on the buyer's screen.
    pub media_time: Option<MediaTime>,
    /// The order that is checking it out, or that it became.
    pub order: Option<OrderId>,
    /// While checking out: until when it cannot expire.
    pub fence_at: Option<UnixMs>,
    /// Its units are counted in `reserved`. True while open, and for a claimed one until the
    /// mirror that counts them in `claimed`.
    pub seated: bool,
    /// When it was claimed, released or expired.
    pub closed_at: Option<UnixMs>,
}

impl ReservationRow {
    /// Reserved or checking out.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(
            self.state,
            ReservationState::Reserved | ReservationState::CheckingOut
        )
    }

    /// When time itself will change it: its expiry, or the end of its fence. None when closed.
    #[must_use]
    pub fn due_at(&self) -> Option<UnixMs> {
        match self.state {
            ReservationState::Reserved => Some(self.expires_at),
            ReservationState::CheckingOut => Some(self.fence_at.unwrap_or(self.expires_at)),
            ReservationState::Claimed | ReservationState::Released | ReservationState::Expired => {
                None
            }
        }
    }

    /// As its buyer sees it. The order that is being tried is not shown before it exists.
    #[must_use]
    pub fn view(&self) -> Reservation {
        Reservation {
            id: self.id,
            listing: self.listing,
            quantity: self.quantity,
            unit_price: self.unit_price,
            state: self.state,
            expires_at_ms: self.expires_at,
            extensions_left: EXTENSIONS_MAX.saturating_sub(self.extensions_used),
            from_waitlist: self.from_waitlist,
            order: self
                .order
                .filter(|_| self.state == ReservationState::Claimed),
            media_time: self.media_time,
        }
    }

    /// Another `ttl_ms` from `now` on; never shortens.
    pub(crate) fn extend(&mut self, now: UnixMs, ttl_ms: i64) -> Result<(), Refused> {
        self.refuse_unless_reserved()?;
        if self.extensions_used >= EXTENSIONS_MAX {
            return Err(HotRefusal::ExtensionLimit.into());
        }
        self.extensions_used += 1;
        self.expires_at = self.expires_at.max(now.plus_ms(ttl_ms));
        Ok(())
    }

    /// Fences it for `order`. A retry of the same order is welcome, even after the claim.
    pub(crate) fn begin_checkout(&mut self, order: OrderId, fence_at: UnixMs) {
        if self.is_open() {
            self.state = ReservationState::CheckingOut;
            self.order = Some(order);
            self.fence_at = Some(
                self.fence_at
                    .map_or(fence_at, |earlier| earlier.max(fence_at)),
            );
        }
    }

    /// Whether `order` may check it out now.
    pub(crate) fn may_check_out(&self, order: OrderId) -> Result<(), Refused> {
        match self.state {
            ReservationState::CheckingOut | ReservationState::Claimed
                if self.order == Some(order) =>
            {
                Ok(())
            }
            _ => self.refuse_unless_reserved(),
        }
    }

    /// Back to counting down.
    pub(crate) fn unfence(&mut self) {
        self.state = ReservationState::Reserved;
        self.order = None;
        self.fence_at = None;
    }

    /// Closes it. Released and expired units return; claimed ones wait for the mirror.
    pub(crate) fn close(&mut self, state: ReservationState, now: UnixMs) {
        self.state = state;
        self.fence_at = None;
        self.closed_at = Some(self.closed_at.unwrap_or(now));
        if state != ReservationState::Claimed {
            self.order = None;
            self.seated = false;
        }
    }

    /// Says why it is not simply reserved.
    pub(crate) fn refuse_unless_reserved(&self) -> Result<(), Refused> {
        match self.state {
            ReservationState::Reserved => Ok(()),
            state => Err(HotRefusal::Closed(state).into()),
        }
    }
}

/// The refusal for an id that is not known, or is another buyer's: which of them is not told.
pub(crate) fn unknown() -> Refused {
    HotRefusal::Unknown.into()
}

/// Checks how many units are asked for.
///
/// # Errors
/// `invalid` unless it is from 1 to [`QUANTITY_MAX`].
pub fn check_quantity(quantity: u32) -> Result<(), Refused> {
    if (1..=QUANTITY_MAX).contains(&quantity) {
        return Ok(());
    }
    Err(HotRefusal::Quantity(quantity).into())
}
