//! What every file keeps to: it says what it is, stays short, explains its exceptions, and names
//! no place that a reader elsewhere does not have.

use crate::text::{code_only, line_at};
use crate::tree::File;

const LINES_MAX: usize = 500;
const COLUMNS_MAX: usize = 100;

/// Files longer than [`LINES_MAX`], each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// What people write by hand and read as code.
const CODE: &[&str] = &["rs", "ts", "js", "mjs", "svelte", "css", "py", "sql", "lua"];

/// A Rust file opens with its own description.
pub(crate) fn module_docs(files: &[File]) -> Vec<String> {
    files
        .iter()
        .filter(|file| file.ends_in(&["rs"]) && !file.text.starts_with("//!"))
        .map(|file| {
            format!(
                "{}:1: open with `//!`: what it is, what it refuses to know",
                file.path
            )
        })
        .collect()
}

/// Files and lines have a length that one can take in.
pub(crate) fn lengths(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    // Markup and styles carry drawings and lists of classes that no break makes readable.
    // A sentence for people stays whole, for who translates it; so do long texts to lay out.
    let is_wide = |file: &File| {
        file.ends_in(&["svelte", "css"])
            || ["web-demo/src/words/", "web-demo/states/"]
                .iter()
                .any(|it| file.path.starts_with(it))
    };
    for file in written(files) {
        let lines = file.text.lines().count();
        let excused = LONG_FILES.iter().any(|(path, _)| *path == file.path);
        if lines > LINES_MAX && !excused {
            complaints.push(format!("{}: {lines} lines, at most {LINES_MAX}", file.path));
        }
        for (index, line) in file.text.lines().enumerate().filter(|_| !is_wide(file)) {
            // rustfmt lets the comma behind a full line hang over.
            let columns = line.trim_end_matches(',').chars().count();
            if columns > COLUMNS_MAX {
                let place = format!("{}:{}", file.path, index + 1);
                complaints.push(format!("{place}: {columns} columns, at most {COLUMNS_MAX}"));
            }
        }
    }
    complaints
}

/// A list of exceptions only ever shrinks if somebody looks.
pub(crate) fn exceptions_are_needed(files: &[File]) -> Vec<String> {
    let too_long = |path: &str| {
        written(files).any(|file| file.path == path && file.text.lines().count() > LINES_MAX)
    };
    LONG_FILES
        .iter()
        .filter(|(path, reason)| !too_long(path) || reason.is_empty())
        .map(|(path, _)| format!("{path}: needs no place in LONG_FILES, or has no reason there"))
        .collect()
}

/// `expect` with a reason, never `allow`; the same for TypeScript's switches.
pub(crate) fn lint_exceptions(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in written(files).filter(|file| file.ends_in(&["rs"])) {
        let code = code_only(&file.text);
        for opening in ["#[expect(", "#![expect(", "#[allow(", "#![allow("] {
            for (at, _) in code.match_indices(opening) {
                let attribute = code[at..].split(']').next().unwrap_or_default();
                let reasoned = attribute.contains("reason =") && opening.contains("expect");
                if !reasoned {
                    let place = format!("{}:{}", file.path, line_at(&code, at));
                    complaints.push(format!("{place}: write #[expect(.., reason = \"..\")]"));
                }
            }
        }
    }
    for file in written(files).filter(|file| file.ends_in(&["ts", "svelte", "js", "mjs"])) {
        for (index, line) in file.text.lines().enumerate() {
            if ["@ts-ignore", "@ts-nocheck"]
                .iter()
                .any(|switch| line.contains(switch))
            {
                let place = format!("{}:{}", file.path, index + 1);
                complaints.push(format!("{place}: use @ts-expect-error and say why"));
            }
        }
    }
    complaints
}

/// Written in pieces, so that this file does not name them either.
const PLACES: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("../sha", "red/"),
    concat!("crates", ".io"),
    concat!("registry.npm", "js.org"),
    concat!("pypi", ".org"),
    concat!("files.python", "hosted.org"),
    concat!("deb.debian", ".org"),
    concat!("node", "source.com"),
];

/// Nothing names a registry's host or a path of the machine it was written on.
pub(crate) fn places(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    // Cargo writes where each crate came from into its lock file, and nobody can stop it.
    for file in files
        .iter()
        .filter(|file| !file.path.ends_with("Cargo.lock"))
    {
        for (index, line) in file.text.lines().enumerate() {
            for place in PLACES.iter().filter(|place| line.contains(**place)) {
                complaints.push(format!("{}:{}: names {place}", file.path, index + 1));
            }
        }
    }
    complaints
}

/// A page about a measured decision holds the command that measured it.
pub(crate) fn decisions(files: &[File]) -> Vec<String> {
    files
        .iter()
        .filter(|file| file.path.starts_with("server/decisions/") && file.ends_in(&["md"]))
        .filter(|file| !file.text.contains("\n```") && !file.text.contains("\n\n    "))
        .map(|file| {
            format!(
                "{}: show the command that measured it in a code block",
                file.path
            )
        })
        .collect()
}

fn written(files: &[File]) -> impl Iterator<Item = &File> {
    files
        .iter()
        .filter(|file| file.ends_in(CODE) && !file.is_generated())
}
