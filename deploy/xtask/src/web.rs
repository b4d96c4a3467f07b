//! The pages: what npm installs and builds, and whether that is still up to date. Knows where
//! `web-demo` keeps its sources and its result, not what is in them.

use crate::node;
use crate::run::Runner;
use crate::stamp::Stamp;
use std::ffi::OsStr;

/// Installs the packages that the lock file names, unless that is what is there.
pub(crate) fn install(runner: &Runner<'_>) -> Result<(), String> {
    node::ensure(runner)?;
    let lock = Stamp::of(
        runner.repository,
        "npm-ci",
        &["web-demo/package.json", "web-demo/package-lock.json"],
        &[],
        &|_| true,
    )?;
    if lock.is_current() && runner.repository.at("web-demo/node_modules").is_dir() {
        return Ok(());
    }
    lock.forget()?;
    runner.run_in("web-demo", "npm", &["ci", "--no-audit", "--no-fund"])?;
    lock.keep()
}

/// Whether the pages that are there were built from just these sources.
pub(crate) fn is_built(runner: &Runner<'_>) -> Result<bool, String> {
    Ok(sources(runner)?.is_current()
        && runner
            .repository
            .at("web-demo/dist/watch/index.html")
            .is_file())
}

/// Builds the pages, unless that is done.
pub(crate) fn build(runner: &Runner<'_>) -> Result<(), String> {
    if is_built(runner)? {
        return Ok(());
    }
    let sources = sources(runner)?;
    sources.forget()?;
    install(runner)?;
    runner.run_in("web-demo", "npm", &["run", "build"])?;
    sources.keep()
}

fn sources<'a>(runner: &Runner<'a>) -> Result<Stamp<'a>, String> {
    Stamp::of(
        runner.repository,
        "web-build",
        &["web-demo"],
        &[],
        &is_source,
    )
}

/// Results, installed packages and tests do not change what a build makes.
fn is_source(name: &OsStr) -> bool {
    !["node_modules", "dist", "tests", "states", "e2e"]
        .iter()
        .any(|other| name == *other)
}
