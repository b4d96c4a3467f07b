//! The sessions of a room: who they are and where their private messages go.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vetrina_protocol::close::CloseCode;
use vetrina_protocol::id::{SessionId, UserId};
use vetrina_protocol::server::ServerMessage;
use vetrina_protocol::view::Role;

use super::Room;
use crate::auth::Principal;
use crate::channel::batch::Shared;
use crate::channel::mailbox::{Letter, LetterKind, Mailbox};
use crate::channel::translate::desk_event;
use vetrina_store::hot::Notice;

/// The sessions of one room. The lock is taken for a look-up; it exists because sessions come and
/// go by themselves while the room's task brings them letters.
#[derive(Debug, Default)]
pub(in crate::channel) struct Members {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Nobody may join any more; the room is being forgotten.
    closed: bool,
    people: HashMap<UserId, Vec<Seat>>,
    /// People whose role is viewer.
    viewers: u32,
    /// Sessions at the seller's desk.
    desk: Vec<(SessionId, Role, Arc<Mailbox>)>,
    sessions: usize,
}

#[derive(Debug)]
struct Seat {
    session: SessionId,
    role: Role,
    mailbox: Arc<Mailbox>,
}

/// One session in its room; dropping it leaves the room.
#[derive(Debug)]
pub(in crate::channel) struct Member {
    pub(in crate::channel) room: Arc<Room>,
    pub(in crate::channel) session: SessionId,
    pub(in crate::channel) mailbox: Arc<Mailbox>,
    user: UserId,
}

impl Member {
    /// Joins a room; `None` when the room is being forgotten: ask for it again.
    pub(in crate::channel) fn join(room: &Arc<Room>, who: &Principal) -> Option<Self> {
        let mut inner = room.members.inner();
        if inner.closed {
            return None;
        }
        let session = SessionId::now();
        let mailbox = Arc::new(Mailbox::default());
        let seats = inner.people.entry(who.user).or_default();
        let first = seats.iter().all(|seat| seat.role != Role::Viewer);
        seats.push(Seat {
            session,
            role: who.role,
            mailbox: mailbox.clone(),
        });
        if first && who.role == Role::Viewer {
            inner.viewers += 1;
        }
        if who.is_staff() {
            inner.desk.push((session, who.role, mailbox.clone()));
        }
        inner.sessions += 1;
        drop(inner);
        Some(Self {
            room: room.clone(),
            session,
            mailbox,
            user: who.user,
        })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut inner = self.room.members.inner();
        let mut role = None;
        let mut other_viewer = false;
        if let Some(seats) = inner.people.get_mut(&self.user) {
            if let Some(at) = seats.iter().position(|seat| seat.session == self.session) {
                role = Some(seats.swap_remove(at).role);
            }
            other_viewer = seats.iter().any(|seat| seat.role == Role::Viewer);
            if seats.is_empty() {
                inner.people.remove(&self.user);
            }
        }
        if role == Some(Role::Viewer) && !other_viewer {
            inner.viewers -= 1;
        }
        inner
            .desk
            .retain(|(session, _, _)| *session != self.session);
        inner.sessions -= 1;
    }
}

impl Members {
    /// People who watch, each once.
    pub(super) fn viewers(&self) -> u32 {
        self.inner().viewers
    }

    /// Sessions of all roles.
    pub(in crate::channel) fn sessions(&self) -> usize {
        self.inner().sessions
    }

    /// Closes the door if nobody is inside.
    pub(super) fn close_if_empty(&self) -> bool {
        let mut inner = self.inner();
        inner.closed |= inner.sessions == 0;
        inner.closed
    }

    /// Closes the door and sends everybody away, to come back by resuming.
    pub(super) fn close(&self, code: CloseCode) {
        let mut inner = self.inner();
        inner.closed = true;
        for seat in inner.people.values().flatten() {
            seat.mailbox.close(code);
        }
    }

    /// Ends all sessions of one person.
    pub(in crate::channel) fn close_person(&self, user: UserId, code: CloseCode) {
        for seat in self.inner().people.get(&user).into_iter().flatten() {
            seat.mailbox.close(code);
        }
    }

    /// Asks every session to come back later, each at a time of its own, and ends it.
    pub(in crate::channel) fn go_away(&self, mut reconnect_after_ms: impl FnMut() -> u64) {
        for seat in self.inner().people.values().flatten() {
            let message = ServerMessage::GoAway {
                reconnect_after_ms: reconnect_after_ms(),
            };
            seat.mailbox.post(Letter {
                kind: LetterKind::Plain,
                message: Arc::new(Shared::new(vec![message])),
            });
            seat.mailbox.close_afterwards(CloseCode::GoingAway);
        }
    }

    /// Brings a private fact to its buyer's sessions and to the desk.
    pub(super) fn deliver(&self, notice: &Notice) {
        let inner = self.inner();
        let version = notice.version;
        if let Some(seats) = inner.people.get(&notice.buyer) {
            let message = Arc::new(Shared::new(vec![ServerMessage::Private {
                version,
                event: notice.event.clone(),
            }]));
            for seat in seats.iter().filter(|seat| seat.role == Role::Viewer) {
                seat.mailbox.post(Letter {
                    kind: LetterKind::Private(version),
                    message: message.clone(),
                });
            }
        }
        // Fulfilment sees addresses, the others do not: two messages for the whole desk.
        let mut plain = None;
        let mut addressed = None;
        for (_, role, mailbox) in &inner.desk {
            let shared = if *role == Role::Fulfilment {
                &mut addressed
            } else {
                &mut plain
            };
            if shared.is_none() {
                let Some(event) = desk_event(notice, *role) else {
                    return;
                };
                *shared = Some(Arc::new(Shared::new(vec![ServerMessage::Desk {
                    version,
                    event,
                }])));
            }
            if let Some(message) = shared {
                mailbox.post(Letter {
                    kind: LetterKind::Desk(version),
                    message: message.clone(),
                });
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Whole after every statement that may panic, so a poisoned lock is usable.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
