//! The journal: events and changed rows of all shows, written behind in one transaction after
//! another, at most every 20 ms. What it writes of one show is always a suffix of what was decided.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Inner;
use super::loaded::Loaded;
use crate::StoreError;
use crate::ledger::ArchiveBatch;

/// At least so long between two transactions: the price of an fdatasync is shared by all events of
/// that time, and nobody who waits for one notices.
const PAUSE: Duration = Duration::from_millis(20);
/// After a failure; doubled up to the longest.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);
/// Tries to write what is left at shutdown.
const LAST_TRIES: u32 = 20;

pub(super) async fn run(inner: Arc<Inner>) {
    let mut pause = PAUSE;
    loop {
        tokio::select! {
            () = inner.dirty.notified() => {}
            () = inner.stopping.cancelled() => break,
        }
        let started = tokio::time::Instant::now();
        if write(&inner).await {
            pause = PAUSE;
        } else {
            pause = (pause * 2).clamp(RETRY_PAUSE, RETRY_PAUSE_MAX);
            inner.dirty.notify_one();
        }
        tokio::select! {
            () = tokio::time::sleep_until(started + pause) => {}
            () = inner.stopping.cancelled() => {}
        }
    }
    for _ in 0..LAST_TRIES {
        for loaded in &inner.shows {
            loaded.shut();
        }
        if write(&inner).await {
            return;
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    tracing::error!("the journal could not be written before the end; the newest events are lost");
}

/// Writes what waits. False when some of it waits still.
async fn write(inner: &Inner) -> bool {
    let taken_at = Instant::now();
    let shows: Vec<Arc<Loaded>> = inner.shows.iter().map(|entry| Arc::clone(&entry)).collect();
    let taken: Vec<(Arc<Loaded>, ArchiveBatch)> = shows
        .into_iter()
        .filter_map(|loaded| loaded.take_batch().map(|batch| (loaded, batch)))
        .collect();
    if taken.is_empty() {
        return true;
    }
    let batches = taken.iter().map(|(_, batch)| batch.clone()).collect();
    match inner.ledger.archive(batches).await {
        Ok(()) => {
            for (loaded, batch) in &taken {
                loaded.batch_written(batch, taken_at);
            }
            true
        }
        Err(StoreError::Refused(_)) => write_each(inner, taken, taken_at).await,
        Err(error) => {
            tracing::warn!(%error, "the journal could not be written; trying again");
            for (loaded, batch) in taken {
                loaded.batch_failed(batch);
            }
            false
        }
    }
}

/// One of the shows is written by somebody else: finds it, and lets it go.
async fn write_each(
    inner: &Inner,
    taken: Vec<(Arc<Loaded>, ArchiveBatch)>,
    taken_at: Instant,
) -> bool {
    let mut all = true;
    for (loaded, batch) in taken {
        match inner.ledger.archive(vec![batch.clone()]).await {
            Ok(()) => loaded.batch_written(&batch, taken_at),
            Err(StoreError::Refused(refused)) => {
                tracing::error!(show = %loaded.show, %refused, "the log is lost to another");
                loaded.shut();
                inner.shows.remove(&loaded.show);
            }
            Err(error) => {
                tracing::warn!(%error, "the journal could not be written; trying again");
                loaded.batch_failed(batch);
                all = false;
            }
        }
    }
    all
}
