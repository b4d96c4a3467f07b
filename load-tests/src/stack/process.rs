//! One process of ours: how it is started, which signals it gets, and that it ends with us. What it
//! says goes into a file of the installation's folder.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::StackError;
use crate::cores::on_cores;

/// A process that was asked to end has this long before it is killed.
const END_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Of its log, when it ended by itself.
const LAST_LINES: usize = 5;

/// How a process is started, again and again.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    /// Unique in the installation; its log is `<name>.log`.
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) variables: Vec<(&'static str, String)>,
    /// Runs as this user and group, when it must not be root.
    pub(crate) user: Option<u32>,
    /// Where its log goes.
    pub(crate) folder: PathBuf,
    /// What to do when there is no such program.
    pub(crate) advice: &'static str,
    /// How it ends with its children; without it by SIGKILL.
    pub(crate) ends_by: Option<Signal>,
    /// The cores it may use; none named: all.
    pub(crate) cores: Vec<usize>,
}

impl Recipe {
    /// A recipe without arguments.
    pub(crate) fn new(name: impl Into<String>, program: impl Into<PathBuf>, folder: &Path) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            arguments: Vec::new(),
            variables: Vec::new(),
            user: None,
            folder: folder.to_owned(),
            advice: "install it",
            ends_by: None,
            cores: Vec::new(),
        }
    }

    /// Further arguments.
    pub(crate) fn with<A: Into<OsString>>(
        mut self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// The command, ready to be run in whatever way.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        // A terminal's Ctrl-C is for us: we end our processes in order.
        command.process_group(0);
        if let Some(user) = self.user {
            command.uid(user).gid(user).current_dir(&self.folder);
        }
        command
    }

    /// Runs it to its end and gives what it printed; killed when nobody waits any more.
    pub(crate) async fn said(&self) -> Result<String, StackError> {
        let mut command = tokio::process::Command::from(self.command());
        let output = command.kill_on_drop(true).output().await;
        let output = output.map_err(|error| self.missing(error))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(StackError::Ended(self.name.clone(), output.status, said));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Starts it.
    pub(crate) fn start(self) -> Result<Process, StackError> {
        let child = self.spawn()?;
        Ok(Process {
            recipe: self,
            child,
        })
    }

    fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    fn spawn(&self) -> Result<Child, StackError> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())?;
        let mut command = self.command();
        command.stdout(log.try_clone()?).stderr(log);
        on_cores(&self.cores, || command.spawn()).map_err(|error| self.missing(error))
    }

    fn missing(&self, error: std::io::Error) -> StackError {
        StackError::Start(self.program.clone(), error, self.advice)
    }
}

/// A running process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) recipe: Recipe,
    child: Child,
}

impl Process {
    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Result<(), StackError> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Its id, to see in /proc what it costs.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGSTOP: it stands still and its sockets stay open.
    pub(crate) fn pause(&self) -> Result<(), StackError> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) -> Result<(), StackError> {
        self.signal(Signal::CONT)
    }

    /// Starts it again after it ended, as it was started first.
    pub(crate) fn start_again(&mut self) -> Result<(), StackError> {
        self.child = self.recipe.spawn()?;
        Ok(())
    }

    /// An error with its last words when it is not running any more.
    pub(crate) fn still_runs(&mut self) -> Result<(), StackError> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        let log = std::fs::read_to_string(self.recipe.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
        Err(StackError::Ended(self.recipe.name.clone(), status, last))
    }

    /// Resident memory now, in megabytes; 0 where it cannot be read.
    pub(crate) fn resident_mb(&self) -> f64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kilobytes.unwrap_or(0.0) / 1024.0
    }

    fn signal(&self, signal: Signal) -> Result<(), StackError> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let id = id.ok_or_else(|| std::io::Error::other("a process without an id"))?;
        Ok(kill_process(id, signal).map_err(std::io::Error::from)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let deadline = Instant::now() + END_WITHIN;
        if let Some(signal) = self.recipe.ends_by
            && self.signal(signal).is_ok()
        {
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(LOOK_EVERY);
            }
        }
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a process ended, in words.
pub(crate) fn ending(status: ExitStatus) -> String {
    status
        .signal()
        .map_or_else(|| status.to_string(), |signal| format!("signal {signal}"))
}
