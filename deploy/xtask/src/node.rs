//! Node.js and npm: the system's where they are new enough, else npm's own packages of them in a
//! folder of the clone. Knows nothing of what they will build.

use crate::debian::{self, Package};
use crate::run::{Runner, answer};
use std::fs;

/// What Vite asks for.
const OLDEST_NODE: (u32, u32) = (20, 19);
const OLDEST_NPM: (u32, u32) = (11, 0);
/// What is installed where the system's is older. `npm 10` cannot install the bundler's parts.
const NODE_TO_INSTALL: &str = "22";
const NPM_TO_INSTALL: &str = "npm@11.19";

/// Makes sure that `node` and `npm` on the runner's search path are new enough.
pub(crate) fn ensure(runner: &Runner<'_>) -> Result<(), String> {
    let node = version(runner, "node");
    let npm = version(runner, "npm");
    if node >= Some(OLDEST_NODE) && npm >= Some(OLDEST_NPM) {
        return Ok(());
    }
    let found = |name: &str, version: Option<(u32, u32)>| match version {
        Some((major, minor)) => format!("{name} {major}.{minor}"),
        None => format!("no {name}"),
    };
    runner.say(&format!(
        "found {} and {}; the pages need Node >= {}.{} and npm >= {}: installing them into \
         .vetrina/node",
        found("Node", node),
        found("npm", npm),
        OLDEST_NODE.0,
        OLDEST_NODE.1,
        OLDEST_NPM.0,
    ))?;
    if npm.is_none() {
        debian::ensure(
            runner,
            &[Package {
                name: "npm",
                shown_by: &["npm"],
            }],
        )?;
    }
    install(runner, node < Some(OLDEST_NODE), npm < Some(OLDEST_NPM))?;
    match version(runner, "node") {
        now if now >= Some(OLDEST_NODE) => Ok(()),
        now => Err(format!(
            "Node was installed into .vetrina/node, yet I find {}",
            found("", now)
        )),
    }
}

/// npm's `node` package only fetches the one below for this machine, by an install script that
/// newer versions of npm ask about first. So it is named here.
fn install(runner: &Runner<'_>, node: bool, npm: bool) -> Result<(), String> {
    let machine = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => {
            return Err(format!(
                "npm has no Node for {other}: install Node >= 20.19 yourself"
            ));
        }
    };
    let folder = runner.repository.local("node");
    fs::create_dir_all(&folder).map_err(|error| crate::repository::in_file(&folder, &error))?;
    let mut command = runner.command("npm")?;
    command.args([
        "install",
        "--no-audit",
        "--no-fund",
        "--no-save",
        "--prefix",
    ]);
    command.arg(&folder);
    command.args(node.then(|| format!("node-linux-{machine}@{NODE_TO_INSTALL}")));
    command.args(npm.then_some(NPM_TO_INSTALL));
    runner.run(&mut command)
}

fn version(runner: &Runner<'_>, program: &str) -> Option<(u32, u32)> {
    let mut command = runner.command(program).ok()?;
    parse(&answer(command.arg("--version"))?)
}

fn parse(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(parse("v20.20.2"), Some((20, 20)));
        assert!(parse("v20.9.1") < Some(OLDEST_NODE));
        assert!(parse("v18.20.4") < Some(OLDEST_NODE));
        assert!(parse("v22.3.0") > Some(OLDEST_NODE));
        assert_eq!(parse("not a version"), None);
        assert!(None < Some(OLDEST_NODE));
    }
}
