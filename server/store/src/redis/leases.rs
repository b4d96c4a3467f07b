//! [`Leases`] on Redis. One key each, so a Cluster spreads them; Redis itself lets them run out.
//!
//! Renewing and giving back look first and act then. Between the two the lease may have run out and
//! gone to another node, which then loses it, or has it longer than it said: it notices at its next
//! renewal.

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use redis::{Cmd, Value, cmd};
use vetrina_protocol::id::ShowId;

use super::functions::{Call, CallError};
use super::{Failure, RedisStore};
use crate::StoreError;
use crate::leases::{Leased, Leases};

/// Questions under way at a time.
const ASKED_AT_ONCE: usize = 32;

impl RedisStore {
    fn lease_key(&self, show: ShowId, what: Leased) -> String {
        let name = match what {
            Leased::Video => "video",
        };
        self.inner.keys.lease(name, show)
    }

    /// One plain command on one key; gives the text of its answer, if it has one.
    async fn plain(
        &self,
        key: &str,
        make: impl Fn() -> Cmd + Sync,
    ) -> Result<Option<String>, Failure> {
        let call = |_: &str| Ok(Call::new(make(), answer));
        self.inner.primaries.call(key, false, call).await
    }
}

fn answer(value: Value) -> Result<Option<String>, CallError> {
    match value {
        Value::Nil => Ok(None),
        Value::Okay => Ok(Some("OK".into())),
        Value::Int(number) => Ok(Some(number.to_string())),
        Value::SimpleString(text) => Ok(Some(text)),
        Value::BulkString(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(CallError::Malformed("a lease")),
        },
        _ => Err(CallError::Malformed("a lease")),
    }
}

fn answers(value: Value) -> Result<Vec<Option<String>>, CallError> {
    match value {
        Value::Array(values) => values.into_iter().map(answer).collect(),
        _ => Err(CallError::Malformed("leases")),
    }
}

fn set(key: &str, holder: &str, lease_ms: i64) -> Cmd {
    let mut set = cmd("SET");
    set.arg(key).arg(holder).arg("PX").arg(lease_ms.max(1));
    set
}

fn get(key: &str) -> Cmd {
    let mut get = cmd("GET");
    get.arg(key);
    get
}

#[async_trait]
impl Leases for RedisStore {
    async fn lease(
        &self,
        show: ShowId,
        what: Leased,
        holder: &str,
        lease_ms: i64,
    ) -> Result<String, StoreError> {
        let key = self.lease_key(show, what);
        let free = || {
            let mut take = set(&key, holder, lease_ms);
            take.arg("NX");
            take
        };
        if self.plain(&key, free).await?.is_some() {
            return Ok(holder.to_owned());
        }
        match self.plain(&key, || get(&key)).await? {
            Some(who) if who != holder => Ok(who),
            // Ours, or it has just run out.
            _ => {
                self.plain(&key, || set(&key, holder, lease_ms)).await?;
                Ok(holder.to_owned())
            }
        }
    }

    async fn seize(
        &self,
        show: ShowId,
        what: Leased,
        holder: &str,
        lease_ms: i64,
    ) -> Result<(), StoreError> {
        let key = self.lease_key(show, what);
        self.plain(&key, || set(&key, holder, lease_ms)).await?;
        Ok(())
    }

    async fn holders(
        &self,
        shows: &[ShowId],
        what: Leased,
    ) -> Result<Vec<Option<String>>, StoreError> {
        let keys: Vec<String> = shows
            .iter()
            .map(|show| self.lease_key(*show, what))
            .collect();
        let primaries = &self.inner.primaries;
        let Some(first) = keys.first() else {
            return Ok(Vec::new());
        };
        if primaries.is_cluster() {
            // Keys of different slots cannot be read by one command.
            let asked = keys
                .into_iter()
                .map(|key| async move { self.plain(&key, || get(&key)).await });
            let holders = stream::iter(asked).buffered(ASKED_AT_ONCE);
            return Ok(holders.try_collect().await?);
        }
        let call = |_: &str| {
            let mut get = cmd("MGET");
            get.arg(&keys);
            Ok(Call::new(get, answers))
        };
        let holders = primaries.call(first, false, call).await?;
        if holders.len() != keys.len() {
            return Err(StoreError::Unavailable(
                "not as many leases as asked".into(),
            ));
        }
        Ok(holders)
    }

    async fn let_go(&self, show: ShowId, what: Leased, holder: &str) -> Result<(), StoreError> {
        let key = self.lease_key(show, what);
        if self.plain(&key, || get(&key)).await?.as_deref() == Some(holder) {
            let delete = || {
                let mut delete = cmd("DEL");
                delete.arg(&key);
                delete
            };
            self.plain(&key, delete).await?;
        }
        Ok(())
    }
}
