//! Remembers what a step was last done with, so that a second start can skip it. A stamp is a
//! fingerprint of file contents (not of times: a checkout changes those), kept in `.vetrina`.

use crate::repository::{Repository, files_below, in_file};
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

/// One step's memory.
pub(crate) struct Stamp<'a> {
    repository: &'a Repository,
    name: &'static str,
    fingerprint: u64,
}

impl<'a> Stamp<'a> {
    /// The fingerprint of every file in `paths` (files or folders of the clone) and of `words`,
    /// what else the step depends on. Names for which `keep` is false are left out.
    pub(crate) fn of(
        repository: &'a Repository,
        name: &'static str,
        paths: &[&str],
        words: &[&str],
        keep: &dyn Fn(&OsStr) -> bool,
    ) -> Result<Self, String> {
        let mut hasher = DefaultHasher::new();
        words.hash(&mut hasher);
        for path in paths {
            let path = repository.at(path);
            let files = if path.is_dir() {
                files_below(&path, keep)?
            } else {
                vec![path]
            };
            for file in files {
                let inside: &Path = file.strip_prefix(repository.root()).unwrap_or(&file);
                inside.hash(&mut hasher);
                fs::read(&file)
                    .map_err(|error| in_file(&file, &error))?
                    .hash(&mut hasher);
            }
        }
        Ok(Self {
            repository,
            name,
            fingerprint: hasher.finish(),
        })
    }

    /// Whether the step was last done with just this.
    pub(crate) fn is_current(&self) -> bool {
        fs::read_to_string(self.file()).is_ok_and(|kept| kept == self.text())
    }

    /// The step is done.
    pub(crate) fn keep(&self) -> Result<(), String> {
        let folder = self.repository.local("stamps");
        fs::create_dir_all(&folder).map_err(|error| in_file(&folder, &error))?;
        fs::write(self.file(), self.text()).map_err(|error| in_file(&self.file(), &error))
    }

    /// The step is about to be done again: if it breaks off, it was not done.
    pub(crate) fn forget(&self) -> Result<(), String> {
        match fs::remove_file(self.file()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(in_file(&self.file(), &error))
            }
            _ => Ok(()),
        }
    }

    fn file(&self) -> std::path::PathBuf {
        self.repository.local("stamps").join(self.name)
    }

    fn text(&self) -> String {
        format!("{:016x}\n", self.fingerprint)
    }
}
