//! libFuzzer on what the server reads from clients (`protocol/fuzz`): a minute for each target.
//! What it found interesting stays in `.vetrina/fuzz`, so that the next run goes on from there.
//! Knows nothing of what is fuzzed.

use crate::repository::in_file;
use crate::run::Runner;
use std::fs;

/// What runs the targets, and builds them with coverage and the address sanitizer.
const CARGO_FUZZ: &str = "0.13.2";
const TARGETS: &[&str] = &[
    "hello_msgpack",
    "hello_json",
    "commands_msgpack",
    "commands_json",
];
const LIMITS: &[&str] = &[
    "-max_total_time=60",
    // A byte more than the longest frame that the server takes in.
    "-max_len=65537",
    "-timeout=10",
    "-rss_limit_mb=1024",
    "-print_final_stats=1",
    // Its progress is of no interest; what it finds is.
    "-verbosity=0",
];

/// Runs every target; a frame that breaks a promise is an error, and is kept.
pub(crate) fn run(runner: &Runner<'_>) -> Result<(), String> {
    let repository = runner.repository;
    if repository.find("cargo-fuzz").is_none() {
        let root = repository.local("cargo");
        let mut install = runner.command("cargo")?;
        install.args(["install", "--quiet", "--locked", "--version", CARGO_FUZZ]);
        install.arg("--root").arg(&root).arg("cargo-fuzz");
        runner.run(&mut install)?;
    }
    for target in TARGETS {
        let found = repository.local("fuzz").join(target);
        fs::create_dir_all(&found).map_err(|error| in_file(&found, &error))?;
        let seeds = format!("fuzz/generated/{target}");
        let mut fuzz = runner.command("cargo")?;
        fuzz.current_dir(repository.at("protocol"));
        // The compiler's switch for the sanitizer is one of the nightly ones; any compiler has it.
        fuzz.env("RUSTC_BOOTSTRAP", "1");
        fuzz.args(["fuzz", "run", target]).arg(&found).arg(seeds);
        fuzz.arg("--target-dir")
            .arg(repository.at("target/fuzz"))
            .arg("--");
        runner.run(fuzz.args(LIMITS))?;
    }
    Ok(())
}
