//! The tidy test: what no compiler checks about this repository, checked on its tracked files.
//!
//! `rules.rs` has the rules, `samples.rs` breaks each of them on purpose. Reads the files that
//! git knows or would add; runs nothing else.

mod manifests;
mod names;
mod rules;
mod samples;
mod text;
mod tree;

/// One rule: every complaint it has about the tree.
type Rule = fn(&[tree::File]) -> Vec<String>;

const RULES: &[(&str, Rule)] = &[
    ("arrows between crates run one way", manifests::arrows),
    (
        "versions and lints are written once",
        manifests::written_once,
    ),
    ("a name stays in its folder", names::in_their_folders),
    ("no test sleeps", names::no_sleep_in_tests),
    ("one word per thing", names::words),
    ("a file says what it is", rules::module_docs),
    ("files and lines stay short", rules::lengths),
    (
        "exceptions to the lengths are needed",
        rules::exceptions_are_needed,
    ),
    ("an expected lint has a reason", rules::lint_exceptions),
    ("nothing names the place it was made in", rules::places),
    ("a decision has its command", rules::decisions),
];

#[test]
fn the_repository_is_tidy() {
    let files = tree::read();
    assert!(
        files.len() > 10,
        "git names {} files: is this a clone?",
        files.len()
    );
    let complaints: Vec<String> = RULES
        .iter()
        .flat_map(|(title, rule)| rule(&files).into_iter().map(move |text| (title, text)))
        .map(|(title, text)| format!("{text}   [{title}]"))
        .collect();
    assert!(
        complaints.is_empty(),
        "{} untidy places:\n  {}\n",
        complaints.len(),
        complaints.join("\n  ")
    );
}
