//! Putting units aside, keeping them longer, and giving them back.

use vetrina_core::hot::{HotAnswer, HotCommand, Reserve};
use vetrina_core::refused::Refused;
use vetrina_core::show::refuse_unless_selling;
use vetrina_protocol::id::{ReservationId, ShowId};
use vetrina_protocol::server::Done;
use vetrina_protocol::view::Reservation;

use super::Shop;
use super::command::{Ask, Wish};
use super::ids;

impl Shop {
    pub(super) async fn reserve(&self, ask: &Ask, wish: Wish) -> Result<Done, Refused> {
        let reservation = self.make_reservation(ask, wish).await?;
        Ok(done(reservation))
    }

    /// The reservation of this key: made now, or before.
    pub(super) async fn make_reservation(
        &self,
        ask: &Ask,
        wish: Wish,
    ) -> Result<Reservation, Refused> {
        self.refuse_unless_open(ask.show).await?;
        let command = HotCommand::Reserve(Reserve {
            reservation: ids::reservation(ask, ask.need_key()?),
            buyer: ask.by.user,
            buyer_name: ask.by.name.clone(),
            listing: wish.listing,
            quantity: wish.quantity,
            media_time: wish.media_time,
        });
        self.reservation_of(ask.show, "Reserve", command).await
    }

    pub(super) async fn extend(
        &self,
        ask: &Ask,
        reservation: ReservationId,
    ) -> Result<Done, Refused> {
        let command = HotCommand::Extend {
            reservation,
            buyer: ask.by.user,
        };
        self.reservation_of(ask.show, "Extend", command)
            .await
            .map(done)
    }

    pub(super) async fn release(
        &self,
        ask: &Ask,
        reservation: ReservationId,
    ) -> Result<Done, Refused> {
        let command = HotCommand::Release {
            reservation,
            buyer: ask.by.user,
        };
        self.reservation_of(ask.show, "Release", command)
            .await
            .map(done)
    }

    /// A scheduled show sells nothing yet. Once it sells, the hot store itself knows when it stops.
    pub(super) async fn refuse_unless_open(&self, show: ShowId) -> Result<(), Refused> {
        if self.inner.scenes.has_opened(show) {
            return Ok(());
        }
        let state = self.stage(show).await?.state();
        refuse_unless_selling(state)?;
        self.inner.scenes.note_opened(show);
        Ok(())
    }

    pub(super) async fn reservation_of(
        &self,
        show: ShowId,
        name: &'static str,
        command: HotCommand,
    ) -> Result<Reservation, Refused> {
        match self.apply(show, command).await?.answer {
            HotAnswer::Reservation { reservation, .. } => Ok(reservation),
            answer => Err(self.unexpected(name, &answer)),
        }
    }
}

fn done(reservation: Reservation) -> Done {
    Done {
        reservation: Some(reservation),
        ..Done::default()
    }
}
