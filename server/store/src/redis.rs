//! The hot store on Redis: all that decides is a library of Redis Functions (`functions/*.lua`),
//! so that any number of nodes share one stock and one log per show.
//!
//! Each node keeps of a show what its viewers read (ring, fold) and what it remembers of
//! reservations; both follow the show's two streams ([`tail`]). Redis may lose everything at any
//! moment: then the show is opened anew from the ledger, and remembered reservations are seated
//! again ([`opening`]). It refuses to know the ledger's tables, and what is sold for good.

mod address;
mod archive;
mod coalesce;
mod commands;
mod dial;
pub mod functions;
pub mod keys;
mod leases;
mod link;
mod local;
mod opening;
mod primaries;
mod remembered;
mod shared;
mod show;
mod tail;
mod upkeep;
mod watcher;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vetrina_core::hot::HotCommand;
use vetrina_core::refused::Refused;
use vetrina_protocol::id::ShowId;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::time::UnixMs;

pub use address::RedisAddress;
pub use watcher::{RedisOutcome, RedisWatcher};

use super::hot::Applied;
use super::ledger::Ledger;
use super::{Now, StoreError};
use functions::{Belief, Call, CallError, NotOpen};
use keys::{Keys, ShowKeys};
use primaries::Primaries;
use show::Show;

/// Shows that one node follows at once.
const SHOWS_MAX: usize = 10_000;

/// Why a store cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedisError {
    /// The URL is not one of ours, or names a file that cannot be read.
    #[error("Redis URL: {0}")]
    Address(String),
}

/// How a node uses Redis.
#[derive(Clone)]
pub struct RedisOptions {
    /// The node's name, for people; the store adds what tells two starts apart.
    pub node: String,
    /// The node's clock, for what the ledger notes down. What expires goes by Redis' time.
    pub now: Now,
    /// A test's clock instead of Redis' time. `None` in production.
    pub clock: Option<Now>,
    /// How long anything is waited for.
    pub patience: Patience,
    /// Told what happens; `Arc::new(())` when nobody wants to know.
    pub watcher: Arc<dyn RedisWatcher>,
}

/// How long is waited for Redis.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Most of one call, waiting for a connection included. Beyond it the outcome is unknown.
    pub call: Duration,
    /// Most of one attempt to connect.
    pub connect: Duration,
    /// Most of the wait for replicas (`ack` in the URL).
    pub ack: Duration,
    /// Most of the wait for a show to be opened, by this node or another.
    pub open: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            call: Duration::from_millis(800),
            connect: Duration::from_millis(1_500),
            ack: Duration::from_millis(500),
            open: Duration::from_secs(10),
        }
    }
}

/// See the module's words. Clones share one store.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    ledger: Arc<dyn Ledger>,
    options: RedisOptions,
    /// This start of this node: holds leases, counts viewers.
    node: String,
    keys: Keys,
    primaries: Primaries,
    shows: DashMap<ShowId, Arc<Show>>,
    /// The tails look at the shows again.
    followed: Notify,
    /// Something waits for the archive.
    dirty: Notify,
    stopping: CancellationToken,
    /// Ended after everything else: the connections.
    disconnecting: CancellationToken,
    tasks: std::sync::Mutex<Vec<JoinHandle<()>>>,
}

/// Why a call came to nothing.
#[derive(Debug, Clone)]
enum Failure {
    /// Too many calls at once; nothing was done.
    Busy,
    /// No answer: perhaps it was carried out.
    Unknown(String),
    /// Another primary has these keys now; nothing was done.
    Moved(String),
    /// The show is not open as this node believes; nothing was done.
    NotOpen(NotOpen),
    /// Beyond what Redis can hold; nothing was sent.
    TooBig(&'static str),
    /// An error of Redis or of a function.
    Wrong(String),
    /// The ledger refused.
    Refused(Refused),
}

/// All commands that an ACL user of ours needs (`+name`), besides the keys `~<prefix>*`. A user
/// for a Cluster needs `+cluster|slots` too.
#[must_use]
pub fn acl_commands() -> Vec<&'static str> {
    let own = ["function|load", "info", "wait", "expire", "ping"];
    functions::COMMANDS.iter().copied().chain(own).collect()
}

/// See [`RedisStore::benchmark`].
pub(crate) struct Benchmark {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) call: Vec<String>,
}

impl RedisStore {
    /// A store on this ledger, with its tasks running. It does not wait for Redis: until it
    /// answers, calls fail with `Unavailable`.
    ///
    /// # Errors
    /// See [`RedisError`].
    pub fn start(
        address: &RedisAddress,
        ledger: Arc<dyn Ledger>,
        options: RedisOptions,
    ) -> Result<Self, RedisError> {
        let keys =
            Keys::new(&address.prefix).map_err(|error| RedisError::Address(error.to_string()))?;
        let disconnecting = CancellationToken::new();
        let primaries = Primaries::start(address, &keys, &options, &disconnecting)?;
        let node = format!("{}/{}", options.node, uuid::Uuid::new_v4().simple());
        let inner = Arc::new(Inner {
            ledger,
            options,
            node,
            keys,
            primaries,
            shows: DashMap::new(),
            followed: Notify::new(),
            dirty: Notify::new(),
            stopping: CancellationToken::new(),
            disconnecting,
            tasks: std::sync::Mutex::default(),
        });
        let tasks = [
            tokio::spawn(archive::run(Arc::clone(&inner))),
            tokio::spawn(upkeep::run(Arc::clone(&inner))),
            tokio::spawn(tail::run(Arc::clone(&inner))),
        ];
        inner
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(tasks);
        Ok(Self { inner })
    }

    /// One command in a call of its own: what coalescing is measured against.
    pub(crate) async fn apply_alone(
        &self,
        show: ShowId,
        command: HotCommand,
    ) -> Result<Applied, StoreError> {
        let applied = show::carry(&self.inner, show, vec![command]).await?;
        let only = applied.into_iter().next();
        only.ok_or_else(|| StoreError::Unavailable("no answer".into()))
    }

    /// What `redis-benchmark` needs to reserve on an open show: host and port, login, and the words
    /// of the call up to its arguments. The function for it is loaded.
    pub(crate) async fn benchmark(&self, show: ShowId) -> Result<Benchmark, StoreError> {
        let (place, _) = self.inner.local(show).await?;
        let link = self.inner.primaries.known(place.keys.log());
        let link = link.ok_or_else(|| StoreError::Unavailable("no primary is known".into()))?;
        link.call(true, &|_| Ok(functions::load_for_bench()))
            .await?;
        let up = link.up(Instant::now() + self.inner.options.patience.call);
        let (host, identity) = up.await?.whose();
        let keys = place.keys.state();
        let mut call = vec!["FCALL".to_owned(), "vetrina_bench".to_owned()];
        call.push(keys.len().to_string());
        call.extend(keys.iter().cloned());
        call.extend([identity, String::new(), String::new()]);
        Ok(Benchmark {
            host: host.name,
            port: host.port,
            call,
        })
    }
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore")
            .field("node", &self.inner.node)
            .field("shows", &self.inner.shows.len())
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// The show's place here, made if it was not.
    fn show(self: &Arc<Self>, id: ShowId) -> Result<Arc<Show>, StoreError> {
        if let Some(show) = self.shows.get(&id) {
            return Ok(Arc::clone(&show));
        }
        if self.stopping.is_cancelled() {
            return Err(StoreError::Unavailable("the store is shutting down".into()));
        }
        if self.shows.len() >= SHOWS_MAX {
            return Err(StoreError::Busy("too many shows are loaded"));
        }
        let made = || Arc::new(Show::new(id, &self.keys, self));
        Ok(Arc::clone(&self.shows.entry(id).or_insert_with(made)))
    }

    /// Calls a function on a show's keys, whatever the epoch of its log.
    async fn call<T>(
        &self,
        keys: &ShowKeys,
        write: bool,
        make: impl Fn(Belief<'_>) -> Result<Call<T>, CallError> + Sync,
    ) -> Result<T, Failure> {
        let clock = self.clock();
        let make = |identity: &str| {
            make(Belief {
                identity,
                epoch: None,
                clock,
            })
        };
        self.primaries.call(keys.log(), write, make).await
    }

    /// A test's time.
    fn clock(&self) -> Option<UnixMs> {
        self.options.clock.as_ref().map(|clock| clock())
    }

    fn now(&self) -> UnixMs {
        (self.options.now)()
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotOpen(why) => Self::NotOpen(why),
            CallError::TooBig(what) => Self::TooBig(what),
            CallError::Malformed(_) | CallError::Failed(_) => Self::Wrong(error.to_string()),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Busy => Self::Busy("too many calls of Redis at once"),
            Failure::Unknown(why) | Failure::Moved(why) => Self::Unavailable(why),
            Failure::NotOpen(why) => {
                Self::Unavailable(format!("the show is being opened: {why:?}"))
            }
            Failure::TooBig(what) => Self::Refused(Refused::new(
                RefusalCode::Invalid,
                format!("{what}: beyond what can be kept"),
            )),
            Failure::Refused(refused) => Self::Refused(refused),
            Failure::Wrong(why) => {
                tracing::error!(%why, "Redis answered with an error");
                Self::Unavailable(why)
            }
        }
    }
}

impl From<StoreError> for Failure {
    /// The ledger's failures, while a show is built.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refused) => Self::Refused(refused),
            StoreError::Busy(_) => Self::Busy,
            StoreError::Unavailable(why) => Self::Unknown(why),
        }
    }
}
