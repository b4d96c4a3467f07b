//! What operators want to know of a node's dealings with Redis, as it happens.

use std::time::Duration;

use vetrina_protocol::time::UnixMs;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisOutcome {
    /// Redis answered, if only that it did not do it.
    Answered,
    /// No answer in time, the connection broke, or too few replicas have it.
    Unknown,
    /// There was no connection: refused at once, or after the short wait for one.
    Away,
    /// Too many calls were under way.
    Busy,
}

/// Told what happens. It is called in the middle of things and must return at once.
pub trait RedisWatcher: Send + Sync {
    /// A call came to its end.
    fn call_ended(&self, outcome: RedisOutcome, took: Duration);

    /// A primary was connected to and is ready.
    fn connected(&self);

    /// A show that Redis did not know was built from the ledger and what this node remembers.
    fn show_built(&self, at: UnixMs, took: Duration);
}

/// Nobody watches.
impl RedisWatcher for () {
    fn call_ended(&self, _: RedisOutcome, _: Duration) {}

    fn connected(&self) {}

    fn show_built(&self, _: UnixMs, _: Duration) {}
}
