//! The commands, as the shop understands them, who asks, and who may: one table.

use vetrina_core::checkout::BodyDigest;
use vetrina_core::refused::Refused;
use vetrina_protocol::KEY_BYTES_MAX;
use vetrina_protocol::client::Delivery;
use vetrina_protocol::id::{CommentId, ListingId, OrderId, ReservationId, ShowId, UserId};
use vetrina_protocol::time::MediaTime;
use vetrina_protocol::view::Role;

use crate::auth::Principal;
use crate::refused::{forbidden, invalid};
use vetrina_store::ledger::ListingChange;

/// Who asks, in which show, and under which key.
#[derive(Debug, Clone)]
pub struct Ask {
    /// In which show.
    pub show: ShowId,
    /// Who; the token was checked.
    pub by: Principal,
    /// Without one, nothing is remembered: for requests that may be repeated as they are (PATCH).
    pub key: Option<Key>,
}

/// An idempotency key with a hash of what was asked under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// From 1 to [`KEY_BYTES_MAX`] bytes.
    pub text: String,
    /// So that a repetition can be told from a reused key.
    pub body: BodyDigest,
}

impl Key {
    pub(super) fn check(&self) -> Result<(), Refused> {
        if (1..=KEY_BYTES_MAX).contains(&self.text.len()) {
            return Ok(());
        }
        Err(invalid(
            "key",
            format_args!("must have from 1 to {KEY_BYTES_MAX} bytes"),
        ))
    }
}

impl Ask {
    /// The key, for commands whose ids are made of it.
    pub(super) fn need_key(&self) -> Result<&Key, Refused> {
        self.key
            .as_ref()
            .ok_or_else(|| invalid("key", "this command needs an idempotency key"))
    }
}

/// Units that somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Of what.
    pub listing: ListingId,
    /// How many.
    pub quantity: u32,
    /// The frame on the buyer's screen.
    pub media_time: Option<MediaTime>,
}

/// Everything that can be asked of a show. The wire's documentation says what each means.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is described where the wire defines it")]
pub enum Command {
    Reserve(Wish),
    ExtendReservation(ReservationId),
    ReleaseReservation(ReservationId),
    JoinWaitlist {
        listing: ListingId,
        quantity: u32,
    },
    LeaveWaitlist {
        listing: ListingId,
    },
    Checkout {
        reservations: Vec<ReservationId>,
        delivery: Option<Delivery>,
    },
    BuyNow {
        wish: Wish,
        delivery: Option<Delivery>,
    },
    CancelOrder(OrderId),
    Comment {
        text: String,
        media_time: Option<MediaTime>,
    },
    StartShow,
    EndShow,
    Pin {
        listing: ListingId,
        media_time: Option<MediaTime>,
    },
    Unpin,
    /// `SetStock`, `SetPrice`, and REST's change of a listing.
    ChangeListing {
        listing: ListingId,
        change: ListingChange,
    },
    OrderListings(Vec<ListingId>),
    DeleteComment(CommentId),
    MuteViewer {
        viewer: UserId,
        muted: bool,
    },
    SlowMode {
        seconds: u32,
    },
}

impl Command {
    /// Whether a repetition is recognised by what it made: ids of reservations and orders are made
    /// of the key, and a second release or cancellation finds nothing to do.
    pub(super) const fn is_known_by_its_ids(&self) -> bool {
        matches!(
            self,
            Self::Reserve(_)
                | Self::ReleaseReservation(_)
                | Self::JoinWaitlist { .. }
                | Self::Checkout { .. }
                | Self::BuyNow { .. }
                | Self::CancelOrder(_)
        )
    }

    /// The one table of who may do what.
    pub(super) fn check_role(&self, role: Role) -> Result<(), Refused> {
        let (allowed, who): (&[Role], _) = match self {
            Self::Reserve(_)
            | Self::ExtendReservation(_)
            | Self::ReleaseReservation(_)
            | Self::JoinWaitlist { .. }
            | Self::LeaveWaitlist { .. }
            | Self::Checkout { .. }
            | Self::BuyNow { .. }
            | Self::CancelOrder(_) => (&[Role::Viewer], "only viewers buy; use a viewer's token"),
            Self::Comment { .. } => (
                &[Role::Viewer, Role::Host, Role::Moderator],
                "only viewers, hosts and moderators comment",
            ),
            Self::DeleteComment(_) | Self::MuteViewer { .. } | Self::SlowMode { .. } => (
                &[Role::Host, Role::Moderator],
                "only hosts and moderators may do that",
            ),
            Self::StartShow
            | Self::EndShow
            | Self::Pin { .. }
            | Self::Unpin
            | Self::ChangeListing { .. }
            | Self::OrderListings(_) => (&[Role::Host], "only hosts may do that"),
        };
        if allowed.contains(&role) {
            Ok(())
        } else {
            Err(forbidden(who))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_size() {
        let key = |text: &str| Key {
            text: text.to_owned(),
            body: BodyDigest([0; 32]),
        };
        assert!(key("k").check().is_ok());
        assert!(key(&"k".repeat(KEY_BYTES_MAX)).check().is_ok());
        assert!(key("").check().is_err());
        assert!(key(&"k".repeat(KEY_BYTES_MAX + 1)).check().is_err());
    }

    #[test]
    fn viewers_do_not_run_the_show_and_hosts_do_not_buy() {
        let listing = ListingId(1);
        let hosts = [
            Command::StartShow,
            Command::EndShow,
            Command::Unpin,
            Command::Pin {
                listing,
                media_time: None,
            },
            Command::ChangeListing {
                listing,
                change: ListingChange::default(),
            },
            Command::OrderListings(vec![listing]),
        ];
        for command in hosts {
            for role in [Role::Viewer, Role::Moderator, Role::Fulfilment, Role::Ops] {
                assert!(command.check_role(role).is_err(), "{role:?} {command:?}");
            }
            assert!(command.check_role(Role::Host).is_ok());
        }
        let moderation = Command::DeleteComment(CommentId(1));
        assert!(moderation.check_role(Role::Moderator).is_ok());
        assert!(moderation.check_role(Role::Viewer).is_err());
        let buying = Command::CancelOrder(OrderId(1));
        assert!(buying.check_role(Role::Viewer).is_ok());
        assert!(buying.check_role(Role::Host).is_err());
    }
}
