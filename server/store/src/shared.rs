//! What all nodes must agree on beside the shows: the first answer to a key, and how often somebody
//! may ask. It refuses to know what the answers say and who is limited.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use vetrina_core::limits::Rate;
use vetrina_protocol::time::UnixMs;

use super::buckets::Buckets;
use super::{Now, StoreError};

/// Longest answer that is remembered.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Answers that one process remembers; Redis forgets by time alone.
const ANSWERS_MAX: usize = 200_000;
/// Buckets of one generation in one process.
const BUCKETS_MAX: usize = 100_000;

/// See the module's words. `Unavailable` means unknown: ask again with the same words, or decide
/// by what this node knows.
#[async_trait]
pub trait Shared: Send + Sync {
    /// The answer that is remembered under `key` of `scope` (who asked for what).
    async fn recall(&self, scope: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Remembers `answer` for `keep_ms`, unless one is remembered already; gives the one that
    /// counts, the first. Refused `invalid` beyond [`ANSWER_BYTES_MAX`].
    async fn remember(
        &self,
        scope: &str,
        key: &str,
        answer: Vec<u8>,
        keep_ms: i64,
    ) -> Result<Vec<u8>, StoreError>;

    /// Takes `tokens` from the bucket of `who` for `what`; the inner error is the milliseconds
    /// until they are there. Full at first; one bucket for all nodes.
    async fn take(
        &self,
        what: &str,
        who: &str,
        rate: Rate,
        tokens: u32,
    ) -> Result<Result<(), u64>, StoreError>;
}

/// Of one process.
pub struct MemoryShared {
    now: Now,
    /// Looked into for one answer or bucket, never across an await.
    kept: Mutex<Kept>,
}

type Name = (String, String);

struct Kept {
    answers: HashMap<Name, (UnixMs, Vec<u8>)>,
    /// Oldest first.
    by_age: VecDeque<Name>,
    buckets: Buckets<Name>,
}

impl MemoryShared {
    /// Nothing remembered, all buckets full.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self {
            now,
            kept: Mutex::new(Kept {
                answers: HashMap::new(),
                by_age: VecDeque::new(),
                buckets: Buckets::new(BUCKETS_MAX),
            }),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whole after every statement, so a poisoned lock is usable.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for MemoryShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryShared").finish_non_exhaustive()
    }
}

#[async_trait]
impl Shared for MemoryShared {
    async fn recall(&self, scope: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let now = (self.now)();
        let kept = self.kept();
        let known = kept.answers.get(&(scope.to_owned(), key.to_owned()));
        Ok(known
            .filter(|(until, _)| *until > now)
            .map(|(_, answer)| answer.clone()))
    }

    async fn remember(
        &self,
        scope: &str,
        key: &str,
        answer: Vec<u8>,
        keep_ms: i64,
    ) -> Result<Vec<u8>, StoreError> {
        refuse_long(&answer)?;
        let now = (self.now)();
        let name = (scope.to_owned(), key.to_owned());
        let mut kept = self.kept();
        match kept.answers.get(&name) {
            Some((until, first)) if *until > now => return Ok(first.clone()),
            Some(_) => {}
            None => kept.by_age.push_back(name.clone()),
        }
        let until = now.plus_ms(keep_ms.max(1));
        kept.answers.insert(name, (until, answer.clone()));
        kept.forget(now);
        Ok(answer)
    }

    async fn take(
        &self,
        what: &str,
        who: &str,
        rate: Rate,
        tokens: u32,
    ) -> Result<Result<(), u64>, StoreError> {
        let now = (self.now)();
        let name = (what.to_owned(), who.to_owned());
        Ok(self.kept().buckets.take(name, rate, tokens, now))
    }
}

impl Kept {
    /// From the oldest on, while they have run out or are too many.
    fn forget(&mut self, now: UnixMs) {
        while let Some(name) = self.by_age.front() {
            let until = self.answers.get(name).map(|(until, _)| *until);
            if until.is_some_and(|until| until > now) && self.by_age.len() <= ANSWERS_MAX {
                return;
            }
            if let Some(name) = self.by_age.pop_front() {
                self.answers.remove(&name);
            }
        }
    }
}

/// Shared by all implementations.
pub(crate) fn refuse_long(answer: &[u8]) -> Result<(), StoreError> {
    if answer.len() <= ANSWER_BYTES_MAX {
        return Ok(());
    }
    Err(StoreError::refused(
        vetrina_protocol::refusal::RefusalCode::Invalid,
        "answer: longer than can be remembered",
    ))
}
