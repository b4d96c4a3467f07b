//! Queueing for a sold-out listing.

use vetrina_core::hot::{HotAnswer, HotCommand};
use vetrina_core::refused::Refused;
use vetrina_protocol::id::ListingId;
use vetrina_protocol::server::Done;

use super::Shop;
use super::command::Ask;
use super::ids;

impl Shop {
    pub(super) async fn join_waitlist(
        &self,
        ask: &Ask,
        listing: ListingId,
        quantity: u32,
    ) -> Result<Done, Refused> {
        self.refuse_unless_open(ask.show).await?;
        let command = HotCommand::JoinWaitlist {
            reservation: ids::waitlist_reservation(ask, ask.need_key()?),
            buyer: ask.by.user,
            buyer_name: ask.by.name.clone(),
            listing,
            quantity,
        };
        match self.apply(ask.show, command).await?.answer {
            HotAnswer::Waiting { place, .. } => Ok(Done {
                place: Some(place),
                ..Done::default()
            }),
            // The turn of this very command has come meanwhile: a retry hears what came of it.
            HotAnswer::Reservation { reservation, .. } => Ok(Done {
                reservation: Some(reservation),
                ..Done::default()
            }),
            answer => Err(self.unexpected("JoinWaitlist", &answer)),
        }
    }

    pub(super) async fn leave_waitlist(
        &self,
        ask: &Ask,
        listing: ListingId,
    ) -> Result<Done, Refused> {
        let command = HotCommand::LeaveWaitlist {
            buyer: ask.by.user,
            listing,
        };
        self.apply(ask.show, command).await?;
        Ok(Done::default())
    }
}
