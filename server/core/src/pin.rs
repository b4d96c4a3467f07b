//! Which frame a pin belongs to. It refuses to know the broadcast: the newest frame is passed in.

use vetrina_protocol::id::ListingId;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::time::{MediaTime, UnixMs};
use vetrina_protocol::view::{Pin, ShowState};

use crate::limits::{MEDIA_TICKS_PER_MS, PIN_BACK_MS_MAX};
use crate::refused::Refused;
use crate::show::refuse_if_over;

/// Decides a pin. `wanted` is the host's back-date, `newest` the newest frame at the server (none:
/// no video, then the card is shown at once and a back-date means nothing).
///
/// # Errors
/// `show_state` when the show is over; `listing_unknown`; `invalid` for a frame in the future or
/// more than 30 s back.
pub fn decide(
    now: UnixMs,
    state: ShowState,
    listing: ListingId,
    listing_exists: bool,
    wanted: Option<MediaTime>,
    newest: Option<MediaTime>,
) -> Result<Pin, Refused> {
    refuse_if_over(state)?;
    if !listing_exists {
        return Err(Refused::new(
            RefusalCode::ListingUnknown,
            "listing: not part of this show; add it to the run of show first",
        ));
    }
    Ok(Pin {
        listing,
        pinned_at_ms: now,
        media_time: frame(wanted, newest)?,
    })
}

/// Decides from which frame on nothing is pinned: the newest.
///
/// # Errors
/// `show_state` when the show is over.
pub fn decide_unpin(
    state: ShowState,
    newest: Option<MediaTime>,
) -> Result<Option<MediaTime>, Refused> {
    refuse_if_over(state)?;
    Ok(newest)
}

fn frame(
    wanted: Option<MediaTime>,
    newest: Option<MediaTime>,
) -> Result<Option<MediaTime>, Refused> {
    let (Some(wanted), Some(newest)) = (wanted, newest) else {
        return Ok(newest);
    };
    let Some(back) = newest.0.checked_sub(wanted.0) else {
        return Err(Refused::new(
            RefusalCode::Invalid,
            "media_time: that frame has not reached the server yet; leave it out to pin now",
        ));
    };
    if back > PIN_BACK_MS_MAX * MEDIA_TICKS_PER_MS {
        return Err(Refused::new(
            RefusalCode::Invalid,
            format!(
                "media_time: a pin may be back-dated by at most {} s",
                PIN_BACK_MS_MAX / 1_000
            ),
        ));
    }
    Ok(Some(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEWEST: MediaTime = MediaTime(10_000_000);

    fn pin_at(wanted: Option<MediaTime>, newest: Option<MediaTime>) -> Result<Pin, RefusalCode> {
        let listing = ListingId(1);
        decide(UnixMs(7), ShowState::Live, listing, true, wanted, newest).map_err(|no| no.code)
    }

    #[test]
    fn the_newest_frame_unless_the_host_says_earlier() {
        assert_eq!(pin_at(None, Some(NEWEST)).unwrap().media_time, Some(NEWEST));
        let oldest = MediaTime(NEWEST.0 - 30 * 90_000);
        assert_eq!(
            pin_at(Some(oldest), Some(NEWEST)).unwrap().media_time,
            Some(oldest)
        );
        assert_eq!(pin_at(Some(NEWEST), None).unwrap().media_time, None);
    }

    #[test]
    fn neither_the_future_nor_long_ago() {
        let future = MediaTime(NEWEST.0 + 1);
        assert_eq!(
            pin_at(Some(future), Some(NEWEST)),
            Err(RefusalCode::Invalid)
        );
        let long_ago = MediaTime(NEWEST.0 - 30 * 90_000 - 1);
        assert_eq!(
            pin_at(Some(long_ago), Some(NEWEST)),
            Err(RefusalCode::Invalid)
        );
    }

    #[test]
    fn only_listings_of_a_show_that_is_not_over() {
        let pin = |state, exists| {
            decide(UnixMs(7), state, ListingId(1), exists, None, None).map_err(|no| no.code)
        };
        assert!(pin(ShowState::Scheduled, true).is_ok());
        assert_eq!(
            pin(ShowState::Live, false),
            Err(RefusalCode::ListingUnknown)
        );
        assert_eq!(pin(ShowState::Ended, true), Err(RefusalCode::ShowState));
        assert!(decide_unpin(ShowState::Replay, None).is_err());
    }
}
