//! Loading a show: a new epoch, the log folded from the archive, the stock from the ledger's rows
//! and the journal. Where a crash came between the ledger and the log, the ledger's word is logged.

use vetrina_core::hot::{HotCommand, Restore, ShowStock};
use vetrina_core::show::ShowFold;
use vetrina_protocol::event::Event;
use vetrina_protocol::id::{ListingId, ShowId};
use vetrina_protocol::time::Offset;
use vetrina_protocol::view::ShowState;

use super::Inner;
use super::loaded::{Hot, Loaded};
use crate::StoreError;
use crate::ledger::{ShowRow, ShowSeed};
use crate::log::Log;

/// Archived events read at once.
const PAGE_EVENTS: u32 = 2_000;

pub(super) async fn open(inner: &Inner, show: ShowId) -> Result<Loaded, StoreError> {
    let now = (inner.now)();
    // First the epoch: whoever wrote this log before is refused from here on.
    let start = inner.ledger.open_log(show, now).await?;
    let seed = inner.ledger.load_show(show).await?;
    let fold = fold(inner, &seed.show, start.archived).await?;
    let log = Log::new(start.epochs, start.archived);
    let mut hot = Hot::new(ShowStock::new(), log, fold, now);
    restore(&mut hot, seed);
    tracing::debug!(%show, epoch = start.epoch.0, offset = start.archived.0, "show loaded");
    Ok(Loaded::new(show, hot))
}

async fn fold(inner: &Inner, show: &ShowRow, archived: Offset) -> Result<ShowFold, StoreError> {
    let mut first = show.clone();
    first.state = ShowState::Scheduled;
    first.live_at = None;
    first.ended_at = None;
    let mut fold = ShowFold::new(
        first.view(String::new(), String::new()),
        Vec::new(),
        Offset(0),
    );
    while fold.offset() < archived {
        let before = fold.offset();
        for event in inner.ledger.read_log(show.id, before, PAGE_EVENTS).await? {
            fold.apply(&event);
        }
        if fold.offset() == before {
            tracing::error!(show = %show.id, offset = before.0, "the archive has a gap");
            return Err(StoreError::Unavailable("the archive has a gap".into()));
        }
    }
    fold.set_show(show.clone().view(String::new(), String::new()));
    Ok(fold)
}

fn restore(hot: &mut Hot, seed: ShowSeed) {
    for mirror in seed.mirrors {
        hot.apply(HotCommand::Mirror(mirror));
    }
    let over = matches!(seed.show.state, ShowState::Ended | ShowState::Replay);
    hot.apply(HotCommand::Restore(Restore {
        reservation_ttl_ms: i64::from(seed.show.reservation_ttl_s) * 1_000,
        selling_closed: over,
        reservations: seed.reservations,
        waitlist: seed.waitlist,
    }));
    for listing in &seed.listings {
        hot.log_words(listing);
    }
    let run: Vec<ListingId> = seed.listings.iter().map(|listing| listing.id).collect();
    if hot.fold.run() != run {
        hot.push(Event::ListingsOrdered { listings: run });
    }
    if hot.fold.show().state != seed.show.state {
        let state = seed.show.state;
        hot.push(Event::ShowStateChanged { state });
    }
}
