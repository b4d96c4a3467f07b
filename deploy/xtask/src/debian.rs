//! Debian's packages: which are missing, and installing them when we may. Knows no other system:
//! elsewhere it says what is missing and lets the reader install it.

use crate::run::{Runner, answer};
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::Command;

/// Something to install, and how to see that it is already there.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    /// Any one of these shows that it is there: a program's name, or a path from `/`.
    pub(crate) shown_by: &'static [&'static str],
}

/// For more than one node.
pub(crate) const REDIS: Package = Package {
    name: "redis-server",
    shown_by: &["redis-server"],
};

/// Installs those of `packages` that are missing. Without the right to install, the error names
/// the one command that a person with that right types.
pub(crate) fn ensure(runner: &Runner<'_>, packages: &[Package]) -> Result<(), String> {
    let missing: Vec<&str> = packages
        .iter()
        .filter(|package| !package.shown_by.iter().any(|sign| is_there(runner, sign)))
        .map(|package| package.name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    let install = "apt-get install --yes --no-install-recommends";
    if runner.repository.find("apt-get").is_none() {
        return Err(format!(
            "missing here: {names} (Debian's names). Install them and try again"
        ));
    }
    let Some(prefix) = right_to_install(runner) else {
        return Err(format!(
            "missing here: {names}. Type this once, then try again:\n  \
             sudo apt-get update && sudo {install} {names}"
        ));
    };
    runner.say(&format!("installing Debian's {names}"))?;
    let apt_get = |arguments: &[&str]| {
        let mut words = prefix.to_vec();
        words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        words.extend(arguments);
        let mut command = runner.command(words[0])?;
        command.args(&words[1..]);
        runner.run(&mut command)
    };
    apt_get(&["update", "-qq"])?;
    let mut arguments = vec![
        "install",
        "--yes",
        "-qq",
        "-o",
        "Dpkg::Use-Pty=0",
        "--no-install-recommends",
    ];
    arguments.extend(missing);
    apt_get(&arguments)
}

/// The words to put before a command that needs root, or nothing where we may not.
fn right_to_install(runner: &Runner<'_>) -> Option<&'static [&'static str]> {
    let user = answer(Command::new("id").arg("-u"))?;
    if user == "0" {
        return Some(&[]);
    }
    runner.repository.find("sudo")?;
    if answer(Command::new("sudo").args(["-n", "true"])).is_some() {
        return Some(&["sudo", "-n"]);
    }
    // sudo asks for the password on the terminal itself, not on standard input.
    std::io::stdin().is_terminal().then_some(&["sudo"])
}

fn is_there(runner: &Runner<'_>, sign: &str) -> bool {
    if sign.starts_with('/') {
        Path::new(sign).exists()
    } else {
        runner.repository.find(sign).is_some()
    }
}
