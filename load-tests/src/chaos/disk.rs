//! A disk that is full under Redis: a small file system of its own, onto which the primary writes
//! its append-only file, is filled to the last byte, and emptied again.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use redis::cmd;

use super::faults::Seen;
use super::redis::{failed_over, group};
use crate::stack::redis::RedisServer;
use crate::stack::{Stack, StackError};

/// How often Redis flushes its file to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flush {
    EverySecond,
    Always,
}

/// Room for a show, and little more.
const SIZE: &str = "size=4m";
/// The disk stays full for this long.
const FULL: Duration = Duration::from_secs(5);
const READY_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const CHUNK: [u8; 4096] = [0; 4096];

/// Mounted as long as it lives.
struct Disk {
    folder: PathBuf,
}

impl Disk {
    fn mount(folder: PathBuf) -> Result<Self, StackError> {
        std::fs::create_dir_all(&folder)?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZE, "tmpfs"])
            .arg(&folder)
            .status()?;
        if !mounted.success() {
            let advice = "a disk of 4 MB: `mount` needs root, run this command as root";
            return Err(StackError::Silent(advice));
        }
        Ok(Self { folder })
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }

    /// Writes until nothing more fits.
    fn fill(&self) -> Result<(), StackError> {
        let mut filler = File::create(self.filler())?;
        while filler.write_all(&CHUNK).is_ok() {}
        while filler.write_all(&CHUNK[..1]).is_ok() {}
        Ok(())
    }

    fn empty(&self) -> Result<(), StackError> {
        Ok(std::fs::remove_file(self.filler())?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: Redis may still have its file open.
        let unmounted = Command::new("umount").arg("-l").arg(&self.folder).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            let folder = self.folder.display();
            eprintln!("{folder} could not be unmounted: do it with `umount`");
        }
    }
}

pub(super) async fn full(stack: &mut Stack, flush: Flush) -> Result<Seen, StackError> {
    let before = stack.largest_node_mb();
    let folder = stack.folder().to_owned();
    let disk = Disk::mount(folder.join("disk"))?;
    let group = group(stack)?;
    let policy = match flush {
        Flush::EverySecond => "everysec",
        Flush::Always => "always",
    };
    write_onto(group.primary(), &disk.folder, policy).await?;
    disk.fill()?;
    let began = Instant::now();
    let seen = match flush {
        Flush::EverySecond => {
            let refused = refuses(group.primary()).await?;
            tokio::time::sleep_until((began + FULL).into()).await;
            disk.empty()?;
            let healed = Instant::now();
            while !accepts(group.primary()).await? && healed.elapsed() < READY_WITHIN {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            set(group.primary(), "appendonly", "no").await?;
            set(group.primary(), "dir", &folder.to_string_lossy()).await?;
            let text = format!(
                "Redis refused writes after {} ms and took them again {} ms after there was room",
                refused.as_millis(),
                healed.elapsed().as_millis()
            );
            (refused < FULL, text)
        }
        Flush::Always => {
            while group.primary_mut().process.still_runs().is_ok() && began.elapsed() < FULL {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            let ended = began.elapsed();
            if ended < FULL {
                let text = failed_over(group).await?;
                (
                    true,
                    format!("Redis ended after {} ms; {text}", ended.as_millis()),
                )
            } else {
                disk.empty()?;
                (false, "Redis went on".to_owned())
            }
        }
    };
    let (real, text) = seen;
    let grown = stack.largest_node_mb() - before;
    Ok(Seen {
        must_refuse: true,
        ..Seen::new(
            real,
            format!("{text}; the larger node grew by {grown:.0} MB"),
        )
    })
}

async fn set(server: &RedisServer, name: &str, value: &str) -> Result<(), StackError> {
    let mut set = cmd("CONFIG");
    server.ask(set.arg("SET").arg(name).arg(value)).await
}

/// From now on every write goes onto the disk, too.
async fn write_onto(server: &RedisServer, folder: &Path, policy: &str) -> Result<(), StackError> {
    set(server, "dir", &folder.to_string_lossy()).await?;
    set(server, "appendfsync", policy).await?;
    set(server, "appendonly", "yes").await?;
    let deadline = Instant::now() + READY_WITHIN;
    while server
        .info("persistence", "aof_rewrite_in_progress")
        .await?
        != "0"
        || server.info("persistence", "aof_rewrite_scheduled").await? != "0"
    {
        if Instant::now() > deadline {
            return Err(StackError::Silent("Redis: its file is not written"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

async fn accepts(server: &RedisServer) -> Result<bool, StackError> {
    Ok(server.info("persistence", "aof_last_write_status").await? == "ok")
}

/// How long until Redis refuses writes.
async fn refuses(server: &RedisServer) -> Result<Duration, StackError> {
    let began = Instant::now();
    while accepts(server).await? && began.elapsed() < FULL {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(began.elapsed())
}
