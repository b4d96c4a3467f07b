//! What each stage of `cargo verify` runs, in the order that wastes least of two cores: the tools
//! and the pages are fetched and built while cargo compiles; what measures time runs alone.

use crate::debian::{self, Package};
use crate::run::Runner;
use crate::verify::{Lane, Stage};
use crate::{node, python};

pub(crate) const STAGES: &[Stage] = &[
    Stage {
        name: "setup",
        about: "what the tests need is installed (Debian packages, Node, a private venv)",
        lane: Lane::Back,
        after: &[],
        run: setup,
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
        after: &["setup"],
        run: |runner| runner.run_in("", "cargo", &["nextest", "run", "--workspace", "--locked"]),
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
    Package {
        name: "redis-server",
        shown_by: &["redis-server"],
    },
    Package {
        name: "postgresql",
        shown_by: &["postgres", "/usr/lib/postgresql"],
    },
    Package {
        name: "prometheus",
        shown_by: &["promtool"],
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

fn setup(runner: &Runner<'_>) -> Result<(), String> {
    debian::ensure(runner, PACKAGES)?;
    python::ensure(runner)?;
    node::ensure(runner)
}
