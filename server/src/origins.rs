//! Which node has a show's video, and under which address. Video stays with the node it was
//! published to; the others send viewers there. A lease that is renewed says who that is, so a node
//! that died is nobody's origin soon.
//!
//! It refuses to know what the video is.

use std::collections::HashMap;
use std::sync::Arc;

use vetrina_protocol::id::ShowId;
use vetrina_protocol::view::Show;
use vetrina_store::hot::PRESENCE_LEASE_MS;
use vetrina_store::ledger::ShowRow;
use vetrina_store::{Leased, Leases, StoreError};

/// How long a node is believed to have a show's video without saying so again.
const LEASE_MS: i64 = PRESENCE_LEASE_MS;
/// How often it says so: two may get lost.
pub(crate) const RENEW_EVERY: std::time::Duration = std::time::Duration::from_secs(4);

/// See the module's words. Clones share it.
#[derive(Clone)]
pub struct Origins {
    leases: Arc<dyn Leases>,
    /// Under which origin this very node is reached; empty: under whatever was asked for, which
    /// only the caller knows.
    own: Arc<str>,
}

/// Who has the video of a show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Nobody.
    None,
    /// This node.
    Here,
    /// The node with this origin.
    There(String),
}

impl Origins {
    /// Of a node that is reached at `own`, without a trailing slash; empty when it does not know.
    #[must_use]
    pub fn new(leases: Arc<dyn Leases>, own: &str) -> Self {
        Self {
            leases,
            own: own.into(),
        }
    }

    /// The video comes to this node from now on, wherever it came to before.
    pub(crate) async fn seize(&self, show: ShowId) -> Result<(), StoreError> {
        let own = &*self.own;
        self.leases.seize(show, Leased::Video, own, LEASE_MS).await
    }

    /// Says again that this node has the video; `false` when another node has it now.
    pub(crate) async fn renew(&self, show: ShowId) -> Result<bool, StoreError> {
        let own = &*self.own;
        let holder = self.leases.lease(show, Leased::Video, own, LEASE_MS);
        Ok(holder.await? == own)
    }

    /// This node has the video no longer.
    pub(crate) async fn let_go(&self, show: ShowId) -> Result<(), StoreError> {
        self.leases.let_go(show, Leased::Video, &self.own).await
    }

    /// Who has it now.
    pub(crate) async fn holder(&self, show: ShowId) -> Result<Holder, StoreError> {
        Ok(match self.leases.holder(show, Leased::Video).await? {
            None => Holder::None,
            Some(holder) if *holder == *self.own => Holder::Here,
            Some(holder) => Holder::There(holder),
        })
    }

    /// The show with the addresses of its video: to be published here, to be watched where it is.
    pub(crate) async fn view(&self, row: ShowRow) -> Show {
        let holders = self.holders([&row]).await;
        self.seen_at(row, &holders)
    }

    /// The same for many shows, with one question.
    pub(crate) async fn views(&self, rows: Vec<ShowRow>) -> Vec<Show> {
        let holders = self.holders(&rows).await;
        let rows = rows.into_iter();
        rows.map(|row| self.seen_at(row, &holders)).collect()
    }

    /// Who has the video of those that are on air. When the hot store does not answer, nobody is
    /// known: viewers are sent to this node, which sends them on.
    async fn holders(&self, rows: impl IntoIterator<Item = &ShowRow>) -> HashMap<ShowId, String> {
        let on_air = rows.into_iter().filter(|row| row.state.is_on_air());
        let on_air: Vec<ShowId> = on_air.map(|row| row.id).collect();
        if on_air.is_empty() {
            return HashMap::new();
        }
        let holders = self.leases.holders(&on_air, Leased::Video).await;
        let known = on_air.into_iter().zip(holders.unwrap_or_default());
        known
            .filter_map(|(show, holder)| Some((show, holder?)))
            .collect()
    }

    fn seen_at(&self, row: ShowRow, holders: &HashMap<ShowId, String>) -> Show {
        let show = row.id;
        let at = holders.get(&show).map_or(&*self.own, String::as_str);
        row.view(
            format!("{at}{}", whep_path(show)),
            format!("{}/v1/shows/{show}/whip", self.own),
        )
    }
}

/// Where a show is watched, on whichever node.
pub(crate) fn whep_path(show: ShowId) -> String {
    format!("/v1/shows/{show}/whep")
}
