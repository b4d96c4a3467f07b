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

/// One session's private queue. The lock is taken for a push or a take, never across an await; it
/// exists because notices come from wherever the change happened.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    inner: Mutex<Inner>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Arc<Shared>>,
    close: Option<CloseCode>,
}

impl Mailbox {
    /// Puts a message behind those that wait. When there is no room the session is closed as slow.
    pub(crate) fn post(&self, message: Arc<Shared>) {
        let mut inner = self.inner();
        if inner.close.is_some() {
            return;
        }
        if inner.waiting.len() >= PRIVATE_QUEUE_MAX {
            inner.close = Some(CloseCode::Slow);
            inner.waiting.clear();
        } else {
            inner.waiting.push_back(message);
        }
        drop(inner);
        self.wake.notify_one();
    }

    /// Ends the session. The first reason stays.
    pub(crate) fn close(&self, code: CloseCode) {
        self.inner().close.get_or_insert(code);
        self.wake.notify_one();
    }

    /// Everything that waits, in order; or why the session must end.
    pub(crate) fn take(&self) -> Result<VecDeque<Arc<Shared>>, CloseCode> {
        let mut inner = self.inner();
        match inner.close {
            Some(code) => Err(code),
            None => Ok(std::mem::take(&mut inner.waiting)),
        }
    }

    /// How many messages wait.
    pub(crate) fn len(&self) -> usize {
        self.inner().waiting.len()
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

    fn message() -> Arc<Shared> {
        Arc::new(Shared::new(Vec::new()))
    }

    #[test]
    fn an_overflow_closes_as_slow_and_keeps_nothing() {
        let mailbox = Mailbox::default();
        for _ in 0..PRIVATE_QUEUE_MAX {
            mailbox.post(message());
        }
        assert_eq!(mailbox.len(), PRIVATE_QUEUE_MAX);
        mailbox.post(message());
        mailbox.post(message());
        assert_eq!(mailbox.len(), 0);
        assert_eq!(mailbox.take().unwrap_err(), CloseCode::Slow);
    }

    #[test]
    fn the_first_reason_to_close_stays() {
        let mailbox = Mailbox::default();
        mailbox.post(message());
        assert_eq!(mailbox.take().unwrap().len(), 1);
        mailbox.close(CloseCode::Banned);
        mailbox.close(CloseCode::GoingAway);
        assert_eq!(mailbox.take().unwrap_err(), CloseCode::Banned);
    }
}
