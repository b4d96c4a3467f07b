//! Who has something that only one node has at a time: named leases that run out unless they are
//! renewed. It refuses to know what is leased.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use vetrina_protocol::id::ShowId;
use vetrina_protocol::time::UnixMs;

use super::{Now, StoreError};

/// Something of a show that one node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Leased {
    /// Its publisher's video.
    Video,
}

/// See the module's words. `Unavailable` means unknown: ask again.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes or renews a lease, unless somebody else has it; gives who has it now.
    async fn lease(
        &self,
        show: ShowId,
        what: Leased,
        holder: &str,
        lease_ms: i64,
    ) -> Result<String, StoreError>;

    /// Takes a lease from whoever has it.
    async fn seize(
        &self,
        show: ShowId,
        what: Leased,
        holder: &str,
        lease_ms: i64,
    ) -> Result<(), StoreError>;

    /// Who has it.
    async fn holder(&self, show: ShowId, what: Leased) -> Result<Option<String>, StoreError> {
        Ok(self.holders(&[show], what).await?.pop().flatten())
    }

    /// Who has it, for each of these shows; asked at once.
    async fn holders(
        &self,
        shows: &[ShowId],
        what: Leased,
    ) -> Result<Vec<Option<String>>, StoreError>;

    /// Gives it back; nothing happens when somebody else has it.
    async fn let_go(&self, show: ShowId, what: Leased, holder: &str) -> Result<(), StoreError>;
}

/// Of one process.
pub struct MemoryLeases {
    now: Now,
    /// Looked into for one lease, never across an await.
    held: Mutex<HashMap<(ShowId, Leased), (UnixMs, String)>>,
}

impl MemoryLeases {
    /// Nothing is leased.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self {
            now,
            held: Mutex::default(),
        }
    }

    /// Those that have not run out.
    fn held(&self) -> MutexGuard<'_, HashMap<(ShowId, Leased), (UnixMs, String)>> {
        let now = (self.now)();
        // Whole after every statement, so a poisoned lock is usable.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, (until, _)| *until > now);
        held
    }
}

impl std::fmt::Debug for MemoryLeases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryLeases").finish_non_exhaustive()
    }
}

#[async_trait]
impl Leases for MemoryLeases {
    async fn lease(
        &self,
        show: ShowId,
        what: Leased,
        holder: &str,
        lease_ms: i64,
    ) -> Result<String, StoreError> {
        let until = (self.now)().plus_ms(lease_ms);
        let mut held = self.held();
        let (ends, who) = held
            .entry((show, what))
            .or_insert_with(|| (until, holder.to_owned()));
        if who == holder {
            *ends = until;
        }
        Ok(who.clone())
    }

    async fn seize(
        &self,
        show: ShowId,
        what: Leased,
        holder: &str,
        lease_ms: i64,
    ) -> Result<(), StoreError> {
        let until = (self.now)().plus_ms(lease_ms);
        self.held().insert((show, what), (until, holder.to_owned()));
        Ok(())
    }

    async fn holders(
        &self,
        shows: &[ShowId],
        what: Leased,
    ) -> Result<Vec<Option<String>>, StoreError> {
        let held = self.held();
        let holder = |show: &ShowId| held.get(&(*show, what)).map(|(_, who)| who.clone());
        Ok(shows.iter().map(holder).collect())
    }

    async fn let_go(&self, show: ShowId, what: Leased, holder: &str) -> Result<(), StoreError> {
        let mut held = self.held();
        if held
            .get(&(show, what))
            .is_some_and(|(_, who)| who == holder)
        {
            held.remove(&(show, what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[tokio::test]
    async fn one_has_it_until_it_runs_out_is_given_back_or_seized() {
        let clock = Arc::new(AtomicI64::new(0));
        let now = clock.clone();
        let leases = MemoryLeases::new(Arc::new(move || UnixMs(now.load(Ordering::SeqCst))));
        let (show, what) = (ShowId(1), Leased::Video);
        let lease = |who: &'static str| leases.lease(show, what, who, 1_000);
        assert_eq!(lease("a").await.unwrap(), "a");
        assert_eq!(lease("b").await.unwrap(), "a");
        clock.store(900, Ordering::SeqCst);
        assert_eq!(lease("a").await.unwrap(), "a");
        clock.store(1_899, Ordering::SeqCst);
        assert_eq!(leases.holder(show, what).await.unwrap().unwrap(), "a");
        clock.store(1_900, Ordering::SeqCst);
        assert_eq!(leases.holder(show, what).await.unwrap(), None);
        assert_eq!(lease("b").await.unwrap(), "b");
        leases.seize(show, what, "a", 1_000).await.unwrap();
        assert_eq!(lease("b").await.unwrap(), "a");
        leases.let_go(show, what, "b").await.unwrap();
        assert_eq!(leases.holder(show, what).await.unwrap().unwrap(), "a");
        let both = leases.holders(&[ShowId(2), show], what).await.unwrap();
        assert_eq!(both, [None, Some("a".into())]);
        leases.let_go(show, what, "a").await.unwrap();
        assert_eq!(lease("b").await.unwrap(), "b");
    }
}
