//! What time does to loaded shows: reservations expire, queues move on, ended shows give back what
//! they did not sell, and shows that nobody wants are forgotten.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use vetrina_core::hot::{HotAnswer, HotCommand};
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::ShowState;

use super::Inner;
use super::loaded::Loaded;
use crate::StoreError;

/// How late an expiry may be noticed when no command comes to the show.
const PERIOD: Duration = Duration::from_millis(50);
/// Every so many periods the slower chores are looked at: every five seconds.
const CHORES_EVERY: u32 = 100;
/// A quiet show that nobody follows is forgotten after this.
const IDLE_MS: i64 = 10 * 60_000;
/// Steps of one show in one period: a mass expiry lets commands in between.
const STEPS_MAX: usize = 64;

pub(super) async fn run(inner: Arc<Inner>) {
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count = 0_u32;
    loop {
        tokio::select! {
            _ = period.tick() => {}
            () = inner.stopping.cancelled() => return,
        }
        let shows: Vec<Arc<Loaded>> = inner.shows.iter().map(|entry| Arc::clone(&entry)).collect();
        for loaded in &shows {
            pass_time(&inner, loaded).await;
        }
        count = count.wrapping_add(1);
        if count.is_multiple_of(CHORES_EVERY) {
            for loaded in &shows {
                if let Err(error) = chores(&inner, loaded).await {
                    tracing::warn!(show = %loaded.show, %error, "a chore is put off");
                }
            }
        }
    }
}

/// Ticks until nothing more is due.
async fn pass_time(inner: &Inner, loaded: &Loaded) {
    for _ in 0..STEPS_MAX {
        let now = (inner.now)();
        let more = loaded.keep(now, &inner.dirty, |hot| {
            if hot.stock.next_due().is_none_or(|due| due > now) {
                return false;
            }
            hot.apply(HotCommand::Tick).answer == HotAnswer::Ticked { more: true }
        });
        if !matches!(more, Ok(true)) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn chores(inner: &Inner, loaded: &Loaded) -> Result<(), StoreError> {
    let now = (inner.now)();
    let seen = loaded.keep(now, &inner.dirty, |hot| Seen {
        quiet: hot.is_quiet(),
        over: matches!(hot.fold.show().state, ShowState::Ended | ShowState::Replay),
        released: hot.units_released,
        used_at: hot.used_at,
    });
    let Ok(seen) = seen else {
        return Ok(());
    };
    if seen.quiet && seen.over && !seen.released {
        let listings = inner.ledger.release_unsold(loaded.show).await?;
        let told = loaded.keep(now, &inner.dirty, |hot| {
            for listing in &listings {
                hot.publish(listing);
            }
            hot.units_released = true;
        });
        if told.is_err() {
            // Closed meanwhile: the next opening reads the rows as they are now.
            return Ok(());
        }
    }
    if seen.quiet && now.since(seen.used_at) > IDLE_MS && !loaded.is_followed() {
        inner.close(loaded.show).await?;
    }
    Ok(())
}

/// What the chores go by.
struct Seen {
    quiet: bool,
    over: bool,
    released: bool,
    used_at: UnixMs,
}
