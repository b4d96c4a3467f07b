//! What nodes share besides stock and log: leases, viewers, first answers, token buckets. The
//! functions are in `functions/shared.lua`. `clock` is a test's; in production it is `None`.

use redis::Cmd;
use vetrina_core::limits::Rate;
use vetrina_protocol::time::UnixMs;

use super::wire::{array, bytes, int, text};
use super::{Call, CallError};
use crate::redis::keys::ShowKeys;

/// Who may do what only one node does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The one who asked has it.
    pub is_ours: bool,
    /// Who has it.
    pub holder: String,
    /// For how long from now on, milliseconds.
    pub left_ms: u64,
}

/// Takes or prolongs the lease `name` of a show, unless another one has it.
pub fn lease(
    keys: &ShowKeys,
    name: &str,
    holder: &str,
    lease_ms: u64,
    clock: Option<UnixMs>,
) -> Call<Lease> {
    let mut cmd = fcall("vetrina_lease", &[keys.leases()]);
    cmd.arg(name).arg(holder).arg(lease_ms);
    arg_clock(&mut cmd, clock);
    Call::new(cmd, |value| {
        let parts = array(value)?;
        let [is_ours, holder, left_ms] = parts.as_slice() else {
            return Err(CallError::Malformed("a lease"));
        };
        Ok(Lease {
            is_ours: int(is_ours)? == 1,
            holder: text(holder)?,
            left_ms: u64::try_from(int(left_ms)?).unwrap_or(0),
        })
    })
}

/// Gives a lease back. False when somebody else has it.
pub fn release_lease(keys: &ShowKeys, name: &str, holder: &str) -> Call<bool> {
    let mut cmd = fcall("vetrina_release_lease", &[keys.leases()]);
    cmd.arg(name).arg(holder);
    Call::new(cmd, |value| Ok(int(&value)? == 1))
}

/// Viewers on all nodes whose lease holds.
pub fn viewers(keys: &ShowKeys, clock: Option<UnixMs>) -> Call<u32> {
    let mut cmd = fcall("vetrina_viewers", &[keys.viewers()]);
    arg_clock(&mut cmd, clock);
    Call::new(cmd, |value| {
        u32::try_from(int(&value)?).map_err(|_| CallError::Malformed("viewers"))
    })
}

/// Keeps `answer` for `key` ([`super::super::keys::Keys::remembered`]) unless an answer is kept
/// already, which then is the result: the first answer wins. `Some` is the earlier one.
pub fn remember(key: &str, answer: &[u8], kept_ms: u64) -> Call<Option<Vec<u8>>> {
    let mut cmd = fcall("vetrina_remember", &[key]);
    cmd.arg(answer).arg(kept_ms);
    Call::new(cmd, |value| optional(&value))
}

/// The answer that is kept for `key`.
pub fn recall(key: &str) -> Call<Option<Vec<u8>>> {
    let mut cmd = redis::cmd("FCALL_RO");
    cmd.arg("vetrina_recall").arg(1).arg(key);
    Call::new(cmd, |value| optional(&value))
}

/// Takes tokens from the bucket `key` ([`super::super::keys::Keys::bucket`]), or none of them:
/// then the result is `Err` with the milliseconds until they are there. As core's `TokenBucket`.
pub fn take(key: &str, rate: Rate, tokens: u32, clock: Option<UnixMs>) -> Call<Result<(), u64>> {
    let mut cmd = fcall("vetrina_take", &[key]);
    cmd.arg(rate.burst).arg(rate.per_minute).arg(tokens);
    arg_clock(&mut cmd, clock);
    Call::new(cmd, |value| match int(&value)? {
        0 => Ok(Ok(())),
        wait_ms => {
            let wait_ms = u64::try_from(wait_ms).map_err(|_| CallError::Malformed("a wait"))?;
            Ok(Err(wait_ms))
        }
    })
}

/// A call of a function on these keys.
pub(super) fn fcall(function: &str, keys: &[&str]) -> Cmd {
    let mut cmd = redis::cmd("FCALL");
    cmd.arg(function).arg(keys.len()).arg(keys);
    cmd
}

pub(super) fn arg_clock(cmd: &mut Cmd, clock: Option<UnixMs>) {
    match clock {
        Some(clock) => cmd.arg(clock.0),
        None => cmd.arg(""),
    };
}

fn optional(value: &redis::Value) -> Result<Option<Vec<u8>>, CallError> {
    match value {
        redis::Value::Nil => Ok(None),
        value => Ok(Some(bytes(value)?.to_vec())),
    }
}
