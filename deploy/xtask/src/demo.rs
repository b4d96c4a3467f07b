//! `cargo demo`: from a fresh clone to a running show. Installs and builds what is missing or
//! old, then becomes the server, so that Ctrl-C reaches it directly.

use crate::debian;
use crate::repository::Repository;
use crate::run::Runner;
use crate::web;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::thread;

const HELP: &str = "\
cargo demo [-- FLAGS OF THE SERVER]

Builds the pages and the server where they are missing or older than their sources, then starts a
demo show and prints the links to open. Ctrl-C ends it. The first start takes some minutes, the
next ones a second or two. What it installs goes into .vetrina in this clone; Debian packages only
where it may, else it prints the command to type.

  cargo demo -- --lan     HTTPS with a certificate of its own, and a QR code for a phone
  cargo demo -- --nodes 2 two nodes on a Redis and, if it is installed, a PostgreSQL of their own
";

/// Starts the demo with `flags`, which are the server's own.
pub(crate) fn main(flags: &[String]) -> Result<(), String> {
    let repository = Repository::here()?;
    let server = repository.program("vetrina")?;
    if flags.iter().any(|flag| flag == "--help" || flag == "-h") {
        println!("{HELP}");
        if !server.exists() {
            println!("Once it is built, this also lists the server's own flags.");
            return Ok(());
        }
    } else {
        let runner = Runner::terminal(&repository);
        if flags.iter().any(|flag| flag.starts_with("--nodes")) {
            debian::ensure(&runner, &[debian::REDIS])?;
        }
        build(&runner, server.exists())?;
    }
    // Becomes the server: no process of ours stands between it and the terminal.
    // Its data lies in .vetrina of this clone, wherever in the clone this was typed.
    let mut demo = Command::new(&server);
    let error = demo
        .arg("demo")
        .args(flags)
        .current_dir(repository.root())
        .exec();
    Err(format!("{} does not start: {error}", server.display()))
}

/// Brings pages and server up to date. Costs a third of a second when they are.
fn build(runner: &Runner<'_>, built_before: bool) -> Result<(), String> {
    let is_current = web::is_built(runner)?;
    if !is_current {
        runner.say("building the pages (watch, studio, ops)")?;
        // cargo fetches its packages while npm fetches its own. A failure shows in the build.
        thread::scope(|scope| {
            scope.spawn(|| runner.run_quietly("cargo", &["fetch", "--locked"]));
            web::build(runner)
        })?;
    }
    if !built_before {
        runner.say("building the server: the first time, this takes some minutes")?;
    }
    // cargo itself knows best, and quickest, whether anything changed.
    let mut cargo = runner.command("cargo")?;
    cargo.args(["build", "--locked", "--package", "vetrina"]);
    if built_before && is_current {
        cargo.arg("--quiet");
    }
    runner.run(&mut cargo)
}
