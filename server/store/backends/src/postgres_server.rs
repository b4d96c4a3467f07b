//! One PostgreSQL: in a temporary folder, on a local socket. A folder that `initdb` has filled is
//! kept and copied, so that a test waits for a start only.
//!
//! Whoever kills the test process leaves nothing behind: a shell waits on a pipe for its end, stops
//! the server by the pid in the folder, and removes the folder.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use crate::free_port;

/// The folder's guard. `$1` is the folder.
const GUARD: &str = r#"
read -r _
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ]; then
  kill -QUIT "$pid"; kill -CONT "$pid"
  while [ "$(readlink "/proc/$pid/cwd")" = "$1/data" ]; do sleep 0.02; done
fi
rm -rf "$1"
"#;
/// Who runs the server when we are root, which it refuses: nobody.
const NOBODY: &str = "65534";
const DATABASE: &str = "ledger";
/// Each server has a folder of its own for its socket, so that they do not meet.
const PORT: u16 = 5_432;

/// One running server. Dropping it ends it and removes its folder.
#[derive(Debug)]
pub struct PostgresServer {
    folder: PathBuf,
    /// Of the socket's name, and on the loopback interface when it listens there.
    port: u16,
    settings: Vec<String>,
    /// `None` while it is dead. A lock because a test that shares the world ends and starts it.
    server: Mutex<Option<Child>>,
    guard: Child,
}

impl PostgresServer {
    /// A server with an empty database. `kept` is a folder that outlives the test, like cargo's
    /// `CARGO_TARGET_TMPDIR`: what `initdb` makes is kept there.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(kept: &str) -> Self {
        let server = Self::from_template(kept);
        server.start_server();
        server
    }

    /// The same, on the loopback interface too, and there with TLS only: with this certificate and
    /// key, both PEM.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start_with_tls(kept: &str, certificate: &str, key: &str) -> Self {
        let mut server = Self::from_template(kept);
        server.port = free_port();
        let file = |name: &str, text: &str| {
            let path = server.data().join(name);
            std::fs::write(&path, text).expect("written");
            // The server refuses a key that others may read.
            let private = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&path, private).expect("set");
            path.display().to_string()
        };
        let trust = "hostssl all all 127.0.0.1/32 trust\nlocal all all trust\n";
        let settings = [
            "listen_addresses=127.0.0.1".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", file("shop.crt", certificate)),
            format!("ssl_key_file={}", file("shop.key", key)),
            format!("hba_file={}", file("shop.hba", trust)),
        ];
        server.settings.extend(settings);
        server.own_folder();
        server.start_server();
        server
    }

    fn from_template(kept: &str) -> Self {
        let template = template(Path::new(kept));
        Self::in_new_folder(&mut |data| copy(&template, data))
    }

    /// Where its empty database is for who comes by this host name, with TLS.
    #[must_use]
    pub fn tls_url(&self, host: &str) -> String {
        format!("postgres://vetrina@{host}:{}/{DATABASE}", self.port)
    }

    /// Where its empty database is.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(DATABASE)
    }

    /// Where another database of it is.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!(
            "postgres://vetrina@localhost:{}/{database}?host={}",
            self.port,
            self.folder.display()
        )
    }

    /// The power fails: nothing is written any more. The next start finds what was on disk.
    ///
    /// # Panics
    /// It does not run.
    pub fn kill_nine(&self) {
        let mut server = self.take_server().expect("it runs");
        let processes = self.processes();
        server.kill().expect("killed");
        server.wait().expect("ended");
        signal("KILL", &processes);
        // Its memory is free when its processes are gone.
        for pid in processes {
            while is_alive(pid, &self.data()) {
                std::thread::yield_now();
            }
        }
    }

    /// Starts the server on what the folder has.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_server(&self) {
        let mut command = as_nobody(&binary("postgres"));
        command.arg("-D").arg(self.data());
        command.arg("-k").arg(&self.folder);
        command.arg("-p").arg(self.port.to_string());
        for setting in [
            "shared_buffers=32MB",
            "max_connections=80",
            "max_wal_size=64MB",
            "logging_collector=off",
        ] {
            command.arg("-c").arg(setting);
        }
        if self.settings.is_empty() {
            command.args(["-c", "listen_addresses="]);
        }
        for setting in &self.settings {
            command.arg("-c").arg(setting);
        }
        let mut server = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("PostgreSQL starts");
        let mut lines = BufReader::new(server.stderr.take().expect("a pipe")).lines();
        let mut said = Vec::new();
        let ready = lines.by_ref().map_while(Result::ok).any(|line| {
            said.push(line);
            said.last()
                .is_some_and(|line| line.contains("ready to accept connections"))
        });
        assert!(ready, "PostgreSQL does not start: {}", said.join("\n"));
        // What it says later is read, so that it never waits for us.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        *self.server.lock().expect("no panic") = Some(server);
    }

    /// Stops all of its processes in the middle of what they do, or lets them go on.
    ///
    /// # Panics
    /// Signals cannot be sent.
    pub fn freeze(&self, frozen: bool) {
        signal(if frozen { "STOP" } else { "CONT" }, &self.processes());
    }

    fn take_server(&self) -> Option<Child> {
        self.server.lock().expect("no panic").take()
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// All processes that work in the folder.
    fn processes(&self) -> Vec<u32> {
        let data = self.data();
        let entries = std::fs::read_dir("/proc").expect("readable");
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter(|pid| is_alive(*pid, &data)).collect()
    }

    /// A folder with a guard, filled by `fill`.
    fn in_new_folder(fill: &mut dyn FnMut(&Path)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder").keep();
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in the terminal is not for it.
            .process_group(0)
            .spawn()
            .expect("sh starts");
        fill(&folder.join("data"));
        let server = Self {
            folder,
            port: PORT,
            settings: Vec::new(),
            server: Mutex::new(None),
            guard,
        };
        server.own_folder();
        server
    }

    /// Whoever runs the server owns its folder.
    fn own_folder(&self) {
        if is_root() {
            run(Command::new("chown").args(["-R", NOBODY]).arg(&self.folder));
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let ended = self.guard.wait();
        if let Some(mut server) = self.take_server() {
            server.wait().expect("it was ended");
        }
        assert!(ended.expect("it waits for us").success(), "a folder stays");
    }
}

/// A data folder with an empty database in it, made once per version of PostgreSQL.
fn template(kept: &Path) -> PathBuf {
    let version = Command::new(binary("postgres")).arg("--version").output();
    let mut hasher = DefaultHasher::new();
    version
        .expect("it says its version")
        .stdout
        .hash(&mut hasher);
    let template = kept.join(format!("postgres-{:016x}", hasher.finish()));
    // One process makes it, the others wait here.
    let lock = File::create(kept.join("postgres.lock")).expect("a lock file");
    lock.lock().expect("locked");
    if !template.exists() {
        make_template(&template);
    }
    template
}

fn make_template(template: &Path) {
    let server = PostgresServer::in_new_folder(&mut |_| ());
    run(as_nobody(&binary("initdb"))
        .args(["--auth=trust", "--username=vetrina", "--encoding=UTF8"])
        .args(["--locale=C", "--wal-segsize=1", "--no-sync", "-D"])
        .arg(server.data()));
    let mut made = as_nobody(&binary("postgres"))
        .args(["--single", "-D"])
        .arg(server.data())
        .arg("postgres")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("PostgreSQL starts");
    let mut words = made.stdin.take().expect("a pipe");
    writeln!(words, "CREATE DATABASE {DATABASE}").expect("it listens");
    drop(words);
    assert!(made.wait().expect("ended").success());
    let part = template.with_extension("part");
    if part.exists() {
        std::fs::remove_dir_all(&part).expect("removed");
    }
    copy(&server.data(), &part);
    std::fs::rename(part, template).expect("renamed");
}

fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-a").arg(from).arg(to));
}

/// A program of PostgreSQL: from Debian's newest version, or as the system finds it.
fn binary(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let newest = versions
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .max();
    newest.map_or_else(
        || name.into(),
        |version| format!("/usr/lib/postgresql/{version}/bin/{name}").into(),
    )
}

fn as_nobody(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
    command.args([&user, &group, "--clear-groups"]).arg(program);
    // Root's present folder may be closed to nobody.
    command.current_dir("/");
    command
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").expect("Linux").uid() == 0
}

/// The process works in this data folder.
fn is_alive(pid: u32, data: &Path) -> bool {
    std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == data)
}

fn signal(name: &str, pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string);
    // One that is gone already needs no signal.
    let sent = Command::new("kill")
        .arg(format!("-{name}"))
        .args(pids)
        .output();
    drop(sent.expect("kill starts"));
}

fn run(command: &mut Command) {
    let said = command.output();
    let said = said.unwrap_or_else(|error| {
        panic!("{command:?}: {error}; install PostgreSQL (Debian: postgresql) and util-linux")
    });
    let (out, error) = (&said.stdout, &said.stderr);
    assert!(
        said.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(error)
    );
}
