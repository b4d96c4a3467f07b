//! `cargo demo` and `cargo verify`: what a fresh clone needs, done in the right order.
//!
//! Uses the standard library alone, so that it compiles in seconds on a cold machine, and knows
//! nothing of what Vetrina does: it installs, builds, starts and tests.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program"
)]

mod autobahn;
mod debian;
mod demo;
mod fuzz;
mod metrics;
mod node;
mod peers;
mod python;
mod repository;
mod run;
mod stages;
mod stamp;
mod verify;
mod web;

use std::process::ExitCode;

const HELP: &str = "\
Vetrina's two commands, typed anywhere in a clone:

  cargo demo              installs what is missing, builds, starts a demo show, prints its links
  cargo demo -- --lan     the same for a phone on the same network (HTTPS and a QR code)
  cargo demo -- --help    what else the demo takes
  cargo verify            every check of this repository, in order, with its time
  cargo verify -- --list  the stages, and how to run one of them alone
  cargo xtask peers       installs the servers that `vetrina-load channel --peer` measures too
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    // cargo hands on the `--` of `cargo demo -- --lan`.
    let rest: Vec<String> = arguments
        .enumerate()
        .filter(|(at, word)| *at > 0 || word != "--")
        .map(|(_, word)| word)
        .collect();
    let outcome = match command.as_str() {
        "demo" => demo::main(&rest),
        "verify" => verify::main(&rest),
        "peers" => peers::main(),
        "help" | "--help" | "-h" | "" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("there is no `{other}` here\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
