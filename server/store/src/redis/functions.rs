//! The function library and its typed calls: Rust values become a command, Redis' answer becomes
//! Rust values. It refuses to know connections, retries and time-outs.
//!
//! The library is `functions/*.lua`, in the order of [`library`]; the header of each file says
//! what is kept under which key and what each function takes and gives. What is decided about
//! stock is decided there exactly as [`vetrina_core::hot::ShowStock`] does; a test
//! holds it to that.

mod answers;
mod commands;
mod entries;
mod read;
mod shared;
mod show;
mod wire;

use redis::{Cmd, Value};
use vetrina_core::limits;
use vetrina_protocol::time::{Epoch, UnixMs};
use vetrina_protocol::{BAG_LINES_MAX, QUANTITY_MAX};

pub use entries::{NoticesEntry, PrivateNotice, log_entry, notices_entry};
pub use read::{OpenRows, desk, mine, rows, status};
pub use shared::{Lease, lease, recall, release_lease, remember, take, viewers};
pub use show::{
    Batch, OpenShow, Opened, Reseated, ShowStatus, append, append_after, apply, close, notify,
    open, publish, report_viewers, reseat, trim,
};

/// Grows with every change of the library that a node must notice: `vetrina_version` answers it.
pub const LIBRARY_VERSION: &str = "2";
/// Most commands in one [`apply`].
pub const BATCH_MAX: usize = 64;

/// All commands that an ACL user needs to call the functions and to read the streams (`+name`);
/// the keys it needs are `~<prefix>*`. Loading the library takes `+function|load` too.
pub const COMMANDS: &[&str] = &[
    "fcall",
    "fcall_ro",
    "time",
    "get",
    "mget",
    "set",
    "del",
    "unlink",
    "pttl",
    "pexpire",
    "hget",
    "hmget",
    "hset",
    "hdel",
    "hgetall",
    "hexists",
    "hscan",
    "zadd",
    "zrem",
    "zrange",
    "zrangebyscore",
    "zrangebylex",
    "zlexcount",
    "zpopmin",
    "rpush",
    "lrange",
    "lpop",
    "lindex",
    "xadd",
    "xtrim",
    "xrange",
    "xread",
];

/// Entries of the notices' stream that are kept: a reader that is cut off for longer reads `mine`
/// anew. One entry has at most what 64 commands told.
const NOTICES_ENTRIES_MAX: i64 = 1_024;
/// Open reservations that `desk` looks at, to find the first 500.
const DESK_LOOK_MAX: i64 = 2_000;

/// Source files of the library, in the order in which they use each other.
const SOURCES: &[&str] = &[
    include_str!("../../functions/wire.lua"),
    include_str!("../../functions/step.lua"),
    include_str!("../../functions/rows.lua"),
    include_str!("../../functions/time.lua"),
    include_str!("../../functions/buyer.lua"),
    include_str!("../../functions/ledger.lua"),
    include_str!("../../functions/show.lua"),
    include_str!("../../functions/read.lua"),
    include_str!("../../functions/shared.lua"),
];

/// The whole library, as Redis loads it.
#[must_use]
pub fn library() -> String {
    let mut source = String::from("#!lua name=vetrina\n");
    source.push_str(&bounds());
    for part in SOURCES {
        source.push_str(part);
        source.push('\n');
    }
    source
}

/// The version, and core's bounds, so that they are written once.
fn bounds() -> String {
    let list = [
        ("bag", BAG_LINES_MAX as i64),
        ("buyers", limits::BUYERS_PER_LISTING_MAX as i64),
        ("closed", limits::RESERVATIONS_CLOSED_MAX as i64),
        ("desk", DESK_LOOK_MAX),
        ("extensions", i64::from(limits::EXTENSIONS_MAX)),
        ("listings", limits::LISTINGS_MAX as i64),
        ("nodes", limits::NODES_MAX as i64),
        ("noticed", limits::WAITLIST_NOTICED as i64),
        ("notices_entries", NOTICES_ENTRIES_MAX),
        ("open", limits::RESERVATIONS_OPEN_MAX as i64),
        ("open_per_buyer", limits::RESERVATIONS_PER_BUYER_MAX as i64),
        ("quantity", i64::from(QUANTITY_MAX)),
        ("queue", limits::WAITLIST_MAX as i64),
        ("retention_ms", limits::RESERVATION_RETENTION_MS),
        ("step", limits::STEP_MAX as i64),
        ("ttl_ms", limits::RESERVATION_TTL_MS_DEFAULT),
    ];
    let mut text = format!("local VERSION = '{LIBRARY_VERSION}'\nlocal LIMITS = {{\n");
    for (name, bound) in list {
        text.push_str(&format!("  {name} = {bound},\n"));
    }
    text.push_str("}\n");
    text
}

/// Loads the library with one function more, which `redis-benchmark` can call.
pub fn load_for_bench() -> Call<()> {
    let mut cmd = redis::cmd("FUNCTION");
    let source = library() + include_str!("../../functions/bench.lua");
    cmd.arg("LOAD").arg("REPLACE").arg(source);
    Call::new(cmd, |_| Ok(()))
}

/// Loads the library, over an older one if need be. Each primary of a Cluster needs it.
pub fn load() -> Call<()> {
    let mut cmd = redis::cmd("FUNCTION");
    cmd.arg("LOAD").arg("REPLACE").arg(library());
    Call::new(cmd, |_| Ok(()))
}

/// The version of the library that is loaded. No keys: a Cluster answers from any node.
pub fn version() -> Call<String> {
    let mut cmd = redis::cmd("FCALL_RO");
    cmd.arg("vetrina_version").arg(0);
    Call::new(cmd, |value| wire::text(&value))
}

/// What a caller believes of the Redis that it calls. A call under another belief changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Belief<'a> {
    /// The incarnation of Redis; kept with the show when it is opened.
    pub identity: &'a str,
    /// The epoch of the show's log, for those who must not act in a later one.
    pub epoch: Option<Epoch>,
    /// A test's clock. In production `None`: the time of Redis.
    pub clock: Option<UnixMs>,
}

impl<'a> Belief<'a> {
    /// In this incarnation, any epoch.
    #[must_use]
    pub fn in_identity(identity: &'a str) -> Self {
        Self {
            identity,
            epoch: None,
            clock: None,
        }
    }
}

/// One call of a function: a command to be sent, and how its answer is read.
#[must_use = "a call does nothing until it is sent"]
pub struct Call<T> {
    cmd: Cmd,
    read: Box<dyn Fn(Value) -> Result<T, CallError> + Send + Sync>,
}

impl<T> Call<T> {
    pub(in crate::redis) fn new(
        cmd: Cmd,
        read: impl Fn(Value) -> Result<T, CallError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            cmd,
            read: Box::new(read),
        }
    }

    /// What to send. All of its keys have one hash tag.
    #[must_use]
    pub fn cmd(&self) -> &Cmd {
        &self.cmd
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn read(&self, value: Value) -> Result<T, CallError> {
        match value {
            Value::ServerError(error) => Err(CallError::Failed(error.to_string())),
            value => (self.read)(value),
        }
    }
}

impl<T> std::fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The show is not there under this belief; nothing was done. Open it, or wait for who does.
    #[error("the show is not open here: {0:?}")]
    NotOpen(NotOpen),
    /// The value does not fit the library's format; nothing was sent.
    #[error("{0}: beyond what the hot store can hold")]
    TooBig(&'static str),
    /// The answer is not what this version of the library gives: another version is loaded.
    #[error("an answer that cannot be read: {0}")]
    Malformed(&'static str),
    /// The function failed. Its show is not trusted any more: it answers `NotOpen` until opened.
    #[error("the function failed: {0}")]
    Failed(String),
}

/// Why a show is not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOpen {
    /// Nobody opened it since its data was lost, or a function failed on it.
    Missing,
    /// It was opened in another incarnation of Redis.
    OtherIdentity,
    /// Its log has another epoch than the caller believes.
    OtherEpoch(Epoch),
}
