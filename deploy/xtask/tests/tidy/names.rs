//! Which names may stand where: outside systems in one module each, one word per thing.

use crate::text::{code_only, line_at};
use crate::tree::File;

/// A name, and the only places (folders, or starts of paths) whose code may use it.
const HOMES: &[(&str, &[&str])] = &[
    // The load tests start databases of their own and look into them as an auditor would.
    (
        "redis::",
        &[
            "server/store/",
            "load-tests/src/stack",
            "load-tests/src/chaos",
            "load-tests/src/hot.rs",
        ],
    ),
    (
        "sqlx::",
        &[
            "server/store/",
            "server/src/payment/sandbox",
            "load-tests/src/stack",
            "load-tests/src/chaos",
        ],
    ),
    ("webrtc::", &["load-tests/"]),
    ("rtc_*::", &["server/media/", "load-tests/"]),
    // The whole engine is a client that tests the server, never a part of it.
    ("rtc::", &["load-tests/"]),
    (
        "axum::",
        &[
            "server/src/http",
            "server/src/channel/session.rs",
            "server/src/payment/sandbox",
        ],
    ),
    ("prometheus::", &["server/src/ops/metrics"]),
    // The sandbox plays an outside company, with a clock of its own.
    (
        "SystemTime::now",
        &[
            "server/src/clock.rs",
            "server/src/payment/sandbox",
            "server/media/src/net",
            "server/store/tests/",
            "server/tests/",
            "load-tests/",
        ],
    ),
    (
        "std::env",
        &[
            "server/src/config",
            "deploy/xtask/",
            "load-tests/",
            "server/build.rs",
            "protocol/tests/",
            "server/core/tests/",
        ],
    ),
];

/// Folders whose code is pure: `(now, input) -> outputs`, without what these names bring in.
const PURE: &[(&str, &[&str])] = &[
    (
        "server/core/src/",
        &[
            "std::fs",
            "std::net",
            "std::thread",
            "std::process",
            "tokio::",
            "rand::",
        ],
    ),
    (
        "server/media/src/forward/",
        &[
            "tokio::",
            "UdpSocket",
            "Instant::now",
            "SystemTime::now",
            "rand::",
            "std::thread",
        ],
    ),
];

/// Outside systems are named in their home only, and pure folders name nothing impure.
pub(crate) fn in_their_folders(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.ends_in(&["rs"])) {
        let code = code_only(&file.text);
        for (name, homes) in HOMES {
            if !homes.iter().any(|home| file.path.starts_with(home)) {
                let homes = homes.join(", ");
                let why = format!("{name} is named only under {homes}");
                complaints.extend(uses(file, &code, name).map(|place| format!("{place}: {why}")));
            }
        }
        for (folder, names) in PURE {
            if file.path.starts_with(folder) && !file.path.ends_with("_tests.rs") {
                // A test needs some instant to count from.
                let code = code
                    .split("#[cfg(test)]\nmod tests {")
                    .next()
                    .unwrap_or_default();
                for name in *names {
                    let why = format!("{folder} is pure and does not know {name}");
                    complaints
                        .extend(uses(file, code, name).map(|place| format!("{place}: {why}")));
                }
            }
        }
    }
    complaints
}

/// A test waits for an event with a deadline, or owns the clock.
pub(crate) fn no_sleep_in_tests(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.ends_in(&["rs"])) {
        let code = code_only(&file.text);
        let whole = file.path.contains("/tests/") || file.path.ends_with("tests.rs");
        let from = code.find("#[cfg(test)]\nmod tests {").unwrap_or(code.len());
        for (at, _) in code
            .match_indices("sleep(")
            .filter(|(at, _)| whole || *at > from)
        {
            let place = format!("{}:{}", file.path, line_at(&code, at));
            complaints.push(format!("{place}: a test that sleeps is slow or flaky"));
        }
    }
    complaints
}

/// Words that stand for something which has another name here, and what that is.
const WORDS: &[(&str, &str)] = &[("cart", "bag or reservation"), ("basket", "bag")];

/// File names that say nothing.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "manager", "misc"];

/// Identifiers use the words of the vocabulary, and files are named after a concept.
pub(crate) fn words(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.ends_in(&["rs", "ts", "svelte"]))
    {
        let name = file.path.rsplit('/').next().unwrap_or(&file.path);
        if EMPTY_NAMES.contains(&name.split('.').next().unwrap_or(name)) {
            complaints.push(format!(
                "{}: name the file after its one concept",
                file.path
            ));
        }
        if !file.ends_in(&["rs"]) {
            continue;
        }
        for (index, line) in code_only(&file.text).lines().enumerate() {
            for word in split_words(line) {
                if let Some((_, better)) = WORDS.iter().find(|(bad, _)| *bad == word) {
                    let place = format!("{}:{}", file.path, index + 1);
                    complaints.push(format!("{place}: `{word}` is called {better} here"));
                }
            }
        }
    }
    complaints
}

/// `CartLine`, `cart_line` and `cartLine` all hold the word `cart`.
fn split_words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_small = false;
    for character in line.chars() {
        let starts = character.is_uppercase() && after_small;
        if !character.is_alphabetic() || starts {
            words.push(String::new());
        }
        if character.is_alphabetic() {
            let last = words.last_mut().expect("never empty");
            last.extend(character.to_lowercase());
        }
        after_small = character.is_lowercase();
    }
    words
}

/// The places in a file's code that use `name`; a `*` in it stands for the rest of a word.
fn uses<'a>(file: &'a File, code: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let (start, end) = name.split_once('*').unwrap_or((name, ""));
    let part_of_word = |character: char| character.is_alphanumeric() || character == '_';
    let stands_alone = move |at: usize| {
        let after = &code[at + start.len()..];
        let rest = if name.contains('*') {
            after.trim_start_matches(part_of_word)
        } else {
            after
        };
        let whole = name.contains("*") || name.ends_with(':') || !rest.starts_with(part_of_word);
        !code[..at].ends_with(part_of_word) && whole && rest.starts_with(end)
    };
    let direct = code
        .match_indices(start)
        .map(|(at, _)| at)
        .filter(move |at| stands_alone(*at));
    direct
        .chain(grouped(code, name))
        .map(|at| format!("{}:{}", file.path, line_at(code, at)))
}

/// `use std::{env, fs}` uses `std::env` too.
fn grouped<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let (parent, child) = name
        .trim_end_matches(':')
        .rsplit_once("::")
        .unwrap_or(("", name));
    let opening = format!("use {parent}::{{");
    let group = move |at: usize| code[at..].split(';').next().unwrap_or_default().to_owned();
    let names_it = move |at: &usize| {
        !parent.is_empty()
            && group(*at)
                .split(|character: char| !character.is_alphanumeric() && character != '_')
                .any(|word| word == child)
    };
    let found: Vec<usize> = code.match_indices(&opening).map(|(at, _)| at).collect();
    found
        .into_iter()
        .filter(names_it)
        .collect::<Vec<_>>()
        .into_iter()
}
