//! Python tools in an environment of the clone's own, `.vetrina/venv`, never the system's. Their
//! versions are pinned in one file. Knows nothing of what they test.

use crate::debian::{self, Package};
use crate::run::Runner;
use crate::stamp::Stamp;

const REQUIREMENTS: &str = "deploy/xtask/requirements.txt";

/// Makes sure that `.vetrina/venv` holds what the requirements file names.
pub(crate) fn ensure(runner: &Runner<'_>) -> Result<(), String> {
    let repository = runner.repository;
    let stamp = Stamp::of(repository, "venv", &[REQUIREMENTS], &[], &|_| true)?;
    if stamp.is_current() && repository.local("venv/bin/python").exists() {
        return Ok(());
    }
    stamp.forget()?;
    debian::ensure(
        runner,
        &[
            Package {
                name: "python3",
                shown_by: &["python3"],
            },
            Package {
                name: "python3-venv",
                shown_by: &["/usr/share/doc/python3-venv"],
            },
        ],
    )?;
    let folder = repository.local("venv");
    // Debian's own Python, where it is there: its venv module is the one just made sure of.
    let debians = std::path::Path::new("/usr/bin/python3");
    let python = if debians.exists() {
        "/usr/bin/python3"
    } else {
        "python3"
    };
    let mut create = runner.command(python)?;
    create.args(["-m", "venv", "--clear"]).arg(&folder);
    runner.run(&mut create)?;
    let requirements = [
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
        REQUIREMENTS,
    ];
    let mut install = runner.command(&folder.join("bin/pip").to_string_lossy())?;
    runner.run(install.args(requirements))?;
    stamp.keep()
}
