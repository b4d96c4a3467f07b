//! [`Shared`] on Redis. One key each, so a Cluster spreads them.

use async_trait::async_trait;
use vetrina_core::limits::Rate;

use super::{RedisStore, functions};
use crate::StoreError;
use crate::shared::{Shared, refuse_long};

#[async_trait]
impl Shared for RedisStore {
    async fn recall(&self, scope: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let key = self.inner.keys.remembered(scope, key);
        let call = |_: &str| Ok(functions::recall(&key));
        Ok(self.inner.primaries.call(&key, false, call).await?)
    }

    async fn remember(
        &self,
        scope: &str,
        key: &str,
        answer: Vec<u8>,
        keep_ms: i64,
    ) -> Result<Vec<u8>, StoreError> {
        refuse_long(&answer)?;
        let key = self.inner.keys.remembered(scope, key);
        let keep_ms = u64::try_from(keep_ms).unwrap_or(0).max(1);
        let call = |_: &str| Ok(functions::remember(&key, &answer, keep_ms));
        let first = self.inner.primaries.call(&key, true, call).await?;
        Ok(first.unwrap_or(answer))
    }

    async fn take(
        &self,
        what: &str,
        who: &str,
        rate: Rate,
        tokens: u32,
    ) -> Result<Result<(), u64>, StoreError> {
        let key = self.inner.keys.bucket(what, who);
        let clock = self.inner.clock();
        let call = |_: &str| Ok(functions::take(&key, rate, tokens, clock));
        Ok(self.inner.primaries.call(&key, false, call).await?)
    }
}
