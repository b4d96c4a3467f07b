//! Where things are in a clone. Knows paths, runs nothing.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// One clone of Vetrina on this machine.
pub(crate) struct Repository {
    root: PathBuf,
}

impl Repository {
    /// The clone this very program was built in.
    pub(crate) fn here() -> Result<Self, String> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .ancestors()
            .nth(2)
            .ok_or("deploy/xtask lies in no repository")?;
        Ok(Self {
            root: root.to_path_buf(),
        })
    }

    /// The top of the clone.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside the clone.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A path inside `.vetrina`: what these commands installed or remember, never committed.
    pub(crate) fn local(&self, path: &str) -> PathBuf {
        self.root.join(".vetrina").join(path)
    }

    /// The program that a dev build of `name` leaves behind: cargo puts it beside this one.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf, String> {
        let own = env::current_exe().map_err(|error| format!("where am I: {error}"))?;
        let folder = own.parent().ok_or("this program lies in no folder")?;
        Ok(folder.join(name))
    }

    /// The search path for programs: what was installed into the clone comes first.
    pub(crate) fn path(&self) -> Result<OsString, String> {
        let local = [
            "node/node_modules/.bin",
            "venv/bin",
            "autobahn/bin",
            "cargo/bin",
        ]
        .map(|folder| self.local(folder));
        let inherited = env::var_os("PATH").unwrap_or_default();
        // Debian keeps its servers where an ordinary user's PATH does not look.
        let servers = ["/usr/sbin", "/sbin"].map(PathBuf::from);
        env::join_paths(
            local
                .into_iter()
                .chain(env::split_paths(&inherited))
                .chain(servers),
        )
        .map_err(|error| format!("PATH: {error}"))
    }

    /// The first program of that name on the search path.
    pub(crate) fn find(&self, name: &str) -> Option<PathBuf> {
        let path = self.path().ok()?;
        env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|file| is_program(file))
    }
}

/// Every file below `folder` that `keep` lets through, sorted, so that two runs see one order.
/// `keep` is asked about folders too, by their name.
pub(crate) fn files_below(
    folder: &Path,
    keep: &dyn Fn(&OsStr) -> bool,
) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| in_file(&folder, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| in_file(&folder, &error))?;
            let kind = entry
                .file_type()
                .map_err(|error| in_file(&entry.path(), &error))?;
            match keep(&entry.file_name()) {
                true if kind.is_dir() => folders.push(entry.path()),
                true if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The sentence for an input or output error, with the file it happened to.
pub(crate) fn in_file(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(file).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
