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
