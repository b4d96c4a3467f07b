//! Many callers, few calls: the first leaves at once; while [`IN_FLIGHT_MAX`] calls are under way
//! the others gather, and leave together, up to [`BATCH_MAX`] at a time, in the order they came. It
//! refuses to know what is asked and of whom.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// More in one call only adds latency (measured).
pub(crate) const BATCH_MAX: usize = 64;
/// One that Redis works on and some that wait in its socket, so that it reads and answers several
/// at a time.
const IN_FLIGHT_MAX: usize = 4;
/// Callers who may wait: a rush of ten thousand on one listing fits, twice.
const WAITING_MAX: usize = 20_000;

/// What one batch comes to: an answer for each, or the same failure for all.
pub(crate) type Outcome<A, E> = Result<Vec<A>, E>;
type Carry<C, A, E> =
    Box<dyn Fn(Vec<C>) -> Pin<Box<dyn Future<Output = Outcome<A, E>> + Send>> + Send + Sync>;

/// See the module's words.
pub(crate) struct Coalescer<C, A, E> {
    carry: Carry<C, A, E>,
    /// Held to put in and to take out, never across an await.
    queue: Mutex<Queue<C, A, E>>,
}

struct Queue<C, A, E> {
    waiting: VecDeque<(C, oneshot::Sender<Result<A, E>>)>,
    in_flight: usize,
}

/// Too many wait already; nothing was put in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl<C, A, E> Coalescer<C, A, E>
where
    C: Send + 'static,
    A: Send + 'static,
    E: Clone + Send + 'static,
{
    /// `carry` is given a batch and answers in its order.
    pub(crate) fn new<F>(carry: impl Fn(Vec<C>) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Outcome<A, E>> + Send + 'static,
    {
        Arc::new(Self {
            carry: Box::new(move |batch| Box::pin(carry(batch))),
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                in_flight: 0,
            }),
        })
    }

    /// Puts one in. Its answer comes by the channel; no answer when the carrying task panicked.
    pub(crate) fn ask(self: &Arc<Self>, item: C) -> Result<oneshot::Receiver<Result<A, E>>, Full> {
        let (answer, answered) = oneshot::channel();
        let mut queue = self.queue();
        if queue.waiting.len() >= WAITING_MAX {
            return Err(Full);
        }
        queue.waiting.push_back((item, answer));
        if queue.in_flight < IN_FLIGHT_MAX {
            queue.in_flight += 1;
            drop(queue);
            let carrier = Carrier {
                coalescer: Arc::clone(self),
                counted: true,
            };
            tokio::spawn(async move { carrier.run().await });
        }
        Ok(answered)
    }

    fn take(&self) -> Vec<(C, oneshot::Sender<Result<A, E>>)> {
        let mut queue = self.queue();
        let count = queue.waiting.len().min(BATCH_MAX);
        queue.waiting.drain(..count).collect()
    }

    /// Who waits behind a failed call would only fail later.
    fn fail_all(&self, error: &E) {
        let waiting = std::mem::take(&mut self.queue().waiting);
        for (_, answer) in waiting {
            // Whoever stopped waiting misses nothing.
            drop(answer.send(Err(error.clone())));
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<C, A, E>> {
        // Whole after every statement, so a poisoned lock is usable.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the calls that may be under way; gives its place back however it ends.
struct Carrier<C, A, E> {
    coalescer: Arc<Coalescer<C, A, E>>,
    counted: bool,
}

impl<C, A, E> Carrier<C, A, E>
where
    C: Send + 'static,
    A: Send + 'static,
    E: Clone + Send + 'static,
{
    async fn run(mut self) {
        loop {
            let batch = self.coalescer.take();
            if batch.is_empty() {
                let mut queue = self.coalescer.queue();
                // Looked at and left under one lock: nobody is left behind in between.
                if queue.waiting.is_empty() {
                    queue.in_flight -= 1;
                    self.counted = false;
                    return;
                }
                continue;
            }
            let (items, answers): (Vec<C>, Vec<_>) = batch.into_iter().unzip();
            match (self.coalescer.carry)(items).await {
                Ok(outcomes) => {
                    for (answer, outcome) in answers.into_iter().zip(outcomes) {
                        drop(answer.send(Ok(outcome)));
                    }
                }
                Err(error) => {
                    for answer in answers {
                        drop(answer.send(Err(error.clone())));
                    }
                    self.coalescer.fail_all(&error);
                }
            }
        }
    }
}

impl<C, A, E> Drop for Carrier<C, A, E> {
    fn drop(&mut self) {
        // Still counted only after a panic or at the end of the runtime.
        if self.counted {
            let queue = self.coalescer.queue.lock();
            queue.unwrap_or_else(PoisonError::into_inner).in_flight -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Semaphore;

    type Sizes = Arc<Mutex<Vec<usize>>>;

    /// Answers twice the question; each batch waits for a permit.
    fn doubling(gate: &Arc<Semaphore>) -> (Arc<Coalescer<u64, u64, &'static str>>, Sizes) {
        let sizes = Sizes::default();
        let (gate, noted) = (Arc::clone(gate), Arc::clone(&sizes));
        let coalescer = Coalescer::new(move |batch: Vec<u64>| {
            noted.lock().unwrap().push(batch.len());
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.unwrap().forget();
                if batch.contains(&0) {
                    return Err("zero");
                }
                Ok(batch.into_iter().map(|number| number * 2).collect())
            }
        });
        (coalescer, sizes)
    }

    #[tokio::test]
    async fn the_first_leaves_at_once_and_the_others_gather() {
        let gate = Arc::new(Semaphore::new(0));
        let (coalescer, sizes) = doubling(&gate);
        let mut answers = Vec::new();
        for number in 1..=IN_FLIGHT_MAX as u64 {
            answers.push(coalescer.ask(number).unwrap());
            while sizes.lock().unwrap().len() < usize::try_from(number).unwrap() {
                tokio::task::yield_now().await;
            }
        }
        for number in IN_FLIGHT_MAX as u64 + 1..=200 {
            answers.push(coalescer.ask(number).unwrap());
        }
        gate.add_permits(100);
        for (number, answer) in (1..).zip(answers) {
            assert_eq!(answer.await.unwrap(), Ok(number * 2));
        }
        assert_eq!(
            *sizes.lock().unwrap(),
            vec![1, 1, 1, 1, 64, 64, 64, 4],
            "{IN_FLIGHT_MAX} leave at once"
        );
        // And again from rest.
        assert_eq!(coalescer.ask(5).unwrap().await.unwrap(), Ok(10));
    }

    #[tokio::test]
    async fn a_failure_fails_all_who_wait_behind_it() {
        let gate = Arc::new(Semaphore::new(0));
        let (coalescer, _) = doubling(&gate);
        let answers: Vec<_> = (0..500).map(|n| coalescer.ask(n).unwrap()).collect();
        gate.add_permits(IN_FLIGHT_MAX);
        let mut failed = 0;
        for answer in answers {
            failed += usize::from(answer.await.unwrap().is_err());
        }
        assert!(failed >= 500 - IN_FLIGHT_MAX * BATCH_MAX, "{failed}");
        gate.add_permits(1);
        assert_eq!(coalescer.ask(4).unwrap().await.unwrap(), Ok(8));
    }

    #[tokio::test]
    async fn who_waits_is_bounded() {
        let gate = Arc::new(Semaphore::new(0));
        let (coalescer, _) = doubling(&gate);
        let mut answers = Vec::new();
        let full = loop {
            match coalescer.ask(1) {
                Ok(answer) => answers.push(answer),
                Err(full) => break full,
            }
            assert!(answers.len() < 2 * WAITING_MAX);
        };
        assert_eq!(full, Full);
        gate.add_permits(1_000);
        for answer in answers {
            assert_eq!(answer.await.unwrap(), Ok(2));
        }
    }
}
