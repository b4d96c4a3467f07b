//! Faults of Redis. What got lost is seen in keys of our own that were acknowledged, in the number
//! of keys and in what Redis says of itself, never in what the server says.

use std::time::{Duration, Instant};

use redis::cmd;

use super::faults::{Saboteur, Seen};
use crate::stack::redis::RedisGroup;
use crate::stack::{Stack, StackError};

/// Redis stands still for this long.
pub(super) const STALL: Duration = Duration::from_secs(5);
/// While it does, the sentinels wait.
const PATIENCE_MS: u64 = 60_000;
/// The replica is cut off for this long before its primary dies.
const BEHIND: Duration = Duration::from_millis(1_500);
/// Writes of ours in that time: big, so that no buffer holds what should be lost.
const MARKS: u32 = 60;
const MARK_BYTES: usize = 16 << 10;
const MARK: &str = "chaos:mark:";
const PROMOTED_WITHIN: Duration = Duration::from_secs(20);
const BACK_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(super) fn group(stack: &mut Stack) -> Result<&mut RedisGroup, StackError> {
    let group = stack.group.as_mut();
    group.ok_or(StackError::Silent("Redis: there is no group"))
}

async fn keys(group: &RedisGroup) -> Result<u64, StackError> {
    group.primary().ask(&cmd("DBSIZE")).await
}

/// How long until there are keys again: the nodes have rebuilt something.
async fn back(group: &RedisGroup) -> Result<String, StackError> {
    let began = Instant::now();
    while began.elapsed() < BACK_WITHIN {
        if keys(group).await? > 0 {
            let after = began.elapsed().as_millis();
            return Ok(format!("the first were back after {after} ms"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(format!("none came back within {} s", BACK_WITHIN.as_secs()))
}

/// FLUSHALL; gives how many keys there were.
pub(super) async fn forget(stack: &mut Stack) -> Result<u64, StackError> {
    let group = group(stack)?;
    let before = keys(group).await?;
    let _: () = group.primary().ask(&cmd("FLUSHALL")).await?;
    Ok(before)
}

pub(super) async fn flush(stack: &mut Stack) -> Result<Seen, StackError> {
    let before = forget(stack).await?;
    let text = format!("{before} keys lost, {}", back(group(stack)?).await?);
    Ok(Seen::new(before > 0, text))
}

pub(super) async fn kill_primary(stack: &mut Stack) -> Result<Seen, StackError> {
    let group = group(stack)?;
    group.primary_mut().process.kill()?;
    let text = failed_over(group).await?;
    Ok(Seen {
        must_refuse: true,
        ..Seen::new(true, text)
    })
}

/// The primary has gone: waits for another one, and starts the old one as its replica.
pub(super) async fn failed_over(group: &mut RedisGroup) -> Result<String, StackError> {
    let promoted = group.promoted(PROMOTED_WITHIN).await?;
    group.start_old().await?;
    group.settled().await?;
    Ok(format!("promoted after {} ms", promoted.as_millis()))
}

pub(super) async fn empty_restart(stack: &mut Stack) -> Result<Seen, StackError> {
    let group = group(stack)?;
    let before = keys(group).await?;
    let identity = group.primary().info("server", "run_id").await?;
    let began = Instant::now();
    group.primary_mut().crash().await?;
    let away = began.elapsed().as_millis();
    let changed = group.primary().info("server", "run_id").await? != identity;
    let text = format!(
        "away for {away} ms, identity {}, {before} keys lost, {}",
        if changed { "changed" } else { "the same" },
        back(group).await?
    );
    group.settled().await?;
    Ok(Seen::new(changed && before > 0, text))
}

pub(super) async fn stall(stack: &mut Stack) -> Result<Seen, StackError> {
    let before = stack.largest_node_mb();
    let group = group(stack)?;
    group.patience(Some(PATIENCE_MS)).await?;
    group.primary().process.pause()?;
    tokio::time::sleep(STALL).await;
    group.primary().process.resume()?;
    group.patience(None).await?;
    let grown = stack.largest_node_mb() - before;
    let text = format!(
        "it stood still for {} s; the larger node grew by {grown:.0} MB",
        STALL.as_secs()
    );
    Ok(Seen {
        must_refuse: true,
        ..Seen::new(true, text)
    })
}

pub(super) async fn stale_replica(saboteur: &mut Saboteur<'_>) -> Result<Seen, StackError> {
    group(saboteur.stack)?.replicate(false).await?;
    let value = "x".repeat(MARK_BYTES);
    let mut acknowledged = 0_u32;
    for n in 0..MARKS {
        let group = group(saboteur.stack)?;
        let mut set = cmd("SET");
        set.arg(format!("{MARK}{n}")).arg(&value);
        let set: Result<(), _> = group.primary().ask(&set).await;
        acknowledged += u32::from(set.is_ok());
        tokio::time::sleep(BEHIND / MARKS).await;
    }
    // The sale went on meanwhile; the primary dies in the next rush.
    saboteur.rush().await;
    let group = group(saboteur.stack)?;
    let ahead = position(group, true).await? - position(group, false).await?;
    group.primary_mut().process.kill()?;
    let promoted = group.promoted(PROMOTED_WITHIN).await?;
    let mut kept = cmd("EXISTS");
    for n in 0..MARKS {
        kept.arg(format!("{MARK}{n}"));
    }
    let kept: u32 = group.primary().ask(&kept).await?;
    let old = group.replica().port;
    group.start_old().await?;
    group.settled().await?;
    let lost = acknowledged - kept;
    let text = format!(
        "promoted after {} ms; {lost} of {acknowledged} writes of ours that Redis had acknowledged \
         are lost, {ahead} bytes of its stream in all; port {old} is its replica now",
        promoted.as_millis()
    );
    Ok(Seen::new(lost > 0, text))
}

/// How far the replication stream came, at the primary or at the replica.
async fn position(group: &RedisGroup, primary: bool) -> Result<i64, StackError> {
    let server = if primary {
        group.primary()
    } else {
        group.replica()
    };
    let text = server.info("replication", "master_repl_offset").await?;
    Ok(text.parse().unwrap_or(0))
}

pub(super) async fn two_primaries(stack: &mut Stack) -> Result<Seen, StackError> {
    let group = group(stack)?;
    group.primary().process.pause()?;
    let promoted = group.promoted(PROMOTED_WITHIN).await;
    // Healed in any case: a Redis that stands still hinders every later fault.
    let old = if promoted.is_ok() {
        group.replica()
    } else {
        group.primary()
    };
    old.process.resume()?;
    let promoted = promoted?;
    let began = Instant::now();
    while began.elapsed() < BACK_WITHIN {
        // It closes all connections when it becomes a replica.
        let role = old.info("replication", "role").await;
        if role.is_ok_and(|role| role != "master") {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let both = began.elapsed().as_millis();
    group.settled().await?;
    let text = format!(
        "promoted after {} ms; two primaries for {both} ms",
        promoted.as_millis()
    );
    Ok(Seen::new(true, text))
}
