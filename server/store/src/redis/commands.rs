//! [`HotStore`] on Redis: what callers ask for, as calls of functions and questions to what this
//! node knows.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{broadcast, watch};
use vetrina_core::hot::{HotAnswer, HotCommand};
use vetrina_core::show::ShowFold;
use vetrina_protocol::event::{Event, PrivateEvent};
use vetrina_protocol::id::{ShowId, UserId};
use vetrina_protocol::time::Offset;

use super::coalesce::Full;
use super::functions;
use super::local::Local;
use super::{Inner, RedisStore};
use crate::StoreError;
use crate::hot::{
    self, Appended, Applied, Attempt, Entries, HotDesk, HotMine, HotStore, Notice,
    PRESENCE_LEASE_MS, Position, READ_EVENTS_MAX, ServerState,
};
use crate::ledger::{Ledger, ListingRow};

impl Inner {
    /// `None`: a newer row is known.
    pub(super) async fn publish_row(
        self: &Arc<Self>,
        show: ShowId,
        row: &ListingRow,
    ) -> Result<Option<Applied>, StoreError> {
        let (_, local, batch) = self
            .on_show(show, true, |keys, belief| {
                functions::publish(keys, belief, row)
            })
            .await?;
        let Some(batch) = batch else {
            return Ok(None);
        };
        local.note(&batch.status);
        let answer = batch.answers.into_iter().next();
        Ok(Some(Applied {
            answer: answer.unwrap_or(HotAnswer::Done),
            position: batch.status.position,
        }))
    }

    /// What is known here, all that this node was told of included.
    async fn caught_up(self: &Arc<Self>, show: ShowId) -> Result<Arc<Local>, StoreError> {
        let (_, local) = self.local(show).await?;
        local.use_now();
        local.caught_up(self.options.patience.call).await;
        Ok(local)
    }
}

#[async_trait]
impl Attempt for Arc<Inner> {
    fn ledger(&self) -> &dyn Ledger {
        &*self.ledger
    }

    async fn try_apply(&self, show: ShowId, command: HotCommand) -> Result<Applied, StoreError> {
        let (place, local) = self.local_soon(show).await?;
        if local.is_behind() && takes_credit(&command) {
            return Err(behind());
        }
        let answer = place
            .commands
            .ask(command)
            .map_err(|Full| StoreError::Busy("too many commands of one show wait"))?;
        answer
            .await
            .map_err(|_| StoreError::Unavailable("the command was dropped".into()))?
    }

    async fn try_publish(
        &self,
        show: ShowId,
        row: &ListingRow,
    ) -> Result<Option<Applied>, StoreError> {
        self.publish_row(show, row).await
    }
}

#[async_trait]
impl HotStore for RedisStore {
    async fn open(&self, show: ShowId) -> Result<Position, StoreError> {
        self.position(show).await
    }

    async fn close(&self, show: ShowId) -> Result<(), StoreError> {
        super::upkeep::close(&self.inner, show).await
    }

    async fn apply(&self, show: ShowId, command: HotCommand) -> Result<Applied, StoreError> {
        hot::apply(&self.inner, show, command).await
    }

    async fn publish(&self, show: ShowId, listing: &ListingRow) -> Result<Applied, StoreError> {
        hot::publish(&self.inner, show, listing).await
    }

    async fn append(&self, show: ShowId, events: Vec<Event>) -> Result<Appended, StoreError> {
        hot::refuse_unless_appendable(&events)?;
        let (_, local) = self.inner.local(show).await?;
        if local.is_behind() {
            return Err(behind());
        }
        let (_, local, (status, appended)) = self
            .inner
            .on_show(show, true, |keys, belief| {
                functions::append(keys, belief, &events)
            })
            .await?;
        local.note(&status);
        Ok(appended)
    }

    async fn read(
        &self,
        show: ShowId,
        after: Position,
        limit: usize,
    ) -> Result<Entries, StoreError> {
        let limit = limit.clamp(1, READ_EVENTS_MAX);
        let local = self.inner.caught_up(show).await?;
        let found = (local.epoch, local.after(after, limit));
        hot::entries(&*self.inner.ledger, show, after.offset, limit, found).await
    }

    async fn position(&self, show: ShowId) -> Result<Position, StoreError> {
        Ok(self.inner.caught_up(show).await?.position())
    }

    async fn watch(&self, show: ShowId) -> Result<watch::Receiver<Position>, StoreError> {
        Ok(self.inner.local(show).await?.1.watch())
    }

    async fn fold(&self, show: ShowId) -> Result<(Position, ShowFold), StoreError> {
        Ok(self.inner.caught_up(show).await?.folded())
    }

    async fn notices(&self, show: ShowId) -> Result<broadcast::Receiver<Arc<Notice>>, StoreError> {
        let (_, local) = self.inner.local(show).await?;
        Ok(local.notices(self.inner.options.patience.call).await)
    }

    async fn notify(
        &self,
        show: ShowId,
        buyer: UserId,
        buyer_name: String,
        event: PrivateEvent,
    ) -> Result<u64, StoreError> {
        let (_, local, status) = self
            .inner
            .on_show(show, true, |keys, belief| {
                functions::notify(keys, belief, buyer, &buyer_name, &event)
            })
            .await?;
        local.note(&status);
        Ok(status.notices)
    }

    async fn mine(&self, show: ShowId, buyer: UserId) -> Result<HotMine, StoreError> {
        let mine = self.inner.on_show(show, false, |keys, belief| {
            Ok(functions::mine(keys, belief, buyer))
        });
        Ok(mine.await?.2)
    }

    async fn desk(&self, show: ShowId) -> Result<HotDesk, StoreError> {
        let desk = self.inner.on_show(show, false, |keys, belief| {
            Ok(functions::desk(keys, belief))
        });
        Ok(desk.await?.2)
    }

    async fn durable(&self, show: ShowId, offset: Offset) -> Result<(), StoreError> {
        let (_, local) = self.inner.local(show).await?;
        local.want(offset);
        self.inner.dirty.notify_one();
        let archived = local.archived();
        // Only the channel is kept: when the show is lost, it closes.
        drop(local);
        hot::until_archived(archived, offset).await
    }

    async fn report_viewers(&self, show: ShowId, viewers: u32) -> Result<(), StoreError> {
        let (place, _) = self.inner.local(show).await?;
        let lease_ms = u64::try_from(PRESENCE_LEASE_MS).unwrap_or(0);
        let node = &self.inner.node;
        let report = self.inner.call(&place.keys, true, |belief| {
            let clock = belief.clock;
            Ok(functions::report_viewers(
                &place.keys,
                node,
                viewers,
                lease_ms,
                clock,
            ))
        });
        report.await.map(drop).map_err(StoreError::from)
    }

    async fn viewers(&self, show: ShowId) -> Result<u32, StoreError> {
        let (place, _) = self.inner.local(show).await?;
        let viewers = self.inner.call(&place.keys, false, |belief| {
            Ok(functions::viewers(&place.keys, belief.clock))
        });
        Ok(viewers.await?)
    }

    fn servers(&self) -> Vec<ServerState> {
        let links = self.inner.primaries.all().into_iter();
        links
            .map(|link| ServerState {
                down_for: link.down_for(),
            })
            .collect()
    }

    async fn check(&self) -> Result<(), StoreError> {
        let links = self.inner.primaries.all();
        if links.is_empty() {
            return Err(StoreError::Unavailable("no primary is known".into()));
        }
        for link in links {
            link.call(false, &|_| Ok(functions::version())).await?;
        }
        Ok(())
    }

    async fn shutdown(&self) {
        super::upkeep::shut_down(&self.inner).await;
    }
}

/// Would be granted on the credit of a disk that does not answer. What only repeats the ledger's
/// word, or gives units back, is always welcome.
fn takes_credit(command: &HotCommand) -> bool {
    matches!(
        command,
        HotCommand::Reserve(_)
            | HotCommand::Extend { .. }
            | HotCommand::BeginCheckout { .. }
            | HotCommand::JoinWaitlist { .. }
    )
}

fn behind() -> StoreError {
    StoreError::Busy("the archive does not keep up")
}
