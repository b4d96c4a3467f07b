//! What each stage of `cargo verify` runs, in the order that wastes least of two cores: the tools
//! and the pages are fetched and built while cargo compiles; what measures time runs alone.

use crate::debian::{self, Package};
use crate::repository::in_file;
use crate::run::{Runner, answer};
use crate::verify::{Fetch, Lane, Stage};
use crate::{autobahn, fuzz, metrics, node, python, web};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// Stages of `--long`.
pub(crate) const LONG: &[&str] = &["control", "fuzz"];

/// Stages whose tools cannot be had everywhere, and what fetches them: skipped where it fails.
pub(crate) const OPTIONAL: &[(&str, Fetch)] = &[("autobahn", autobahn::ensure)];

pub(crate) const STAGES: &[Stage] = &[
    Stage {
        name: "setup",
        about: "what the tests need is installed (Debian packages, Node, a private venv)",
        lane: Lane::Back,
        after: &[],
        run: setup,
    },
    Stage {
        name: "web",
        about: "the pages' types, unit tests and build",
        lane: Lane::Back,
        after: &[],
        run: |runner| {
            web::install(runner)?;
            runner.run_in("web-demo", "npm", &["run", "check"])?;
            runner.run_in("web-demo", "npm", &["test"])?;
            web::build(runner)
        },
    },
    Stage {
        name: "format",
        about: "rustfmt changes nothing",
        lane: Lane::Front,
        after: &[],
        run: |runner| runner.run_in("", "cargo", &["fmt", "--all", "--check"]),
    },
    Stage {
        name: "tidy",
        about: "arrows between crates, names per folder, lengths, docs; and the check itself",
        lane: Lane::Front,
        after: &[],
        run: |runner| runner.run_in("", "cargo", &["test", "--quiet", "-p", "xtask"]),
    },
    Stage {
        name: "clippy",
        about: "no lint of the workspace warns",
        lane: Lane::Front,
        after: &[],
        run: |runner| {
            let arguments = ["clippy", "--workspace", "--all-targets", "--locked", "--"];
            let mut command = runner.command("cargo")?;
            runner.run(command.args(arguments).args(["-D", "warnings"]))
        },
    },
    Stage {
        name: "rust",
        about: "every Rust test (cargo nextest)",
        lane: Lane::Front,
        // The server embeds the pages, and what measures time wants the machine for itself.
        after: &["setup", "web"],
        run: |runner| runner.run_in("", "cargo", &["nextest", "run", "--workspace", "--locked"]),
    },
    Stage {
        name: "autobahn",
        about: "Autobahn's fuzzing client finds no fault in our WebSocket (247 cases)",
        lane: Lane::Front,
        after: &["setup"],
        run: |runner| {
            let mut tests = runner.command("cargo")?;
            tests.args(["nextest", "run", "--locked", "--workspace", "--lib"]);
            tests.args(["-E", "test(autobahn_finds_no_fault)", "--no-tests", "fail"]);
            tests.args(["--run-ignored", "only"]);
            runner.run(tests.args(["--success-output", "immediate"]))
        },
    },
    Stage {
        name: "fuzz",
        about: "a minute of libFuzzer on the first and on later frames, in each encoding",
        lane: Lane::Front,
        after: &[],
        run: fuzz::run,
    },
    Stage {
        name: "breakages",
        about: "the simulation's oracle catches each fault that is built into core on purpose",
        lane: Lane::Front,
        after: &[],
        run: |runner| {
            let mut tests = runner.command("cargo")?;
            // Of the whole workspace, so that dependencies are those that are already built.
            tests.args([
                "nextest",
                "run",
                "--locked",
                "--workspace",
                "--test",
                "simulation",
            ]);
            tests.args(["--features", "vetrina-core/breakages"]);
            // A filter that matches nothing is an error.
            tests.args(["-E", "test(_is_caught)", "--no-tests", "fail"]);
            runner.run(tests.args(["--success-output", "immediate"]))
        },
    },
    Stage {
        name: "generated",
        about: "what is generated from the wire types is what the repository holds",
        lane: Lane::Front,
        after: &[],
        run: generated,
    },
    Stage {
        name: "metrics",
        about: "promtool accepts what a running server serves, and the alerts ring when they should",
        lane: Lane::Front,
        after: &[],
        run: |runner| metrics::check(runner, &built_server(runner)?),
    },
    Stage {
        name: "reserve",
        about: "10,000 buyers through real sockets for 100 units: 100 granted, all answered",
        lane: Lane::Front,
        after: &[],
        run: |runner| {
            let required = ["granted==100", "oversold==0", "unanswered==0"];
            load(
                runner,
                &["reserve", "--buyers", "10000", "--units", "100"],
                &required,
            )
        },
    },
    Stage {
        name: "crash",
        about: "a sale through 20 kills: nothing acknowledged is lost, oversold or paid twice",
        lane: Lane::Front,
        after: &[],
        run: |runner| {
            let required = ["lost==0", "oversold==0", "doubled==0", "orphan_charges==0"];
            load(
                runner,
                &["crash", "--rounds", "20", "--timeout-s", "600"],
                &required,
            )
        },
    },
    Stage {
        name: "chaos",
        about: "two nodes sell while Redis, PostgreSQL and nodes die: three short seeds, all faults",
        lane: Lane::Front,
        after: &["setup"],
        run: chaos,
    },
    Stage {
        name: "control",
        about: "the same with the ledger's guard off must oversell, or the checker sees nothing",
        lane: Lane::Front,
        after: &["setup"],
        run: chaos_control,
    },
    Stage {
        name: "media",
        about: "WebRTC clients of the webrtc crate: 1 publishes, 8 watch, every packet is counted",
        lane: Lane::Front,
        after: &[],
        run: |runner| {
            let required = [
                "connected==8",
                "delivered_percent>=99",
                "first_frame_p95_ms<=3000",
                "duplicated==0",
                "damaged==0",
                "ice_restarts==1",
                "undeleted==0",
            ];
            // What the restarting viewer misses for some 200 ms must stay far below the bound.
            load(
                runner,
                &["media", "--viewers", "8", "--seconds", "10"],
                &required,
            )
        },
    },
    Stage {
        name: "browser",
        about: "Chromium broadcasts, watches, buys; screenshots of every state in artefacts/browser",
        lane: Lane::Front,
        after: &["setup", "web"],
        run: |runner| {
            web::build(runner)?;
            let server = built_server(runner)?;
            let mut tests = runner.command("npm")?;
            tests
                .args(["run", "e2e"])
                .current_dir(runner.repository.at("web-demo"));
            runner.run(tests.env("VETRINA_BIN", server))
        },
    },
    Stage {
        name: "interop",
        about: "a WebRTC stack that nobody here wrote (aiortc) publishes and watches",
        lane: Lane::Front,
        after: &[],
        run: |runner| {
            python::ensure(runner)?;
            let server = built_server(runner)?;
            let mut check = runner.command("python")?;
            runner.run(check.arg("server/tests/interop/whip_whep.py").arg(server))
        },
    },
];

/// The servers are for tests that start their own copies; nothing uses the system's.
const PACKAGES: &[Package] = &[
    Package {
        name: "chromium",
        shown_by: &["chromium"],
    },
    Package {
        name: "fonts-liberation",
        shown_by: &["/usr/share/fonts/truetype/liberation"],
    },
    Package {
        name: "fonts-noto-color-emoji",
        shown_by: &["/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"],
    },
    debian::REDIS,
    Package {
        name: "postgresql",
        shown_by: &["postgres", "/usr/lib/postgresql"],
    },
    Package {
        name: "prometheus",
        shown_by: &["promtool"],
    },
    Package {
        name: "iproute2",
        shown_by: &["ip"],
    },
    Package {
        name: "python3",
        shown_by: &["python3"],
    },
    Package {
        name: "python3-venv",
        shown_by: &["/usr/share/doc/python3-venv"],
    },
];

/// Writes every generated file again; none may change.
fn generated(runner: &Runner<'_>) -> Result<(), String> {
    let before = generated_files(runner)?;
    let mut write = runner.command("cargo")?;
    write.env("VETRINA_GENERATE", "1");
    write.args([
        "test",
        "--quiet",
        "--locked",
        "--workspace",
        "--test",
        "generated",
    ]);
    runner.run(&mut write)?;
    let after = generated_files(runner)?;
    let changed: Vec<&str> = after
        .iter()
        .filter(|(path, content)| before.get(*path) != Some(content))
        .map(|(path, _)| path.as_str())
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    Err(format!(
        "out of date, and now written anew, commit them: {}",
        changed.join(", ")
    ))
}

/// Path and content of what lies in a folder named `generated`.
fn generated_files(runner: &Runner<'_>) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut list = runner.command("git")?;
    list.args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        ":(glob)**/generated/**",
    ]);
    let listed = answer(&mut list).ok_or("git ls-files does not run here")?;
    let read = |path: &str| {
        let file = runner.repository.at(path);
        let content = fs::read(&file).map_err(|error| in_file(&file, &error))?;
        Ok((path.to_owned(), content))
    };
    listed.lines().map(read).collect()
}

/// Three neighbouring seeds begin with different faults.
fn chaos(runner: &Runner<'_>) -> Result<(), String> {
    let required = [
        "oversold==0",
        "doubled==0",
        "lost==0",
        "orphan_charges==0",
        "offset_gaps==0",
        "books_wrong==0",
        "presence_wrong==0",
        // A run this short grants a hundred reservations; one per cent is asked of long ones.
        "broken_promises<=10",
    ];
    for seed in ["1", "2", "3"] {
        let words = [
            "chaos",
            "--seconds",
            "20",
            "--buyers",
            "100",
            "--seed",
            seed,
        ];
        load(runner, &words, &required)?;
    }
    Ok(())
}

/// One of a few seeds is enough: without the guard about every second one oversells.
fn chaos_control(runner: &Runner<'_>) -> Result<(), String> {
    let words = "chaos --guard off --seconds 14 --buyers 300 --listings 2 --seed";
    let mut why = String::new();
    for seed in ["3", "5", "7", "12", "14", "17"] {
        let words: Vec<&str> = words.split(' ').chain([seed]).collect();
        match load(runner, &words, &["oversold>=1"]) {
            Ok(()) => return Ok(()),
            Err(failed) => why = failed,
        }
    }
    Err(format!("no seed oversold: {why}"))
}

/// Runs vetrina-load against a server of its own; every one of `required` must hold.
fn load(runner: &Runner<'_>, words: &[&str], required: &[&str]) -> Result<(), String> {
    let server = built_server(runner)?;
    let tool = runner.repository.program("vetrina-load")?;
    // A socket is a file descriptor, and the usual limit is 1,024 of them.
    let mut command = runner.command("sh")?;
    command
        .args(["-c", "ulimit -n \"$(ulimit -H -n)\" && exec \"$0\" \"$@\""])
        .arg(tool);
    command
        .args(words)
        .args(required.iter().flat_map(|figure| ["--require", figure]));
    runner.run(command.env("VETRINA_BIN", server))
}

/// The server's program, up to date. All targets, since the tests' dependencies change features of
/// the server's: this way nothing is built that the `rust` stage has not built already.
fn built_server(runner: &Runner<'_>) -> Result<PathBuf, String> {
    let arguments = [
        "build",
        "--quiet",
        "--locked",
        "--workspace",
        "--all-targets",
    ];
    runner.run_in("", "cargo", &arguments)?;
    runner.repository.program("vetrina")
}

fn setup(runner: &Runner<'_>) -> Result<(), String> {
    debian::ensure(runner, PACKAGES)?;
    python::ensure(runner)?;
    node::ensure(runner)
}
