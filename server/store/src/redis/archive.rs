//! The archive: what the tail has brought is written to the ledger by the show's leader, at most
//! every 20 ms; a node where somebody waits for it does not wait for the leader. Both may write the
//! same events: the ledger passes over what it has.

use std::sync::Arc;
use std::time::Duration;

use super::Inner;
use super::local::Local;
use super::show::Show;
use crate::StoreError;
use crate::ledger::ArchiveBatch;

/// The price of an fdatasync is shared by all events of that time.
const PAUSE: Duration = Duration::from_millis(20);
/// After a failure; doubled up to the longest.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);
/// Tries to write what is left at shutdown.
const LAST_TRIES: u32 = 20;

type Taken = (Arc<Show>, Arc<Local>, ArchiveBatch);

pub(super) async fn run(inner: Arc<Inner>) {
    let mut pause = PAUSE;
    loop {
        tokio::select! {
            () = inner.dirty.notified() => {}
            () = inner.stopping.cancelled() => break,
        }
        let started = tokio::time::Instant::now();
        if write(&inner, false).await {
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
        if write(&inner, true).await {
            return;
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    tracing::error!("the end of a log could not be archived; another node will, if there is one");
}

/// Writes what waits; all of it, or what this node is to write. False: some of it waits still.
async fn write(inner: &Inner, anyway: bool) -> bool {
    let mut taken: Vec<Taken> = Vec::new();
    for show in &inner.shows {
        if let Some(local) = show.local()
            && let Some(batch) = local.batch(anyway)
        {
            taken.push((Arc::clone(&show), local, batch));
        }
    }
    if taken.is_empty() {
        return true;
    }
    let batches = taken.iter().map(|(_, _, batch)| batch.clone()).collect();
    match inner.ledger.archive(batches).await {
        Ok(()) => {
            taken.iter().for_each(written);
            true
        }
        Err(StoreError::Refused(_)) => write_each(inner, &taken).await,
        Err(error) => {
            tracing::warn!(%error, "the log could not be archived; trying again");
            false
        }
    }
}

/// One of the shows has a newer epoch: finds it, and lets it go.
async fn write_each(inner: &Inner, taken: &[Taken]) -> bool {
    let mut all = true;
    for one in taken {
        let (show, local, batch) = one;
        match inner.ledger.archive(vec![batch.clone()]).await {
            Ok(()) => written(one),
            Err(StoreError::Refused(refused)) => {
                tracing::warn!(show = %show.id, %refused, "the log has a newer epoch");
                show.lose(local);
            }
            Err(error) => {
                tracing::warn!(%error, "the log could not be archived; trying again");
                all = false;
            }
        }
    }
    all
}

fn written((_, local, batch): &Taken) {
    if let Some(last) = batch.events.last() {
        local.set_archived(last.offset);
    }
}
