//! The first answer to every key, so that a retry hears it again. Bounded per show in count and in
//! time. It refuses to know what was asked: it compares hashes.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex as AsyncMutex;
use vetrina_core::checkout::BodyDigest;
use vetrina_core::refused::Refused;
use vetrina_protocol::id::{ShowId, UserId};
use vetrina_protocol::refusal::{Advice, RefusalCode};
use vetrina_protocol::server::Done;
use vetrina_protocol::time::UnixMs;
use vetrina_store::{Shared, StoreError};

use super::command::Key;
use super::limits::{ANSWER_RETENTION_MS, ANSWERS_PER_SHOW_MAX, SHOWS_MAX};

type Answer = Result<Done, Refused>;
type Name = (UserId, String);

/// Answers of all shows. The lock is taken for a look-up; it exists because all sessions meet here.
#[derive(Debug, Default)]
pub(super) struct Answers {
    shows: Mutex<HashMap<ShowId, Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    slots: HashMap<Name, (BodyDigest, Slot)>,
    /// Oldest first.
    by_time: VecDeque<(UnixMs, Name)>,
}

/// The place of one answer. The lock inside is what makes fifty equal commands wait for the first.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot {
    answer: Arc<AsyncMutex<Option<Answer>>>,
}

impl Answers {
    /// The slot of a key.
    ///
    /// # Errors
    /// `key_reused` when the key stands for something else.
    pub(super) fn slot(
        &self,
        show: ShowId,
        user: UserId,
        key: &Key,
        now: UnixMs,
    ) -> Result<Slot, Refused> {
        let mut shows = self.shows();
        if shows.len() >= SHOWS_MAX && !shows.contains_key(&show) {
            shows.retain(|_, kept| {
                kept.forget(now);
                !kept.by_time.is_empty()
            });
        }
        let kept = shows.entry(show).or_default();
        kept.forget(now);
        let name = (user, key.text.clone());
        if let Some((body, slot)) = kept.slots.get(&name) {
            if *body == key.body {
                return Ok(slot.clone());
            }
            return Err(key_reused());
        }
        let slot = Slot::default();
        kept.slots.insert(name.clone(), (key.body, slot.clone()));
        kept.by_time.push_back((now, name));
        Ok(slot)
    }

    fn shows(&self) -> MutexGuard<'_, HashMap<ShowId, Kept>> {
        // Whole after every statement, so a poisoned lock is usable.
        self.shows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn forget(&mut self, now: UnixMs) {
        while let Some((at, _)) = self.by_time.front() {
            let old = now.since(*at) > ANSWER_RETENTION_MS;
            if !old && self.by_time.len() <= ANSWERS_PER_SHOW_MAX {
                return;
            }
            if let Some((_, name)) = self.by_time.pop_front() {
                self.slots.remove(&name);
            }
        }
    }
}

impl Slot {
    /// The first answer: of `command` if nobody asked before, else of who did.
    pub(super) async fn first_answer(&self, command: impl Future<Output = Answer>) -> Answer {
        let mut answer = self.answer.lock().await;
        if let Some(first) = answer.as_ref() {
            return first.clone();
        }
        let first = command.await;
        if is_final(&first) {
            *answer = Some(first.clone());
        }
        first
    }
}

/// Answers that other nodes gave to one person in one show.
pub(super) struct RemoteAnswers<'a> {
    shared: &'a dyn Shared,
    scope: String,
}

/// As it is kept: what was asked, and what was answered.
#[derive(Serialize, Deserialize)]
struct Remembered {
    body: [u8; 32],
    answer: Result<Done, RememberedRefusal>,
}

#[derive(Serialize, Deserialize)]
struct RememberedRefusal {
    code: RefusalCode,
    message: String,
}

impl<'a> RemoteAnswers<'a> {
    pub(super) fn of(shared: &'a Arc<dyn Shared>, show: ShowId, user: UserId) -> Self {
        Self {
            shared: &**shared,
            scope: format!("{show} {user}"),
        }
    }

    /// What was answered under this key, or that it stands for something else.
    pub(super) async fn recall(
        &self,
        key: &Key,
    ) -> Result<Option<Result<Answer, Refused>>, StoreError> {
        let Some(bytes) = self.shared.recall(&self.scope, &key.text).await? else {
            return Ok(None);
        };
        let Ok(known) = rmp_serde::from_slice::<Remembered>(&bytes) else {
            tracing::warn!("an answer of another version of this server is not understood");
            return Ok(None);
        };
        if known.body != key.body.0 {
            return Ok(Some(Err(key_reused())));
        }
        let answer = known
            .answer
            .map_err(|refused| Refused::new(refused.code, refused.message));
        Ok(Some(Ok(answer)))
    }

    /// Keeps the answer for the other nodes, if it is one to be repeated.
    pub(super) async fn remember(&self, key: &Key, answer: &Answer) -> Result<(), StoreError> {
        if !is_final(answer) {
            return Ok(());
        }
        let known = Remembered {
            body: key.body.0,
            answer: answer.clone().map_err(|refused| RememberedRefusal {
                code: refused.code,
                message: refused.message.into_owned(),
            }),
        };
        let bytes = rmp_serde::to_vec_named(&known)
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        self.shared
            .remember(&self.scope, &key.text, bytes, ANSWER_RETENTION_MS)
            .await?;
        Ok(())
    }
}

fn key_reused() -> Refused {
    Refused::new(
        RefusalCode::KeyReused,
        "key: it was used for another command; use a new key for a new command",
    )
}

/// What waiting may cure is decided anew by a retry.
fn is_final(answer: &Answer) -> bool {
    answer
        .as_ref()
        .err()
        .is_none_or(|refused| refused.code.advice() != Advice::Retry)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use vetrina_store::shared::MemoryShared;

    fn key(text: &str, body: u8) -> Key {
        Key {
            text: text.to_owned(),
            body: BodyDigest([body; 32]),
        }
    }

    fn done(id: u32) -> Done {
        Done {
            id,
            ..Done::default()
        }
    }

    #[tokio::test]
    async fn fifty_at_once_hear_one_answer() {
        let answers = Arc::new(Answers::default());
        let ran = Arc::new(AtomicU32::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (answers, ran) = (answers.clone(), ran.clone());
            tasks.spawn(async move {
                let slot = answers
                    .slot(ShowId(1), UserId(1), &key("k", 1), UnixMs(0))
                    .unwrap();
                slot.first_answer(async {
                    tokio::task::yield_now().await;
                    Ok(done(ran.fetch_add(1, Ordering::SeqCst)))
                })
                .await
            });
        }
        while let Some(answer) = tasks.join_next().await {
            assert_eq!(answer.unwrap(), Ok(done(0)));
        }
        assert_eq!(ran.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_refusal_that_waiting_cures_is_not_kept() {
        let slot = Slot::default();
        let busy = Refused::for_now(RefusalCode::TryAgain, "busy", 10);
        assert_eq!(
            slot.first_answer(async { Err(busy.clone()) }).await,
            Err(busy)
        );
        let sold_out = Refused::new(RefusalCode::SoldOut, "none left");
        assert_eq!(
            slot.first_answer(async { Err(sold_out.clone()) }).await,
            Err(sold_out.clone())
        );
        assert_eq!(
            slot.first_answer(async { Ok(done(1)) }).await,
            Err(sold_out)
        );
    }

    #[test]
    fn a_key_is_one_persons_and_means_one_thing_for_a_while() {
        let answers = Answers::default();
        let slot =
            |user, body, at| answers.slot(ShowId(1), UserId(user), &key("k", body), UnixMs(at));
        slot(1, 1, 0).unwrap();
        assert_eq!(slot(1, 2, 0).unwrap_err().code, RefusalCode::KeyReused);
        slot(2, 2, 0).unwrap();
        assert!(slot(1, 2, ANSWER_RETENTION_MS).is_err());
        slot(1, 2, ANSWER_RETENTION_MS + 1).unwrap();
    }

    #[tokio::test]
    async fn another_node_repeats_the_first_answer() {
        let shared: Arc<dyn Shared> = Arc::new(MemoryShared::new(Arc::new(|| UnixMs(1))));
        let answers = |user| RemoteAnswers::of(&shared, ShowId(1), UserId(user));
        let (first, other) = (Ok(done(3)), key("k", 2));
        assert!(answers(1).recall(&key("k", 1)).await.unwrap().is_none());
        answers(1).remember(&key("k", 1), &first).await.unwrap();
        // A second answer changes nothing, another person's key is another key.
        let late = Err(Refused::new(RefusalCode::SoldOut, "none left"));
        answers(1).remember(&key("k", 1), &late).await.unwrap();
        let known = answers(1).recall(&key("k", 1)).await.unwrap();
        assert_eq!(known, Some(Ok(first)));
        assert!(answers(2).recall(&key("k", 1)).await.unwrap().is_none());
        let reused = answers(1).recall(&other).await.unwrap().expect("known");
        assert_eq!(reused.unwrap_err().code, RefusalCode::KeyReused);
        // What waiting may cure is asked anew everywhere.
        let busy = Err(Refused::for_now(RefusalCode::TryAgain, "busy", 10));
        answers(1).remember(&key("b", 1), &busy).await.unwrap();
        assert!(answers(1).recall(&key("b", 1)).await.unwrap().is_none());
        answers(1).remember(&key("r", 1), &late).await.unwrap();
        assert_eq!(
            answers(1).recall(&key("r", 1)).await.unwrap(),
            Some(Ok(late))
        );
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let answers = Answers::default();
        for n in 0..ANSWERS_PER_SHOW_MAX + 10 {
            answers
                .slot(ShowId(1), UserId(1), &key(&n.to_string(), 1), UnixMs(0))
                .unwrap();
        }
        let shows = answers.shows();
        assert!(shows[&ShowId(1)].slots.len() <= ANSWERS_PER_SHOW_MAX + 1);
        assert_eq!(
            shows[&ShowId(1)].slots.len(),
            shows[&ShowId(1)].by_time.len()
        );
    }
}
