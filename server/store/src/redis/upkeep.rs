//! What time does to shows: one node at a time, by lease, lets reservations expire, trims the log
//! behind the archive and gives back what an ended show did not sell. Every node asks now and then
//! whether Redis still knows its shows.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::MissedTickBehavior;
use vetrina_core::hot::{HotAnswer, HotCommand};
use vetrina_protocol::id::ShowId;

use super::functions;
use super::local::Local;
use super::show::Show;
use super::{Failure, Inner};
use crate::StoreError;
use crate::log::RING_EVENTS;

/// How late an expiry may be noticed when no command comes to the show.
const PERIOD: Duration = Duration::from_millis(50);
/// Every so many periods a show is asked for: every second.
const ASK_EVERY: u32 = 20;
/// Every so many periods the slower chores are looked at.
const CHORES_EVERY: u32 = 100;
/// The leader of a show does what only one node does.
const LEADER: &str = "leader";
/// A leader that died is followed by another after this.
const LEASE_MS: u64 = 3_000;
/// A quiet show that nobody follows is forgotten after this.
const IDLE: Duration = Duration::from_secs(600);
/// Ticks of one show in one period: a mass expiry lets commands in between.
const STEPS_MAX: usize = 64;
/// Shows that are looked after at once.
const AT_ONCE: usize = 16;

pub(super) async fn run(inner: Arc<Inner>) {
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count = 0_u32;
    loop {
        tokio::select! {
            _ = period.tick() => {}
            () = inner.stopping.cancelled() => return,
        }
        count = count.wrapping_add(1);
        let shows: Vec<Arc<Show>> = inner.shows.iter().map(|show| Arc::clone(&show)).collect();
        let cares = shows.into_iter().map(|show| care(&inner, show, count));
        let all = futures_util::stream::iter(cares)
            .buffer_unordered(AT_ONCE)
            .for_each(|()| std::future::ready(()));
        tokio::select! {
            () = all => {}
            () = inner.stopping.cancelled() => return,
        }
    }
}

async fn care(inner: &Arc<Inner>, show: Arc<Show>, count: u32) {
    let local = match show.local() {
        Some(local) => local,
        // Lost, and nobody asked since: what is remembered of it waits to be seated.
        None if count.is_multiple_of(ASK_EVERY) && show.is_remembered() => {
            if let Err(error) = inner.local(show.id).await {
                tracing::debug!(show = %show.id, %error, "a lost show does not open yet");
            }
            return;
        }
        None => return,
    };
    if count.is_multiple_of(ASK_EVERY) || !local.was_asked() {
        ask(inner, &show, &local).await;
    }
    if local.leads() && local.is_due(inner.clock()) {
        pass_time(inner, show.id).await;
    }
    if count.is_multiple_of(CHORES_EVERY)
        && let Err(error) = chores(inner, &show, &local).await
    {
        tracing::warn!(show = %show.id, %error, "a chore is put off");
    }
}

/// Leads the show if nobody else does, and hears how it is.
async fn ask(inner: &Arc<Inner>, show: &Show, local: &Arc<Local>) {
    let lease = inner.call(&show.keys, true, |belief| {
        let keys = &show.keys;
        Ok(functions::lease(
            keys,
            LEADER,
            &inner.node,
            LEASE_MS,
            belief.clock,
        ))
    });
    let leads = lease.await.is_ok_and(|lease| lease.is_ours);
    if local.set_leads(leads) {
        inner.dirty.notify_one();
    }
    let epoch = Some(local.epoch);
    let status = inner.call(&show.keys, leads, |belief| {
        let belief = functions::Belief { epoch, ..belief };
        if leads {
            let archived = *local.archived().borrow();
            functions::trim(&show.keys, belief, archived, RING_EVENTS as u64)
        } else {
            Ok(functions::status(&show.keys, belief))
        }
    });
    match status.await {
        Ok(status) => local.note(&status),
        Err(Failure::NotOpen(why)) => {
            tracing::warn!(show = %show.id, ?why, "Redis does not know the show");
            show.lose(local);
            if let Err(error) = inner.local(show.id).await {
                tracing::warn!(show = %show.id, %error, "the show does not open yet");
            }
        }
        Err(error) => tracing::debug!(show = %show.id, ?error, "the show was not asked"),
    }
}

/// Ticks until nothing more is due.
async fn pass_time(inner: &Arc<Inner>, show: ShowId) {
    for _ in 0..STEPS_MAX {
        let tick = inner.on_show(show, true, |keys, belief| {
            functions::apply(keys, belief, &[HotCommand::Tick])
        });
        match tick.await {
            Ok((_, local, batch)) => {
                local.note(&batch.status);
                if batch.answers != [HotAnswer::Ticked { more: true }] {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(%show, %error, "time passes later");
                return;
            }
        }
    }
}

async fn chores(inner: &Arc<Inner>, show: &Show, local: &Local) -> Result<(), StoreError> {
    let chore = local.chore();
    let is_quiet = !chore.is_selling && !chore.has_units_out;
    if is_quiet && chore.is_over && !chore.released && local.leads() {
        for row in inner.ledger.release_unsold(show.id).await? {
            // A newer row is known: whoever brought it has published it.
            inner.publish_row(show.id, &row).await?;
        }
        local.units_are_released();
    }
    if is_quiet && chore.idle > IDLE && !local.is_followed() {
        close(inner, show.id).await?;
    }
    Ok(())
}

/// Archives what is left and forgets the show here; in Redis too, when it is over and quiet.
pub(super) async fn close(inner: &Arc<Inner>, id: ShowId) -> Result<(), StoreError> {
    let Some(show) = inner.shows.get(&id).map(|show| Arc::clone(&show)) else {
        return Ok(());
    };
    let _nobody_opens = show.changing.lock().await;
    let Some(local) = show.local() else {
        inner.shows.remove(&id);
        return Ok(());
    };
    local.caught_up(inner.options.patience.call).await;
    let end = local.position().offset;
    archive_now(inner, &show, &local).await?;
    let chore = local.chore();
    if chore.is_over && !chore.has_units_out && local.leads() {
        let epoch = Some(local.epoch);
        let closed = inner.call(&show.keys, true, |belief| {
            let belief = functions::Belief { epoch, ..belief };
            functions::close(&show.keys, belief, end)
        });
        match closed.await {
            Ok(_) | Err(Failure::NotOpen(_)) => {}
            Err(failure) => return Err(failure.into()),
        }
    }
    give_up_lease(inner, &show, &local).await;
    show.set_local(None);
    inner.shows.remove(&id);
    Ok(())
}

async fn archive_now(inner: &Inner, show: &Show, local: &Arc<Local>) -> Result<(), StoreError> {
    let Some(batch) = local.batch(true) else {
        return Ok(());
    };
    match inner.ledger.archive(vec![batch.clone()]).await {
        Ok(()) => {
            if let Some(last) = batch.events.last() {
                local.set_archived(last.offset);
            }
            Ok(())
        }
        Err(StoreError::Refused(_)) => {
            show.lose(local);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

async fn give_up_lease(inner: &Inner, show: &Show, local: &Local) {
    if !local.leads() {
        return;
    }
    let given = inner.call(&show.keys, true, |_| {
        Ok(functions::release_lease(&show.keys, LEADER, &inner.node))
    });
    if let Err(error) = given.await {
        tracing::debug!(show = %show.id, ?error, "a lease runs out by itself");
    }
}

/// Archives everything, takes back this node's viewers and leases, and disconnects.
pub(super) async fn shut_down(inner: &Arc<Inner>) {
    let shows: Vec<Arc<Show>> = inner.shows.iter().map(|show| Arc::clone(&show)).collect();
    for show in &shows {
        if let Some(local) = show.local() {
            local.caught_up(inner.options.patience.call).await;
        }
    }
    inner.stopping.cancel();
    let tasks = {
        let mut tasks = inner.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *tasks)
    };
    for task in tasks {
        if let Err(error) = task.await {
            tracing::error!(%error, "a task of the hot store failed");
        }
    }
    for show in &shows {
        if let Some(local) = show.local() {
            give_up_lease(inner, show, &local).await;
            no_viewers(inner, show).await;
        }
        show.set_local(None);
    }
    inner.shows.clear();
    inner.disconnecting.cancel();
}

async fn no_viewers(inner: &Inner, show: &Show) {
    let report = inner.call(&show.keys, true, |belief| {
        let (keys, node) = (&show.keys, &inner.node);
        Ok(functions::report_viewers(keys, node, 0, 1, belief.clock))
    });
    if let Err(error) = report.await {
        tracing::debug!(show = %show.id, ?error, "a lease runs out by itself");
    }
}
