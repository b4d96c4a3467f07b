//! `cargo demo`: from a fresh clone to a running show. Installs and builds what is missing or
//! old, then becomes the server, so that Ctrl-C reaches it directly.

use crate::repository::Repository;
use crate::run::Runner;
use crate::web;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Starts the demo with `flags`, which are the server's own.
pub(crate) fn main(flags: &[String]) -> Result<(), String> {
    let repository = Repository::here()?;
    let runner = Runner::terminal(&repository);
    web::build(&runner)?;
    runner.run_in("", "cargo", &["build", "--locked", "-p", "vetrina"])?;
    let server = repository.program("vetrina")?;
    let error = Command::new(&server).arg("demo").args(flags).exec();
    Err(format!("{} does not start: {error}", server.display()))
}
