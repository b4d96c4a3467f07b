//! `wstest`, the fuzzing client of Autobahn's test suite: what WebSocket servers are measured by.
//! It is written for Python 2.7, which no current system has; Debian's archive still holds one.
//! It goes into `.vetrina/autobahn`, unpacked and not installed: the system's packages and its list
//! of archives stay as they are. Knows nothing of what is tested.

use crate::python;
use crate::repository::in_file;
use crate::run::{Runner, answer};
use crate::stamp::Stamp;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const REQUIREMENTS: &str = "deploy/xtask/autobahn.txt";
/// The last of Debian's releases with a Python 2.7, and its packages.
const RELEASE: &str = "bullseye";
const PACKAGES: &[&str] = &[
    "python2.7-minimal",
    "libpython2.7-minimal",
    "libpython2.7-stdlib",
    // For pip: to fetch, and to see which binary packages fit.
    "libssl1.1",
    "libffi7",
];
/// The last versions that install packages for it.
const INSTALLERS: &[&str] = &["pip==20.3.4", "setuptools==44.1.1", "wheel==0.37.1"];

/// `$here` is `.vetrina/autobahn`.
const WSTEST: &str = r#"#!/bin/sh
# Written by `cargo verify`: wstest with the Python that it needs.
here=$(cd "$(dirname "$0")/.." && pwd)
export LD_LIBRARY_PATH="$here/root/usr/lib/x86_64-linux-gnu"
exec "$here/root/usr/bin/python2.7" -W ignore "$here/root/usr/local/bin/wstest" "$@"
"#;

/// Makes sure that there is a `wstest` to call.
///
/// # Errors
/// Why it cannot be had here.
pub(crate) fn ensure(runner: &Runner<'_>) -> Result<(), String> {
    let repository = runner.repository;
    let paths = [REQUIREMENTS, "deploy/xtask/src/autobahn.rs"];
    let stamp = Stamp::of(repository, "autobahn", &paths, &[], &|_| true)?;
    let folder = repository.local("autobahn");
    let ours = folder.join("bin/wstest");
    if stamp.is_current() && ours.exists() {
        return Ok(());
    }
    stamp.forget()?;
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| in_file(&folder, &error))?;
    }
    // Somebody who has one of his own may use it.
    if repository.find("wstest").is_some() {
        return Ok(());
    }
    if std::env::consts::ARCH != "x86_64" {
        return Err("Autobahn's Python packages are there for x86-64 only".into());
    }
    unpack_python(runner, &folder)?;
    install(runner, &folder)?;
    write(&ours, WSTEST)?;
    fs::set_permissions(&ours, fs::Permissions::from_mode(0o755))
        .map_err(|error| in_file(&ours, &error))?;
    let mut version = runner.command("wstest")?;
    runner.run(version.arg("--autobahnversion"))?;
    stamp.keep()
}

/// Debian's Python 2.7 below `root`. apt-get checks the archive's signatures, in lists of our own.
fn unpack_python(runner: &Runner<'_>, folder: &Path) -> Result<(), String> {
    let archive = archive(runner)?;
    let sources = folder.join("sources.list");
    let keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
    write(
        &sources,
        &format!("deb [signed-by={keys}] {archive} {RELEASE} main\n"),
    )?;
    let packages = folder.join("packages");
    for below in ["lists/partial", "cache/archives/partial", "packages"] {
        let below = folder.join(below);
        fs::create_dir_all(&below).map_err(|error| in_file(&below, &error))?;
    }
    let options = [
        format!("Dir::Etc::sourcelist={}", sources.display()),
        "Dir::Etc::sourceparts=/dev/null".into(),
        format!("Dir::State::lists={}", folder.join("lists").display()),
        format!("Dir::Cache={}", folder.join("cache").display()),
        "Acquire::Languages=none".into(),
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
        // Else apt-get warns that its own user may not write here.
        "APT::Sandbox::User=".into(),
    ];
    let apt_get = |words: &[&str]| {
        let mut command = runner.command("apt-get")?;
        command.arg("-qq").current_dir(&packages);
        for option in &options {
            command.args(["-o", option]);
        }
        runner.run(command.args(words))
    };
    apt_get(&["update"])?;
    apt_get(&[&["download"], PACKAGES].concat())?;
    let entries = fs::read_dir(&packages).map_err(|error| in_file(&packages, &error))?;
    for entry in entries {
        let package = entry.map_err(|error| in_file(&packages, &error))?.path();
        let mut unpack = runner.command("dpkg-deb")?;
        unpack.arg("-x").arg(&package).arg(folder.join("root"));
        runner.run(&mut unpack)?;
    }
    for below in ["lists", "cache", "packages"] {
        let below = folder.join(below);
        fs::remove_dir_all(&below).map_err(|error| in_file(&below, &error))?;
    }
    Ok(())
}

/// Debian's archive as this system names it.
fn archive(runner: &Runner<'_>) -> Result<String, String> {
    let mut list = runner.command("apt-get")?;
    list.args(["indextargets", "--format", "$(ORIGIN) $(REPO_URI)"]);
    answer(&mut list)
        .and_then(|listed| {
            let mut lines = listed.lines();
            lines.find_map(|line| {
                let uri = line.strip_prefix("Debian ")?;
                (!uri.contains("security")).then(|| uri.to_owned())
            })
        })
        .ok_or_else(|| {
            "its Python 2.7 comes from Debian's archive, and apt knows none here \
             (after `apt-get update` it may)"
                .into()
        })
}

/// The requirements, by a pip that still speaks to that Python. Today's pip fetches that pip.
fn install(runner: &Runner<'_>, folder: &Path) -> Result<(), String> {
    python::ensure(runner)?;
    let installers = folder.join("installers");
    let mut fetch = runner.command("python")?;
    fetch.args(["-m", "pip", "install", "--quiet", "--no-deps"]);
    fetch.args(["--disable-pip-version-check", "--only-binary=:all:"]);
    fetch.args(["--python-version", "2.7", "--implementation", "py"]);
    fetch.args(["--abi", "none", "--platform", "any", "--no-compile"]);
    fetch.arg("--target").arg(&installers).args(INSTALLERS);
    runner.run(&mut fetch)?;
    let mut install = runner.command(&folder.join("root/usr/bin/python2.7").to_string_lossy())?;
    install
        .env("PYTHONPATH", &installers)
        .env(
            "LD_LIBRARY_PATH",
            folder.join("root/usr/lib/x86_64-linux-gnu"),
        )
        // It says in many words that it is old.
        .env("PIP_NO_PYTHON_VERSION_WARNING", "1");
    install.args(["-W", "ignore", "-m", "pip", "install", "--quiet"]);
    // Those that install are not those that stay.
    install.args(["--ignore-installed", "--no-deps", "--no-build-isolation"]);
    install.arg("--no-warn-script-location");
    install.args(["--disable-pip-version-check", "-r", REQUIREMENTS]);
    runner.run(&mut install)
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(|error| in_file(folder, &error))?;
    }
    fs::write(file, text).map_err(|error| in_file(file, &error))
}
