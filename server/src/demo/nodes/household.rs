//! Processes that belong together: each is waited for until it says that it is ready, all are
//! watched while they run, and ended last one first. Each has a process group of its own, so that a
//! Ctrl-C in the terminal reaches this process alone.

use std::collections::VecDeque;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::free_port;
use crate::cli::Failure;
use crate::demo::say;

/// A process that is not ready by then never will be.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// A process that has not ended by then is killed.
const ENDED_WITHIN: Duration = Duration::from_secs(20);
/// Last lines of a process, shown when it does not start.
const LINES_SHOWN: usize = 20;

/// See the module's words.
#[derive(Default)]
pub(super) struct Household {
    members: Vec<Member>,
}

struct Member {
    name: String,
    process: Child,
    /// What is typed here is typed there.
    typed: Option<ChildStdin>,
    end: Signal,
}

impl Household {
    /// Starts a process and waits until a line of it contains `ready`.
    pub(super) async fn start(
        &mut self,
        name: &str,
        command: Command,
        ready: &str,
    ) -> Result<(), Failure> {
        self.start_to_end_by(name, command, ready, Signal::TERM)
            .await
    }

    async fn start_to_end_by(
        &mut self,
        name: &str,
        mut command: Command,
        ready: &str,
        end: Signal,
    ) -> Result<(), Failure> {
        let is_node = name.starts_with("node");
        command
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        // A node's log is for the terminal; of the others only the words before a failure are.
        command.stderr(if is_node {
            Stdio::inherit()
        } else {
            Stdio::piped()
        });
        let mut process = command.spawn()?;
        let (told, mut lines) = mpsc::channel(256);
        if let Some(out) = process.stdout.take() {
            tokio::spawn(read(out, told.clone()));
        }
        if let Some(errors) = process.stderr.take() {
            tokio::spawn(read(errors, told));
        }
        let typed = process.stdin.take();
        self.members.push(Member {
            name: name.to_owned(),
            process,
            typed,
            end,
        });
        let mut last = VecDeque::new();
        let until_ready = async {
            while let Some(line) = lines.recv().await {
                let is_ready = line.contains(ready);
                if is_node {
                    say(&line)?;
                }
                last.push_back(line);
                if last.len() > LINES_SHOWN {
                    last.pop_front();
                }
                if is_ready {
                    return Ok(true);
                }
            }
            Ok::<_, Failure>(false)
        };
        let is_ready = tokio::time::timeout(READY_WITHIN, until_ready).await;
        if !matches!(is_ready, Ok(Ok(true))) {
            let last: Vec<String> = last.into();
            return Err(Failure::new(format!(
                "{name} did not start; its last words:\n  {}",
                last.join("\n  ")
            )));
        }
        // Read to the end, so that it never waits for us; a node's fresh links are shown.
        tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                if is_node && say(&line).is_err() {
                    break;
                }
            }
        });
        Ok(())
    }

    /// Starts a PostgreSQL of our own, made on the first start; gives its URL.
    pub(super) async fn postgres(
        &mut self,
        programs: &Path,
        folder: &Path,
    ) -> Result<String, Failure> {
        let (data, owner) = cluster_folder(folder)?;
        if !data.join("PG_VERSION").exists() {
            let mut initdb = as_owner(Command::new(programs.join("initdb")), owner);
            initdb
                .args(["--username", "vetrina", "--auth", "trust", "--no-locale"])
                .args(["--encoding", "UTF8", "--pgdata"])
                .arg(&data)
                .current_dir(&data);
            let made = initdb.output().await?;
            if !made.status.success() {
                let text = String::from_utf8_lossy(&made.stderr).into_owned();
                return Err(Failure::new(format!("PostgreSQL's initdb failed: {text}")));
            }
        }
        let port = free_port()?;
        let mut postgres = as_owner(Command::new(programs.join("postgres")), owner);
        postgres
            .args(["-p", &port.to_string(), "-k", "", "-h", "127.0.0.1", "-D"])
            .arg(&data)
            .current_dir(&data);
        // SIGINT is its fast shutdown; SIGTERM waits for its clients.
        let ready = "ready to accept connections";
        self.start_to_end_by("postgres", postgres, ready, Signal::INT)
            .await?;
        Ok(format!("postgres://vetrina@127.0.0.1:{port}/postgres"))
    }

    /// Until `shutdown`, or until one of them ends by itself, which is an error.
    pub(super) async fn run(
        &mut self,
        lines: &mut mpsc::Receiver<()>,
        shutdown: &CancellationToken,
    ) -> Result<(), Failure> {
        let mut look = tokio::time::interval(Duration::from_millis(200));
        let mut typing = true;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                line = lines.recv(), if typing => match line {
                    Some(()) => self.type_enter().await,
                    None => typing = false,
                },
                _ = look.tick() => self.check()?,
            }
        }
    }

    fn check(&mut self) -> Result<(), Failure> {
        for member in &mut self.members {
            if let Some(status) = member.process.try_wait()? {
                let name = &member.name;
                return Err(Failure::new(format!("{name} ended by itself: {status}")));
            }
        }
        Ok(())
    }

    async fn type_enter(&mut self) {
        for typed in self.members.iter_mut().filter_map(|m| m.typed.as_mut()) {
            // One that has ended is noticed at the next look.
            let _ = typed.write_all(b"\n").await;
        }
    }

    /// Ends all of them, the last started first.
    pub(super) async fn end(&mut self) {
        while let Some(mut member) = self.members.pop() {
            if let Some(pid) = member.process.id().and_then(|id| i32::try_from(id).ok())
                && let Some(pid) = Pid::from_raw(pid)
                && let Err(error) = kill_process(pid, member.end)
            {
                tracing::warn!(%error, name = member.name, "a process could not be asked to end");
            }
            let ended = tokio::time::timeout(ENDED_WITHIN, member.process.wait()).await;
            if ended.is_err() {
                tracing::warn!(name = member.name, "a process did not end in time: killed");
                if let Err(error) = member.process.kill().await {
                    tracing::error!(%error, name = member.name, "and could not be killed");
                }
            }
        }
    }
}

async fn read(out: impl AsyncRead + Unpin, told: mpsc::Sender<String>) {
    let mut lines = BufReader::new(out).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if told.send(line).await.is_err() {
            return;
        }
    }
}

/// Who a process runs as, when not as we do.
type Owner = Option<(u32, u32)>;

/// PostgreSQL refuses to run as root, and another user cannot enter root's folders: as root its
/// data live in /var/tmp, under the user `postgres` (or `nobody`).
fn cluster_folder(folder: &Path) -> Result<(PathBuf, Owner), Failure> {
    let ours = folder.join("postgres");
    std::fs::create_dir_all(&ours)?;
    let metadata = ours.metadata()?;
    if metadata.uid() != 0 {
        return Ok((ours, None));
    }
    let passwords = std::fs::read_to_string("/etc/passwd")?;
    let ids = |user: &str| {
        let line = passwords
            .lines()
            .find(|line| line.split(':').next() == Some(user))?;
        let mut numbers = line.split(':').skip(2);
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    };
    let owner: (u32, u32) = ids("postgres").or_else(|| ids("nobody")).ok_or_else(|| {
        Failure::new("PostgreSQL does not run as root, and there is no user postgres or nobody")
    })?;
    // One folder per clone, known by the inode of the clone's own.
    let data = PathBuf::from(format!("/var/tmp/vetrina-demo-{:x}", metadata.ino()));
    std::fs::create_dir_all(&data)?;
    chown(&data, Some(owner.0), Some(owner.1))?;
    Ok((data, Some(owner)))
}

fn as_owner(mut command: Command, owner: Owner) -> Command {
    if let Some((user, group)) = owner {
        command.uid(user).gid(group);
    }
    command
}
