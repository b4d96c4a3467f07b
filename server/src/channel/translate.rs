//! Between the wire and the shop: client messages become commands, answers become server messages.
//! Nobody else in the channel knows both.

use sha2::{Digest as _, Sha256};
use vetrina_core::checkout::BodyDigest;
use vetrina_core::refused::Refused;
use vetrina_protocol::client::{ClientMessage, CommandId};
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::event::DeskEvent;
use vetrina_protocol::server::{Done, ServerMessage};
use vetrina_protocol::view::Role;

use crate::shop::{Command, Key, Wish};
use vetrina_store::hot::Notice;
use vetrina_store::ledger::ListingChange;

/// A command of the shop with the id and key of the message that it was.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) id: CommandId,
    pub(super) key: Key,
    pub(super) command: Command,
}

/// The shop's command that a message means; `None` for those that the session answers itself.
pub(super) fn asked(mut message: ClientMessage) -> Option<Asked> {
    let key = Key {
        text: message.key()?.to_owned(),
        body: body_digest(&mut message),
    };
    let id = message.id()?;
    let command = command(message)?;
    Some(Asked { id, key, command })
}

/// A hash of everything that a retry must repeat, which is all but the id.
fn body_digest(message: &mut ClientMessage) -> BodyDigest {
    let id = message.id().unwrap_or_default();
    message.set_id(0);
    let bytes = Encoding::MessagePack.encode(std::slice::from_ref(&*message));
    message.set_id(id);
    BodyDigest(Sha256::digest(bytes).into())
}

fn command(message: ClientMessage) -> Option<Command> {
    use ClientMessage as M;
    Some(match message {
        M::Hello { .. } | M::React { .. } | M::Ping { .. } | M::RefreshToken { .. } => return None,
        M::Reserve {
            listing,
            quantity,
            media_time,
            ..
        } => Command::Reserve(Wish {
            listing,
            quantity,
            media_time,
        }),
        M::ExtendReservation { reservation, .. } => Command::ExtendReservation(reservation),
        M::ReleaseReservation { reservation, .. } => Command::ReleaseReservation(reservation),
        M::JoinWaitlist {
            listing, quantity, ..
        } => Command::JoinWaitlist { listing, quantity },
        M::LeaveWaitlist { listing, .. } => Command::LeaveWaitlist { listing },
        M::Checkout {
            reservations,
            delivery,
            ..
        } => Command::Checkout {
            reservations,
            delivery,
        },
        M::BuyNow {
            listing,
            quantity,
            delivery,
            media_time,
            ..
        } => Command::BuyNow {
            wish: Wish {
                listing,
                quantity,
                media_time,
            },
            delivery,
        },
        M::CancelOrder { order, .. } => Command::CancelOrder(order),
        M::Comment {
            text, media_time, ..
        } => Command::Comment { text, media_time },
        message => return hosts_command(message),
    })
}

fn hosts_command(message: ClientMessage) -> Option<Command> {
    use ClientMessage as M;
    Some(match message {
        M::StartShow { .. } => Command::StartShow,
        M::EndShow { .. } => Command::EndShow,
        M::Pin {
            listing,
            media_time,
            ..
        } => Command::Pin {
            listing,
            media_time,
        },
        M::Unpin { .. } => Command::Unpin,
        M::SetStock { listing, total, .. } => Command::ChangeListing {
            listing,
            change: ListingChange {
                total: Some(total),
                ..ListingChange::default()
            },
        },
        M::SetPrice { listing, price, .. } => Command::ChangeListing {
            listing,
            change: ListingChange {
                price: Some(price),
                ..ListingChange::default()
            },
        },
        M::OrderListings { listings, .. } => Command::OrderListings(listings),
        M::DeleteComment { comment, .. } => Command::DeleteComment(comment),
        M::MuteViewer { viewer, muted, .. } => Command::MuteViewer { viewer, muted },
        M::SlowMode { seconds, .. } => Command::SlowMode { seconds },
        _ => return None,
    })
}

/// The answer to a command.
pub(super) fn answer(id: CommandId, answer: Result<Done, Refused>) -> ServerMessage {
    match answer {
        Ok(done) => ServerMessage::Ok(Box::new(Done { id, ..done })),
        Err(refused) => refusal(Some(id), refused),
    }
}

/// A refusal, of a command or of the session.
pub(super) fn refusal(id: Option<CommandId>, refused: Refused) -> ServerMessage {
    ServerMessage::Refused {
        id,
        code: refused.code,
        message: refused.message.into_owned(),
        retry_after_ms: refused.retry_after_ms,
    }
}

/// What this role may hear at the desk of a private fact: never the pay page, addresses for
/// fulfilment only.
pub(super) fn desk_event(notice: &Notice, role: Role) -> Option<DeskEvent> {
    let mut event = notice.desk()?;
    if let DeskEvent::OrderChanged { entry } = &mut event {
        entry.order.payment = None;
        if role != Role::Fulfilment {
            entry.order.delivery = None;
        }
    }
    Some(event)
}

#[cfg(test)]
mod tests {
    use vetrina_protocol::id::ListingId;

    use super::*;

    fn reserve(id: CommandId, key: &str, quantity: u32) -> Asked {
        let message = ClientMessage::Reserve {
            id,
            key: key.to_owned(),
            listing: ListingId(1),
            quantity,
            media_time: None,
        };
        asked(message).unwrap()
    }

    #[test]
    fn a_retry_has_the_same_digest_whatever_its_id() {
        let first = reserve(1, "k", 2);
        assert_eq!(first.id, 1);
        assert_eq!(first.key, reserve(7, "k", 2).key);
        assert_ne!(first.key.body, reserve(1, "k", 3).key.body);
        let other = asked(ClientMessage::JoinWaitlist {
            id: 1,
            key: "k".into(),
            listing: ListingId(1),
            quantity: 2,
        });
        assert_ne!(first.key.body, other.unwrap().key.body);
    }
}
