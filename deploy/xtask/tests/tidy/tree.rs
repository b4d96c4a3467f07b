//! The files of the repository: those git tracks, and those it would add. Judges nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A text file, by its path from the top of the repository.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// Whether the name ends in one of `endings`, written without the dot.
    pub(crate) fn ends_in(&self, endings: &[&str]) -> bool {
        self.path
            .rsplit_once('.')
            .is_some_and(|(_, ending)| endings.contains(&ending))
    }

    /// Whether a program wrote it: nobody shortens or documents such a file by hand.
    pub(crate) fn is_generated(&self) -> bool {
        self.path.contains("/generated/")
            || self.path.ends_with("Cargo.lock")
            || self.path.ends_with("package-lock.json")
    }
}

/// Every text file of the repository this test is in.
pub(crate) fn read() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(&root)
        .output()
        .expect("git runs");
    assert!(
        listed.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let names = String::from_utf8(listed.stdout).expect("file names are UTF-8");
    names
        .split_terminator('\0')
        .filter_map(|name| file(&root, name))
        .collect()
}

/// A file that was deleted but is still in the index, a link or a picture is no text file.
fn file(root: &Path, name: &str) -> Option<File> {
    let path: PathBuf = root.join(name);
    if !path.is_file() || path.is_symlink() {
        return None;
    }
    let bytes = std::fs::read(&path).expect("a listed file can be read");
    Some(File {
        path: name.to_owned(),
        text: String::from_utf8(bytes).ok()?,
    })
}
