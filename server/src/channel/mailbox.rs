//! What waits for one session alone: its buyer's private facts and, for staff, the desk's. Bounded:
//! who is too far behind is told to come back, because a resume carries the whole private state.
//!
//! It refuses to know what the messages mean.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use vetrina_protocol::close::CloseCode;

use super::batch::Shared;
use super::limits::PRIVATE_QUEUE_MAX;

/// One message for one session.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    /// What it is compared with before it is sent.
    pub(crate) kind: LetterKind,
    /// What is sent; shared with others that are sent the same.
    pub(crate) message: Arc<Shared>,
}

/// Which of the states that `Welcome` carried may include a message already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LetterKind {
    /// `mine`, up to its version.
    Private(u64),
    /// `desk`, up to its version.
    Desk(u64),
    /// None.
    Plain,
}

/// How a session is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// At once.
    Now(CloseCode),
    /// When what waits was sent.
    Afterwards(CloseCode),
}

/// One session's private queue. The lock is taken for a push or a take, never across an await; it
/// exists because notices come from wherever the change happened.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    inner: Mutex<Inner>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Letter>,
    ending: Option<Ending>,
}

impl Mailbox {
    /// Puts a message behind those that wait. When there is no room the session is closed as slow.
    pub(crate) fn post(&self, letter: Letter) {
        let mut inner = self.inner();
        if inner.ending.is_some() {
            return;
        }
        if inner.waiting.len() >= PRIVATE_QUEUE_MAX {
            inner.ending = Some(Ending::Now(CloseCode::Slow));
            inner.waiting = VecDeque::new();
        } else {
            inner.waiting.push_back(letter);
        }
        drop(inner);
        self.wake.notify_one();
    }

    /// Ends the session at once. The first reason stays.
    pub(crate) fn close(&self, code: CloseCode) {
        self.inner().ending.get_or_insert(Ending::Now(code));
        self.wake.notify_one();
    }

    /// Ends the session when what waits was sent. The first reason stays.
    pub(crate) fn close_afterwards(&self, code: CloseCode) {
        self.inner().ending.get_or_insert(Ending::Afterwards(code));
        self.wake.notify_one();
    }

    /// The code of a session that must end at once.
    pub(crate) fn must_end(&self) -> Option<CloseCode> {
        match self.inner().ending {
            Some(Ending::Now(code)) => Some(code),
            _ => None,
        }
    }

    /// Everything that waits, in order.
    ///
    /// # Errors
    /// Why the session must end, once nothing waits.
    pub(crate) fn take(&self) -> Result<VecDeque<Letter>, CloseCode> {
        let mut inner = self.inner();
        match inner.ending {
            Some(Ending::Now(code)) => Err(code),
            Some(Ending::Afterwards(code)) if inner.waiting.is_empty() => Err(code),
            _ => Ok(std::mem::take(&mut inner.waiting)),
        }
    }

    /// Waits until there is something to take.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Whole after every statement, so a poisoned lock is usable.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> Letter {
        Letter {
            kind: LetterKind::Plain,
            message: Arc::new(Shared::new(Vec::new())),
        }
    }

    #[test]
    fn an_overflow_closes_as_slow_and_keeps_nothing() {
        let mailbox = Mailbox::default();
        for _ in 0..PRIVATE_QUEUE_MAX {
            mailbox.post(letter());
        }
        assert_eq!(mailbox.must_end(), None);
        mailbox.post(letter());
        mailbox.post(letter());
        assert_eq!(mailbox.inner().waiting.len(), 0);
        assert_eq!(mailbox.must_end(), Some(CloseCode::Slow));
        assert_eq!(mailbox.take().unwrap_err(), CloseCode::Slow);
    }

    #[test]
    fn the_first_reason_to_close_stays_and_may_let_the_rest_go_first() {
        let mailbox = Mailbox::default();
        mailbox.post(letter());
        mailbox.close_afterwards(CloseCode::GoingAway);
        mailbox.close(CloseCode::Banned);
        mailbox.post(letter());
        assert_eq!(mailbox.must_end(), None);
        assert_eq!(mailbox.take().unwrap().len(), 1, "nothing more is taken in");
        assert_eq!(mailbox.take().unwrap_err(), CloseCode::GoingAway);
    }
}
