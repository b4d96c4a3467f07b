//! How often one person or one address may ask: a token bucket for each, in bounded memory, and
//! how nodes tell each other of it.
//!
//! Every node counts what it sees at once and settles with the others a moment later: a command
//! never waits for another node, and a person who was too quick on one node is soon refused on all.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::MissedTickBehavior;
use vetrina_core::limits::Rate;
use vetrina_protocol::time::UnixMs;
use vetrina_store::buckets::Buckets;
use vetrina_store::{Shared, StoreError};

use crate::clock::Clock;

/// Addresses of one generation.
pub(crate) const ADDRESSES_MAX: usize = 100_000;
/// How often nodes settle what they have counted.
const SETTLE_EVERY: Duration = Duration::from_millis(100);
/// Settlements under way at a time.
const SETTLED_AT_ONCE: usize = 32;

/// A bucket per key. The lock is held for one look-up; it exists because all requests meet here.
#[derive(Debug)]
pub(crate) struct Rates<K> {
    rate: Rate,
    buckets: Mutex<Buckets<K>>,
}

impl<K: Hash + Eq> Rates<K> {
    /// Each key has this rate; at most twice `most` keys are remembered.
    pub(crate) fn new(rate: Rate, most: usize) -> Self {
        Self {
            rate,
            buckets: Mutex::new(Buckets::new(most)),
        }
    }

    /// Counts one request.
    ///
    /// # Errors
    /// Milliseconds to wait.
    pub(crate) fn take(&self, key: K, now: UnixMs) -> Result<(), u64> {
        lock(&self.buckets).take(key, self.rate, 1, now)
    }
}

/// What counts as one address: providers give every home a whole IPv6 /64.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
    }
}

/// The rate of each key over all nodes. Clones share it.
#[derive(Clone)]
pub(crate) struct SharedRates<K> {
    inner: Arc<Inner<K>>,
}

struct Inner<K> {
    /// What is counted, in the names of the buckets that nodes share.
    what: &'static str,
    rate: Rate,
    /// Keys of which something is counted and not settled.
    most: usize,
    here: Rates<K>,
    /// None: this is the only node.
    shared: Option<Arc<dyn Shared>>,
    clock: Clock,
    /// Looked into for one key, never across an await.
    account: Mutex<Account<K>>,
}

struct Account<K> {
    /// Counted here and not settled yet.
    open: HashMap<K, u32>,
    /// Who is over the rate of all nodes, and until when.
    over: HashMap<K, UnixMs>,
}

impl<K> std::fmt::Debug for SharedRates<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedRates")
            .field("what", &self.inner.what)
            .finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Copy + std::fmt::Display + Send + Sync> SharedRates<K> {
    pub(crate) fn new(
        what: &'static str,
        rate: Rate,
        most: usize,
        shared: Option<Arc<dyn Shared>>,
        clock: Clock,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                what,
                rate,
                most,
                here: Rates::new(rate, most),
                shared,
                clock,
                account: Mutex::new(Account {
                    open: HashMap::new(),
                    over: HashMap::new(),
                }),
            }),
        }
    }

    /// Counts one request.
    ///
    /// # Errors
    /// Milliseconds to wait.
    pub(crate) fn take(&self, key: K) -> Result<(), u64> {
        let inner = &*self.inner;
        let now = inner.clock.now();
        inner.here.take(key, now)?;
        if inner.shared.is_none() {
            return Ok(());
        }
        let mut account = lock(&inner.account);
        if let Some(until) = account.over.get(&key) {
            let wait_ms = until.since(now);
            if wait_ms > 0 {
                return Err(u64::try_from(wait_ms).unwrap_or(0));
            }
            account.over.remove(&key);
        }
        if account.open.len() < inner.most || account.open.contains_key(&key) {
            *account.open.entry(key).or_default() += 1;
        }
        Ok(())
    }

    /// Asks the other nodes about somebody who is new here: one request is counted.
    pub(crate) async fn greet(&self, key: K) {
        if let Some(shared) = &self.inner.shared {
            self.settle(&**shared, key, 1).await;
        }
    }

    /// Settles with the other nodes, for ever. Returns at once on the only node.
    pub(crate) async fn run(&self) {
        let Some(shared) = &self.inner.shared else {
            return;
        };
        let mut turn = tokio::time::interval(SETTLE_EVERY);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turn.tick().await;
            self.settle_all(&**shared).await;
        }
    }

    async fn settle_all(&self, shared: &dyn Shared) {
        let now = self.inner.clock.now();
        let open = {
            let mut account = lock(&self.inner.account);
            account.over.retain(|_, until| *until > now);
            std::mem::take(&mut account.open)
        };
        stream::iter(open)
            .for_each_concurrent(SETTLED_AT_ONCE, |(key, count)| {
                self.settle(shared, key, count)
            })
            .await;
    }

    async fn settle(&self, shared: &dyn Shared, key: K, count: u32) {
        let inner = &*self.inner;
        let (who, rate) = (key.to_string(), inner.rate);
        let count = count.min(rate.burst);
        let settled = async {
            let Err(wait_ms) = shared.take(inner.what, &who, rate, count).await? else {
                return Ok(None);
            };
            // More was spent than all nodes together may: what is left is gone too, so that the
            // others let nobody in for it.
            let left = count.saturating_sub(flowed_in(rate, wait_ms));
            if left > 0 {
                shared.take(inner.what, &who, rate, left).await?.ok();
            }
            Ok::<_, StoreError>(Some(wait_ms))
        };
        match settled.await {
            Ok(None) => {}
            Ok(Some(wait_ms)) => {
                let wait_ms = i64::try_from(wait_ms).unwrap_or(i64::MAX);
                let until = inner.clock.now().plus_ms(wait_ms);
                lock(&inner.account).over.insert(key, until);
            }
            // What this node counts alone holds meanwhile.
            Err(error) => tracing::debug!(%error, what = inner.what, "rates were not settled"),
        }
    }
}

/// Tokens that come in `ms`, the last one perhaps in part.
fn flowed_in(rate: Rate, ms: u64) -> u32 {
    let tokens = ms
        .saturating_mul(u64::from(rate.per_minute))
        .div_ceil(60_000);
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole after every statement, so a poisoned lock is usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vetrina_store::shared::MemoryShared;

    const TWO: Rate = Rate {
        burst: 2,
        per_minute: 2,
    };

    #[test]
    fn each_key_has_its_own_rate() {
        let rates = Rates::new(TWO, 10);
        let ip = |text: &str| network(text.parse().expect("reads"));
        assert!(rates.take(ip("192.0.2.1"), UnixMs(0)).is_ok());
        assert!(rates.take(ip("::ffff:192.0.2.1"), UnixMs(0)).is_ok());
        assert_eq!(rates.take(ip("192.0.2.1"), UnixMs(0)), Err(30_000));
        assert!(rates.take(ip("192.0.2.2"), UnixMs(0)).is_ok());
        assert!(rates.take(ip("192.0.2.1"), UnixMs(30_000)).is_ok());
    }

    #[tokio::test]
    async fn who_is_too_quick_on_one_node_is_refused_on_all() {
        let clock = Clock::system();
        let now = clock.clone();
        let shared: Arc<dyn Shared> = Arc::new(MemoryShared::new(Arc::new(move || now.now())));
        let node = || SharedRates::new("commands", TWO, 10, Some(shared.clone()), clock.clone());
        let (one, two) = (node(), node());
        assert!(one.take(7).is_ok() && one.take(7).is_ok());
        assert!(one.take(7).is_err());
        one.settle_all(&*shared).await;
        two.greet(7).await;
        assert!(two.take(7).is_err());
        assert!(two.take(8).is_ok());
        clock.advance_ms(60_000);
        assert!(two.take(7).is_ok());
        // One is left, two are spent elsewhere: none is left.
        two.settle_all(&*shared).await;
        assert!(one.take(7).is_ok() && one.take(7).is_ok());
        one.settle_all(&*shared).await;
        two.greet(7).await;
        assert!(two.take(7).is_err());
    }
}
