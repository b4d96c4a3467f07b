//! Opening a show: a node joins those who have it open in Redis, or, when Redis does not know it,
//! builds it anew from the ledger and from what this node remembers. One node builds at a time, by
//! lease; the others wait and join.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::streams::StreamRangeReply;
use tokio::sync::watch;
use vetrina_core::hot::{HotCommand, Restore};
use vetrina_core::show::ShowFold;
use vetrina_protocol::event::Event;
use vetrina_protocol::id::ListingId;
use vetrina_protocol::time::{Epoch, UnixMs};
use vetrina_protocol::view::{Listing, ShowState};

use super::functions::{self, BATCH_MAX, Belief, OpenShow, Opened, ShowStatus};
use super::local::Local;
use super::show::Show;
use super::{Failure, Inner};
use crate::StoreError;
use crate::ledger::{ListingRow, ShowSeed, archived_fold};
use crate::log::Log;

/// A builder that takes longer has died; another may begin.
const LEASE_MS: u64 = 5_000;
/// Who waits for a builder looks again after this.
const PAUSE: Duration = Duration::from_millis(25);
/// After a loss, before buyers are let in: other nodes remember grants that this one was not told
/// of any more, and need as long to notice.
const GATHER: Duration = Duration::from_millis(1_000);
/// Entries of the log read at once.
const PAGE_ENTRIES: usize = 500;
/// How often the log's end is looked for before its corrections are left to the next node.
const ATTEMPTS_MAX: usize = 8;
/// Rows seated by one call: below a millisecond of Redis' time each.
const ROWS_PER_CALL: usize = 200;

/// What an opening came to, once it is over. Not the room itself: who still listens would keep a
/// lost one alive.
pub(super) type Outcome = watch::Receiver<Option<Result<(), StoreError>>>;

/// The show, open here and in Redis, waited for as long as `patience`. The opening goes on when
/// nobody waits for it any more.
pub(super) async fn wait(
    inner: &Arc<Inner>,
    show: &Arc<Show>,
    patience: Duration,
) -> Result<Arc<Local>, StoreError> {
    let mut outcome = show.opening(|| begin(inner, show));
    let over = tokio::time::timeout(patience, outcome.wait_for(Option::is_some)).await;
    match over {
        Ok(Ok(outcome)) => outcome.clone().unwrap_or_else(|| Err(not_yet()))?,
        Ok(Err(_)) | Err(_) => return Err(not_yet()),
    }
    // Lost again already: whoever asks next opens it anew.
    show.local().ok_or_else(not_yet)
}

fn not_yet() -> StoreError {
    StoreError::Unavailable("the show is being opened".into())
}

fn begin(inner: &Arc<Inner>, show: &Arc<Show>) -> Outcome {
    let (over, outcome) = watch::channel(None);
    let (inner, show) = (Arc::clone(inner), Arc::clone(show));
    tokio::spawn(async move {
        let opened = tokio::select! {
            opened = tokio::time::timeout(inner.options.patience.open, open(&inner, &show)) => {
                opened.unwrap_or_else(|_| {
                    let why = "the show does not open in time";
                    Err(StoreError::Unavailable(why.into()))
                })
            }
            () = inner.stopping.cancelled() => {
                Err(StoreError::Unavailable("the store is shutting down".into()))
            }
        };
        over.send_replace(Some(opened));
    });
    outcome
}

async fn open(inner: &Arc<Inner>, show: &Arc<Show>) -> Result<(), StoreError> {
    let _nobody_closes = show.changing.lock().await;
    if show.local().is_none() {
        show.set_local(Some(join_or_build(inner, show).await?));
        inner.followed.notify_one();
    }
    Ok(())
}

async fn join_or_build(inner: &Arc<Inner>, show: &Show) -> Result<Arc<Local>, StoreError> {
    loop {
        let mut being_built = None;
        match status(inner, show).await {
            Ok(status) if status.is_loaded => {
                if let Some(local) = join(inner, show, &status).await? {
                    return Ok(local);
                }
            }
            Ok(status) => being_built = Some(status.position.epoch),
            Err(Failure::NotOpen(_)) => {}
            Err(failure) => return Err(failure.into()),
        }
        save_leftover(inner, show).await;
        let lease = inner.call(&show.keys, true, |belief| {
            let (keys, name) = (&show.keys, OpenShow::LEASE);
            Ok(functions::lease(
                keys,
                name,
                &inner.node,
                LEASE_MS,
                belief.clock,
            ))
        });
        if !lease.await?.is_ours {
            if let Some(epoch) = being_built {
                contribute(inner, show, epoch).await?;
            }
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        let began = Instant::now();
        let built = build(inner, show).await;
        if built.is_ok() {
            let watcher = &inner.options.watcher;
            watcher.show_built(inner.now(), began.elapsed());
        }
        let given_back = inner.call(&show.keys, true, |_| {
            let name = OpenShow::LEASE;
            Ok(functions::release_lease(&show.keys, name, &inner.node))
        });
        if let Err(error) = given_back.await {
            tracing::debug!(?error, "a lease runs out by itself");
        }
        match built {
            Err(Failure::NotOpen(why)) => {
                tracing::warn!(show = %show.id, ?why, "lost again while it was opened");
                tokio::time::sleep(PAUSE).await;
            }
            built => built?,
        }
    }
}

async fn status(inner: &Inner, show: &Show) -> Result<ShowStatus, Failure> {
    let call = |belief: Belief<'_>| Ok(functions::status(&show.keys, belief));
    inner.call(&show.keys, false, call).await
}

/// What this node knew of the log when it was lost, and nobody had archived: viewers saw it. It is
/// refused when somebody else has begun a newer epoch, and then it is lost.
async fn save_leftover(inner: &Inner, show: &Show) {
    let Some(batch) = show.leftover() else {
        return;
    };
    match inner.ledger.archive(vec![batch.clone()]).await {
        Ok(()) => tracing::info!(show = %show.id, events = batch.events.len(), "saved from here"),
        Err(StoreError::Refused(_)) => {}
        Err(error) => {
            tracing::warn!(show = %show.id, %error, "the end of the log is not saved yet");
            show.put_leftover(batch);
        }
    }
}

/// Reads the show as it is. `None`: it changed meanwhile, or is not fit to be joined.
async fn join(
    inner: &Arc<Inner>,
    show: &Show,
    status: &ShowStatus,
) -> Result<Option<Arc<Local>>, StoreError> {
    let start = inner.ledger.current_log(show.id).await?;
    let epoch = status.position.epoch;
    if start.epoch < epoch {
        tracing::error!(show = %show.id, ledger = start.epoch.0, redis = epoch.0,
            "the ledger is older than Redis: was it restored from a backup? Clear Redis");
        return Err(StoreError::Unavailable(
            "the ledger is older than Redis".into(),
        ));
    }
    if start.epoch > epoch {
        // Somebody began a newer epoch and did not come to open it.
        return Ok(None);
    }
    let seed = inner.ledger.load_show(show.id).await?;
    let fold = archived_fold(&*inner.ledger, &seed.show, start.archived).await?;
    let log = Log::new(start.epochs, start.archived);
    let local = Arc::new(Local::new(show.id, log, fold, status));
    if !read_on(inner, show, &local, status).await? {
        return Ok(None);
    }
    match correct(inner, show, &local, &seed).await {
        Ok(()) => {}
        Err(Failure::NotOpen(_)) => return Ok(None),
        Err(failure) => return Err(failure.into()),
    }
    contribute(inner, show, epoch).await?;
    match refresh(inner, show, epoch).await {
        Ok(()) => Ok(Some(local)),
        Err(Failure::NotOpen(_)) => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

/// From now on this node remembers what Redis has. Changes since `local` was made come as notices.
async fn refresh(inner: &Inner, show: &Show, epoch: Epoch) -> Result<(), Failure> {
    let mut open = Vec::new();
    let mut from = Some(UnixMs(0));
    while let Some(at) = from {
        let make = |belief: Belief<'_>| {
            let epoch = Some(epoch);
            functions::rows(&show.keys, Belief { epoch, ..belief }, at)
        };
        let page = inner.call(&show.keys, false, make).await?;
        open.extend(page.rows);
        from = page.next;
    }
    show.remembered().refresh(open);
    Ok(())
}

/// Another node builds this epoch, or built it, and does not remember all that this one does.
async fn contribute(inner: &Arc<Inner>, show: &Show, epoch: Epoch) -> Result<(), StoreError> {
    if !show.begins(epoch) {
        return Ok(());
    }
    let seed = inner.ledger.load_show(show.id).await?;
    let builder = Builder { inner, show, epoch };
    let (rows, _) = show.remembered_rows(&seed);
    if rows.is_empty() {
        return Ok(());
    }
    let seated = async {
        builder.mirror(&seed).await?;
        builder.reseat(rows).await
    };
    match seated.await {
        // Lost again: the next epoch has its own turn.
        Ok(()) | Err(Failure::NotOpen(_)) => Ok(()),
        Err(failure) => Err(failure.into()),
    }
}

/// What the log has beyond the archive, up to where it was. False: not without a gap.
async fn read_on(
    inner: &Inner,
    show: &Show,
    local: &Local,
    status: &ShowStatus,
) -> Result<bool, StoreError> {
    while local.position().offset < status.position.offset {
        let (offset, _) = local.cursor();
        let mut range = redis::cmd("XRANGE");
        range
            .arg(show.keys.log())
            .arg(format!("{}-0", offset.next().0))
            .arg("+")
            .arg("COUNT")
            .arg(PAGE_ENTRIES);
        let answer = inner.primaries.raw(show.keys.log(), &range).await?;
        let page: StreamRangeReply = redis::from_redis_value(answer)
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        for entry in &page.ids {
            let (epoch, events) =
                functions::log_entry(&entry.id, &entry.map).map_err(Failure::from)?;
            if epoch != local.epoch || local.take_events(events).is_err() {
                return Ok(false);
            }
        }
        if page.ids.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Builds the show under a new epoch of the ledger. This node has the lease.
async fn build(inner: &Arc<Inner>, show: &Show) -> Result<(), Failure> {
    if let Ok(status) = status(inner, show).await
        && status.is_loaded
        && current_epoch(inner, show).await? == status.position.epoch
    {
        // Somebody was faster.
        return Ok(());
    }
    let start = inner.ledger.open_log(show.id, inner.now()).await?;
    let seed = inner.ledger.load_show(show.id).await?;
    let fold = archived_fold(&*inner.ledger, &seed.show, start.archived).await?;
    let listings = listings_of(&fold);
    let opened = inner.call(&show.keys, true, |belief| {
        let opening = OpenShow {
            holder: &inner.node,
            epoch: start.epoch,
            archived: start.archived,
            notices_after: show.heard(),
            listings: &listings,
        };
        functions::open(&show.keys, belief, opening)
    });
    match opened.await? {
        Opened::Ours(_) => {}
        Opened::Already(_) | Opened::NotLeased => return Ok(()),
    }
    let builder = Builder {
        inner,
        show,
        epoch: start.epoch,
    };
    show.begins(start.epoch);
    builder.mirror(&seed).await?;
    let (rows, waitlist) = show.remembered_rows(&seed);
    let remembered = rows.len();
    builder.reseat(rows).await?;
    if start.epochs.len() > 1 {
        tokio::time::sleep(GATHER).await;
    }
    let over = matches!(seed.show.state, ShowState::Ended | ShowState::Replay);
    let restore = HotCommand::Restore(Restore {
        reservation_ttl_ms: i64::from(seed.show.reservation_ttl_s) * 1_000,
        selling_closed: over,
        reservations: Vec::new(),
        waitlist,
    });
    builder.apply(vec![restore]).await?;
    builder.publish(&seed.listings).await?;
    tracing::info!(show = %show.id, epoch = start.epoch.0, remembered, "the show is built anew");
    Ok(())
}

/// Where the ledger's word differs from the log, it is logged: a node may have died in between.
async fn correct(
    inner: &Arc<Inner>,
    show: &Show,
    local: &Local,
    seed: &ShowSeed,
) -> Result<(), Failure> {
    let builder = Builder {
        inner,
        show,
        epoch: local.epoch,
    };
    builder.mirror(seed).await?;
    let (_, fold) = local.folded();
    let differs = |row: &&ListingRow| {
        fold.listing(row.id).is_none_or(|known| {
            let said = Listing {
                position: known.position,
                ..row.view(known.stock)
            };
            said != *known
        })
    };
    let different: Vec<ListingRow> = seed.listings.iter().filter(differs).cloned().collect();
    builder.publish(&different).await?;
    let status = self::status(inner, show).await?;
    local.note(&status);
    read_on(inner, show, local, &status).await?;
    for _ in 0..ATTEMPTS_MAX {
        if builder.settle(local, seed).await? {
            return Ok(());
        }
        // The log has moved on: what differs must be looked at again.
        let status = self::status(inner, show).await?;
        read_on(inner, show, local, &status).await?;
    }
    tracing::warn!(show = %show.id, "the log moves faster than it can be corrected");
    Ok(())
}

/// Calls on a show in a certain epoch, in whatever state it is.
struct Builder<'a> {
    inner: &'a Arc<Inner>,
    show: &'a Show,
    epoch: Epoch,
}

impl Builder<'_> {
    async fn mirror(&self, seed: &ShowSeed) -> Result<(), Failure> {
        for mirrors in seed.mirrors.chunks(BATCH_MAX) {
            let mirrors = mirrors.iter().cloned().map(HotCommand::Mirror).collect();
            self.apply(mirrors).await?;
        }
        Ok(())
    }

    async fn apply(&self, commands: Vec<HotCommand>) -> Result<(), Failure> {
        let keys = &self.show.keys;
        let make = |belief: Belief<'_>| functions::apply(keys, self.here(belief), &commands);
        self.inner.call(keys, true, make).await.map(drop)
    }

    async fn reseat(
        &self,
        rows: Vec<vetrina_core::reservation::ReservationRow>,
    ) -> Result<(), Failure> {
        let keys = &self.show.keys;
        for rows in rows.chunks(ROWS_PER_CALL) {
            let make = |belief: Belief<'_>| functions::reseat(keys, self.here(belief), rows);
            let seats = self.inner.call(keys, true, make).await?;
            if !seats.dropped.is_empty() {
                let dropped = seats.dropped.len();
                let (show, epoch) = (self.show.id, self.epoch.0);
                tracing::warn!(%show, epoch, dropped, reservations = ?seats.dropped,
                    "promises are broken: no units are left for them");
            }
        }
        Ok(())
    }

    async fn publish(&self, listings: &[ListingRow]) -> Result<(), Failure> {
        let keys = &self.show.keys;
        for row in listings {
            let make = |belief: Belief<'_>| functions::publish(keys, self.here(belief), row);
            // A newer row is known: whoever brought it has published it.
            self.inner.call(keys, true, make).await.map(drop)?;
        }
        Ok(())
    }

    /// The run of show and the show's state. False: the log has moved on.
    async fn settle(&self, local: &Local, seed: &ShowSeed) -> Result<bool, Failure> {
        let (position, fold) = local.folded();
        if differences(&fold, seed).is_empty() {
            return Ok(true);
        }
        // The rows must not be older than the log that they correct.
        let seed = self.inner.ledger.load_show(self.show.id).await?;
        let events = differences(&fold, &seed);
        if events.is_empty() {
            return Ok(true);
        }
        let (keys, end) = (&self.show.keys, position.offset);
        let make =
            |belief: Belief<'_>| functions::append_after(keys, self.here(belief), end, &events);
        let Some((status, _)) = self.inner.call(keys, true, make).await? else {
            return Ok(false);
        };
        // Whoever opened the show reads what it was opened with.
        local.note(&status);
        read_on(self.inner, self.show, local, &status).await?;
        Ok(true)
    }

    fn here<'a>(&self, belief: Belief<'a>) -> Belief<'a> {
        let epoch = Some(self.epoch);
        Belief { epoch, ..belief }
    }
}

/// What the ledger's rows say otherwise than the log.
fn differences(fold: &ShowFold, seed: &ShowSeed) -> Vec<Event> {
    let mut events = Vec::new();
    let run: Vec<ListingId> = seed.listings.iter().map(|listing| listing.id).collect();
    if fold.run() != run {
        events.push(Event::ListingsOrdered { listings: run });
    }
    if fold.show().state != seed.show.state {
        let state = seed.show.state;
        events.push(Event::ShowStateChanged { state });
    }
    events
}

async fn current_epoch(inner: &Inner, show: &Show) -> Result<Epoch, Failure> {
    Ok(inner.ledger.current_log(show.id).await?.epoch)
}

fn listings_of(fold: &ShowFold) -> Vec<Listing> {
    let listings = fold.run().iter().filter_map(|id| fold.listing(*id));
    listings.cloned().collect()
}
