//! Loading a show: a new epoch, the log folded from the archive, the stock from the ledger's rows
//! and the journal. Where a crash came between the ledger and the log, the ledger's word is logged.

use vetrina_core::hot::{HotCommand, Restore, ShowStock};
use vetrina_protocol::event::Event;
use vetrina_protocol::id::{ListingId, ShowId};
use vetrina_protocol::view::ShowState;

use super::Inner;
use super::loaded::{Hot, Loaded};
use crate::StoreError;
use crate::ledger::{ShowSeed, archived_fold};
use crate::log::Log;

pub(super) async fn open(inner: &Inner, show: ShowId) -> Result<Loaded, StoreError> {
    let now = (inner.now)();
    // First the epoch: whoever wrote this log before is refused from here on.
    let start = inner.ledger.open_log(show, now).await?;
    let seed = inner.ledger.load_show(show).await?;
    let fold = archived_fold(&*inner.ledger, &seed.show, start.archived).await?;
    let log = Log::new(start.epochs, start.archived);
    let mut hot = Hot::new(ShowStock::new(), log, fold, now);
    restore(&mut hot, seed);
    tracing::debug!(%show, epoch = start.epoch.0, offset = start.archived.0, "show loaded");
    Ok(Loaded::new(show, hot))
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
