//! `vetrina demo` as a process of its own, as somebody starts it in a terminal: its links are read
//! from what it prints, its log is kept.

use std::io::{BufRead as _, Read as _};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use tempfile::TempDir;

use super::SECRET;

/// See the module's words.
pub(crate) struct Demo {
    child: Child,
    /// Where viewers watch.
    pub(crate) watch: String,
    /// Where the host sells, with a code in it.
    pub(crate) studio: String,
    log: JoinHandle<std::io::Result<String>>,
    _folder: TempDir,
}

impl Demo {
    /// Started and ready, with these options beside those for free ports.
    pub(crate) fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_vetrina"));
        command.arg("demo");
        for port in ["--listen", "--ops-listen", "--sandbox-listen"] {
            command.args([port, "127.0.0.1:0"]);
        }
        let mut child = command
            .args(["--udp-port", "0", "--data-dir"])
            .arg(folder.path())
            .args(options)
            .env("VETRINA_TOKEN_SECRET", SECRET)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut log = child.stderr.take().expect("a pipe");
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            log.read_to_string(&mut text).map(|_| text)
        });
        let lines = std::io::BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (mut watch, mut studio) = (None, None);
        let mut lines = lines.map(|line| line.expect("text"));
        for line in lines.by_ref() {
            let line = line.trim();
            if let Some(link) = line.strip_prefix("watch") {
                watch = Some(link.trim().to_owned());
            }
            if let Some(link) = line.strip_prefix("studio") {
                studio = Some(link.trim().to_owned());
                break;
            }
        }
        // What it says later is read, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            watch: watch.expect("a watch link"),
            studio: studio.expect("a studio link"),
            log,
            _folder: folder,
        }
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let stop = Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status();
        assert!(stop.expect("runs").success());
    }

    /// Waits until it has ended, which it must do cleanly; gives its log.
    pub(crate) fn ended(mut self) -> String {
        let status = self.child.wait().expect("ends");
        let log = self.log.join().expect("reads").expect("text");
        assert!(status.success(), "{log}");
        log
    }
}
