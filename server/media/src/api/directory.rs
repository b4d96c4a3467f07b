//! What any thread may look up without asking the media thread: sessions, broadcasts, last figures.
//!
//! The locks here guard plain maps and values, are held for a lookup only, and never across a send
//! or an await; that is why they exist in spite of one owner per peer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::{
    BroadcastId, BroadcastStats, BroadcastStatus, MediaStats, MediaTime, Refused, SessionId,
    SessionInfo,
};
use crate::limits;

/// One broadcast as others see it.
#[derive(Debug)]
pub(crate) struct BroadcastRecord {
    pub(crate) id: BroadcastId,
    pub(crate) status: watch::Sender<BroadcastStatus>,
    stats: Mutex<BroadcastStats>,
    /// Media time of the newest frame; 0 before the first.
    newest_frame: AtomicU64,
}

impl BroadcastRecord {
    fn new(id: BroadcastId) -> Self {
        Self {
            id,
            status: watch::Sender::new(BroadcastStatus::default()),
            stats: Mutex::default(),
            newest_frame: AtomicU64::new(0),
        }
    }

    pub(crate) fn newest_frame(&self) -> Option<MediaTime> {
        match self.newest_frame.load(Ordering::Relaxed) {
            0 => None,
            ticks => Some(MediaTime(ticks)),
        }
    }

    pub(crate) fn set_newest_frame(&self, time: MediaTime) {
        self.newest_frame.store(time.0, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> BroadcastStats {
        *lock(&self.stats)
    }

    pub(crate) fn set_stats(&self, stats: BroadcastStats) {
        *lock(&self.stats) = stats;
    }

    /// Tells followers, if anything changed.
    pub(crate) fn set_status(&self, status: BroadcastStatus) {
        self.status.send_if_modified(|now| {
            let changed = *now != status;
            *now = status;
            changed
        });
    }
}

/// Everything that can be looked up by id.
#[derive(Debug)]
pub(crate) struct Directory {
    sessions_max: usize,
    sessions: Mutex<HashMap<SessionId, SessionInfo>>,
    broadcasts: Mutex<HashMap<BroadcastId, Arc<BroadcastRecord>>>,
    stats: Mutex<MediaStats>,
}

impl Directory {
    pub(crate) fn new(sessions_max: usize) -> Self {
        Self {
            sessions_max,
            sessions: Mutex::default(),
            broadcasts: Mutex::default(),
            stats: Mutex::default(),
        }
    }

    pub(crate) fn session(&self, id: SessionId) -> Option<SessionInfo> {
        lock(&self.sessions).get(&id).cloned()
    }

    /// Takes a place for a session, if one is free.
    pub(crate) fn add_session(&self, id: SessionId, info: SessionInfo) -> Result<(), Refused> {
        let mut sessions = lock(&self.sessions);
        if sessions.len() >= self.sessions_max {
            return Err(Refused::Overloaded);
        }
        sessions.insert(id, info);
        Ok(())
    }

    pub(crate) fn set_etag(&self, id: SessionId, etag: &str) {
        if let Some(info) = lock(&self.sessions).get_mut(&id) {
            etag.clone_into(&mut info.etag);
        }
    }

    pub(crate) fn remove_session(&self, id: SessionId) {
        lock(&self.sessions).remove(&id);
    }

    pub(crate) fn find(&self, id: BroadcastId) -> Option<Arc<BroadcastRecord>> {
        lock(&self.broadcasts).get(&id).cloned()
    }

    /// The broadcast's record, made if it does not exist.
    pub(crate) fn broadcast(&self, id: BroadcastId) -> Result<Arc<BroadcastRecord>, Refused> {
        let mut broadcasts = lock(&self.broadcasts);
        if let Some(record) = broadcasts.get(&id) {
            return Ok(record.clone());
        }
        if broadcasts.len() >= limits::BROADCASTS_MAX {
            // Records that nobody follows and nobody publishes hold nothing worth keeping.
            broadcasts.retain(|_, record| {
                record.status.receiver_count() > 0
                    || *record.status.borrow() != BroadcastStatus::default()
            });
        }
        if broadcasts.len() >= limits::BROADCASTS_MAX {
            return Err(Refused::Overloaded);
        }
        let record = Arc::new(BroadcastRecord::new(id));
        broadcasts.insert(id, record.clone());
        Ok(record)
    }

    pub(crate) fn stats(&self) -> MediaStats {
        *lock(&self.stats)
    }

    pub(crate) fn set_stats(&self, stats: MediaStats) {
        *lock(&self.stats) = stats;
    }
}

/// The values behind these locks are whole after every statement, so a poisoned lock is usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
