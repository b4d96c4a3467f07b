//! The pages: what npm installs and builds, and whether that is still up to date. Knows where
//! `web-demo` keeps its sources and its result, not what is in them.

use crate::node;
use crate::run::Runner;
use crate::stamp::Stamp;
use std::ffi::OsStr;

/// Installs the packages that the lock file names, unless that is what is there.
pub(crate) fn install(runner: &Runner<'_>) -> Result<(), String> {
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
    node::ensure(runner)?;
    runner.run_in("web-demo", "npm", &["ci", "--no-audit", "--no-fund"])?;
    lock.keep()
}

/// Builds the pages, unless the last build was of just these sources.
pub(crate) fn build(runner: &Runner<'_>) -> Result<(), String> {
    let sources = Stamp::of(
        runner.repository,
        "web-build",
        &["web-demo"],
        &[],
        &is_source,
    )?;
    if sources.is_current() && runner.repository.at("web-demo/dist").is_dir() {
        return Ok(());
    }
    sources.forget()?;
    install(runner)?;
    runner.run_in("web-demo", "npm", &["run", "build"])?;
    sources.keep()
}

/// Results, installed packages and tests do not change what a build makes.
fn is_source(name: &OsStr) -> bool {
    !["node_modules", "dist", "tests", "states", "e2e"]
        .iter()
        .any(|other| name == *other)
}
