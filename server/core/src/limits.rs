//! Bounds, each with its reason, and the token bucket. Whatever grows in core is bounded here;
//! relations between bounds are checked while compiling.

use vetrina_protocol::time::UnixMs;
use vetrina_protocol::{BAG_LINES_MAX, QUANTITY_MAX};

/// Listings of one show: a four-hour show with a new product every half minute stays below it.
pub const LISTINGS_MAX: usize = 500;
/// Open reservations of one show, all buyers together: 200 bytes each make 40 MB at the bound.
pub const RESERVATIONS_OPEN_MAX: usize = 200_000;
/// Open reservations of one buyer in one show: `Mine` is sent whole with every `Welcome`.
pub const RESERVATIONS_PER_BUYER_MAX: usize = 40;
/// Closed reservations kept so that a retry hears the first answer again.
pub const RESERVATIONS_CLOSED_MAX: usize = 100_000;
/// How long they are kept: longer than any client keeps retrying one command.
pub const RESERVATION_RETENTION_MS: i64 = 15 * 60_000;
/// Buyers in one queue: a place behind ten thousand is no service.
pub const WAITLIST_MAX: usize = 10_000;
/// How many at the head of a queue are told of their new place when it moves. The others read it
/// from `Mine`: one departure must not cost ten thousand messages.
pub const WAITLIST_NOTICED: usize = 20;
/// Buyers of one listing whose owned units are remembered before those with none are forgotten.
pub const BUYERS_PER_LISTING_MAX: usize = 100_000;
/// Reservations that one step may expire or offer: about one millisecond of work, so that a mass
/// expiry never blocks a buyer's command for long. `next_due` asks for the next step at once.
pub const STEP_MAX: usize = 256;

/// Shortest reservation time: WCAG 2.2.1 wants twenty seconds to react to the warning.
pub const RESERVATION_TTL_MS_MIN: i64 = 20_000;
/// Longest reservation time.
pub const RESERVATION_TTL_MS_MAX: i64 = 3_600_000;
/// Reservation time unless the show says otherwise.
pub const RESERVATION_TTL_MS_DEFAULT: i64 = 120_000;
/// Extensions of one reservation: WCAG 2.2.1 asks for at least ten.
pub const EXTENSIONS_MAX: u32 = 10;
/// How long a checkout may hold off expiry while the ledger's answer is awaited. Longer than the
/// ledger's time-out by far; short enough that a dead node's units return.
pub const CHECKOUT_FENCE_MS_DEFAULT: i64 = 30_000;
/// Longest fence a caller may ask for.
pub const CHECKOUT_FENCE_MS_MAX: i64 = 120_000;

/// Shortest time an order may stay unpaid.
pub const ORDER_DEADLINE_MS_MIN: i64 = 60_000;
/// Longest time an order may stay unpaid.
pub const ORDER_DEADLINE_MS_MAX: i64 = 86_400_000;
/// Time an order may stay unpaid unless the show says otherwise.
pub const ORDER_DEADLINE_MS_DEFAULT: i64 = 600_000;

/// Most units one show may sell of one listing.
pub const STOCK_TOTAL_MAX: u32 = 1_000_000;
/// Dearest unit, minor units: a hundred million, so that no order overflows a browser's number.
pub const PRICE_MINOR_MAX: i64 = 10_000_000_000;

/// How far a host may back-date a pin.
pub const PIN_BACK_MS_MAX: u64 = 30_000;
/// Ticks of the broadcast's timeline in one millisecond (90 kHz).
pub const MEDIA_TICKS_PER_MS: u64 = 90;

/// Longest pause slow mode may ask for, seconds.
pub const SLOW_MODE_S_MAX: u32 = 300;
/// The same text from the same person within this time is refused.
pub const COMMENT_DEDUP_MS: i64 = 10_000;
/// Comments one person may write at once.
pub const COMMENT_BURST: u32 = 5;
/// Comments one person may write per minute in the long run.
pub const COMMENTS_PER_MINUTE: u32 = 30;
/// People whose last comment is remembered; the longest silent is forgotten first.
pub const COMMENTERS_MAX: usize = 20_000;
/// Muted people of one show; the first muted is forgotten first.
pub const MUTED_MAX: usize = 5_000;
/// Comments in a snapshot.
pub const SNAPSHOT_COMMENTS_MAX: usize = 100;
/// Combining marks on one character; more only serve to smear over other lines.
pub const COMBINING_MARKS_MAX: usize = 3;

/// Nodes that may report viewers of one show.
pub const NODES_MAX: usize = 1_000;

const _: () = assert!(RESERVATION_TTL_MS_MIN <= RESERVATION_TTL_MS_DEFAULT);
const _: () = assert!(RESERVATION_TTL_MS_DEFAULT <= RESERVATION_TTL_MS_MAX);
const _: () = assert!(ORDER_DEADLINE_MS_MIN <= ORDER_DEADLINE_MS_DEFAULT);
const _: () = assert!(ORDER_DEADLINE_MS_DEFAULT <= ORDER_DEADLINE_MS_MAX);
const _: () = assert!(CHECKOUT_FENCE_MS_DEFAULT <= CHECKOUT_FENCE_MS_MAX);
// A closed reservation is remembered for longer than its checkout may be in doubt.
const _: () = assert!(CHECKOUT_FENCE_MS_MAX < RESERVATION_RETENTION_MS);
const _: () = assert!(BAG_LINES_MAX <= RESERVATIONS_PER_BUYER_MAX);
const _: () = assert!(QUANTITY_MAX <= STOCK_TOTAL_MAX);
// A full bag at the dearest price is still a number that browsers read exactly.
const _: () = assert!(
    PRICE_MINOR_MAX as i128 * QUANTITY_MAX as i128 * BAG_LINES_MAX as i128
        <= vetrina_protocol::money::AMOUNT_MINOR_MAX as i128
);

/// How fast a bucket fills and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests that may come at once; at least 1.
    pub burst: u32,
    /// Requests per minute in the long run; at least 1.
    pub per_minute: u32,
}

/// A token bucket in integers: one token is 60,000 parts, so that `per_minute` parts flow in each
/// millisecond. Full at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenBucket {
    rate: Rate,
    parts: u64,
    filled_at: UnixMs,
}

const PARTS_PER_TOKEN: u64 = 60_000;

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: Rate, now: UnixMs) -> Self {
        Self {
            rate,
            parts: u64::from(rate.burst.max(1)) * PARTS_PER_TOKEN,
            filled_at: now,
        }
    }

    /// Takes one token.
    ///
    /// # Errors
    /// Milliseconds until one is there, when none is.
    pub fn take(&mut self, now: UnixMs) -> Result<(), u64> {
        self.take_many(now, 1)
    }

    /// Takes `tokens` at once, or none of them. More than the burst can never be had; the bucket
    /// then asks to wait for a full one.
    ///
    /// # Errors
    /// Milliseconds until they are there, when they are not.
    pub fn take_many(&mut self, now: UnixMs, tokens: u32) -> Result<(), u64> {
        self.fill(now);
        let wanted = u64::from(tokens) * PARTS_PER_TOKEN;
        if self.parts >= wanted {
            self.parts -= wanted;
            return Ok(());
        }
        let missing = wanted.min(self.capacity()) - self.parts.min(self.capacity());
        Err(missing.div_ceil(self.flow()).max(1))
    }

    /// Puts a token back that was taken for a request refused for another reason.
    pub fn put_back(&mut self) {
        self.parts = (self.parts + PARTS_PER_TOKEN).min(self.capacity());
    }

    fn fill(&mut self, now: UnixMs) {
        // A clock that went back fills nothing and is not believed.
        let elapsed_ms = u64::try_from(now.since(self.filled_at)).unwrap_or(0);
        if elapsed_ms > 0 {
            let flowed = elapsed_ms.saturating_mul(self.flow());
            self.parts = self.parts.saturating_add(flowed).min(self.capacity());
            self.filled_at = now;
        }
    }

    fn capacity(&self) -> u64 {
        u64::from(self.rate.burst.max(1)) * PARTS_PER_TOKEN
    }

    fn flow(&self) -> u64 {
        u64::from(self.rate.per_minute.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: Rate = Rate {
        burst: 3,
        per_minute: 60,
    };

    #[test]
    fn a_burst_then_one_a_second() {
        let mut bucket = TokenBucket::new(RATE, UnixMs(0));
        for _ in 0..3 {
            assert_eq!(bucket.take(UnixMs(0)), Ok(()));
        }
        assert_eq!(bucket.take(UnixMs(0)), Err(1_000));
        assert_eq!(bucket.take(UnixMs(999)), Err(1));
        assert_eq!(bucket.take(UnixMs(1_000)), Ok(()));
        bucket.put_back();
        assert_eq!(bucket.take(UnixMs(1_000)), Ok(()));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = TokenBucket::new(RATE, UnixMs(10_000));
        assert_eq!(bucket.take_many(UnixMs(10_000), 3), Ok(()));
        assert!(bucket.take(UnixMs(0)).is_err());
        assert!(bucket.take(UnixMs(10_500)).is_err());
        assert_eq!(bucket.take(UnixMs(11_000)), Ok(()));
    }

    #[test]
    fn more_than_the_burst_asks_for_a_full_bucket() {
        let mut bucket = TokenBucket::new(RATE, UnixMs(0));
        assert_eq!(bucket.take_many(UnixMs(0), 3), Ok(()));
        assert_eq!(bucket.take_many(UnixMs(0), 100), Err(3_000));
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_flow(
            burst in 1u32..20,
            per_minute in 1u32..6_000,
            gaps in prop::collection::vec(0i64..2_000, 1..200),
        ) {
            let mut bucket = TokenBucket::new(Rate { burst, per_minute }, UnixMs(0));
            let (mut now, mut taken) = (0, 0u64);
            for gap in gaps {
                now += gap;
                match bucket.take(UnixMs(now)) {
                    Ok(()) => taken += 1,
                    Err(wait_ms) => {
                        // The promised wait is exactly enough.
                        let then = UnixMs(now + i64::try_from(wait_ms).unwrap());
                        prop_assert!(bucket.clone().take(then).is_ok());
                    }
                }
                let flowed = u64::from(per_minute) * now.unsigned_abs() / 60_000;
                prop_assert!(taken <= u64::from(burst) + flowed);
            }
        }
    }
}
