//! Breaks every rule once: a check that cannot fail checks nothing.

use crate::RULES;
use crate::tree::File;

/// A bad file: the title of the rule it breaks, its path, its text, and what the complaint names.
const BAD: &[(&str, &str, &str, &str)] = &[
    (
        "arrows",
        "server/core/Cargo.toml",
        "[dependencies]\ntokio.workspace = true\n",
        "tokio",
    ),
    (
        "arrows",
        "protocol/Cargo.toml",
        "[dev-dependencies]\nvetrina-core.workspace = true",
        ":2",
    ),
    (
        "arrows",
        "load-tests/Cargo.toml",
        "[dependencies]\nvetrina = { path = \"x\" }",
        "vetrina",
    ),
    ("arrows", "server/new/Cargo.toml", "[package]\n", "ARROWS"),
    (
        "arrows",
        "deploy/xtask/Cargo.toml",
        "[dependencies]\nserde = \"1\"\n",
        "serde",
    ),
    (
        "versions",
        "server/Cargo.toml",
        "[dependencies]\nserde = \"1\"\n",
        "serde",
    ),
    ("versions", "server/Cargo.toml", "[package]\n", "[lints]"),
    (
        "a name",
        "server/src/shop/reserve.rs",
        "use redis::Client;",
        "redis::",
    ),
    (
        "a name",
        "server/src/lib.rs",
        "\nfn f() { sqlx::query(\"\") }",
        "lib.rs:2",
    ),
    (
        "a name",
        "server/src/lib.rs",
        "use rtc_dtls::Endpoint;",
        "rtc_*::",
    ),
    (
        "a name",
        "server/src/shop.rs",
        "fn f(_: axum::Json<u8>) {}",
        "axum::",
    ),
    (
        "a name",
        "server/src/ops/health.rs",
        "use prometheus::Counter;",
        "prometheus::",
    ),
    (
        "a name",
        "server/src/main.rs",
        "let a = std::env::args();",
        "std::env",
    ),
    (
        "a name",
        "server/src/main.rs",
        "use std::{fs, env::args};",
        "std::env",
    ),
    (
        "a name",
        "server/core/src/pin.rs",
        "use std::fs::File;",
        "is pure",
    ),
    (
        "a name",
        "server/media/src/forward/layer.rs",
        "let now = Instant::now();",
        "is pure",
    ),
    (
        "a name",
        "server/src/shop.rs",
        "fn f() { SystemTime::now(); }",
        "SystemTime::now",
    ),
    (
        "no test",
        "server/tests/sale.rs",
        "fn f() { thread::sleep(d); }",
        "sleeps",
    ),
    (
        "no test",
        "server/src/a.rs",
        "fn g() { sleep(d) }\n#[cfg(test)]\nmod tests {\n fn f() { sleep(d); }\n}",
        "a.rs:4",
    ),
    ("one word", "server/src/shop.rs", "struct CartLine;", "cart"),
    (
        "one word",
        "server/src/shop.rs",
        "fn fill_basket() {}",
        "bag",
    ),
    ("one word", "web-demo/watch/utils.ts", "", "concept"),
    (
        "a file says",
        "server/src/shop.rs",
        "use std::fmt;\n//! late",
        "//!",
    ),
    (
        "files and lines",
        "server/src/shop.rs",
        LONG_LINE,
        "101 columns",
    ),
    (
        "an expected lint",
        "server/src/a.rs",
        "#[allow(dead_code)]",
        "expect",
    ),
    (
        "an expected lint",
        "server/src/a.rs",
        "\n#![expect(dead_code)]",
        "a.rs:2",
    ),
    (
        "an expected lint",
        "web-demo/a.ts",
        "// @ts-ignore",
        "ts-expect-error",
    ),
    (
        "nothing names",
        "README.md",
        concat!("see ../sha", "red/design"),
        "README.md:1",
    ),
    (
        "nothing names",
        ".npmrc",
        concat!("registry=https://registry.npm", "js.org/"),
        ".npmrc:1",
    ),
    (
        "a decision",
        "server/decisions/tick.md",
        "# Tick\n20 ms is best.\n",
        "command",
    ),
];

const LONG_LINE: &str = "//! 456789 123456789 123456789 123456789 123456789 123456789 \
    123456789 123456789 123456789 123456789 ";

/// Files that come close, and are as they should be.
const GOOD: &[(&str, &str)] = &[
    (
        "server/core/Cargo.toml",
        "[dependencies]\nvetrina-protocol.workspace = true\nthiserror.workspace = true\n\n\
         [lints]\nworkspace = true\n",
    ),
    (
        "server/store/src/redis.rs",
        "//! The hot store.\nuse redis::Client;\n",
    ),
    ("server/src/http/shows.rs", "//! Shows.\nuse axum::Json;\n"),
    (
        "server/src/shop.rs",
        "//! The shop. redis:: is for others.\nconst A: &str = \"axum::\";\n",
    ),
    (
        "server/src/shop/late.rs",
        "//! Late.\nfn f() { my_redis::g(); let threshold = environment; }\n",
    ),
    (
        "server/media/src/forward/pli.rs",
        "//! P.\n#[cfg(test)]\nmod tests {\n fn f() { Instant::now(); }\n}\n",
    ),
    ("server/src/config.rs", "//! Options.\nuse std::env;\n"),
    (
        "server/src/a.rs",
        "//! A.\n#[expect(dead_code, reason = \"soon\")]\nfn f() {}\n",
    ),
    (
        "server/decisions/tick.md",
        "# Tick\n20 ms is best.\n\n```\ncargo bench\n```\n",
    ),
];

fn complaints(title: &str, files: &[File]) -> Vec<String> {
    RULES
        .iter()
        .filter(|(full, _)| full.starts_with(title))
        .flat_map(|(_, f)| f(files))
        .collect()
}

fn file(path: &str, text: impl Into<String>) -> File {
    File {
        path: path.to_owned(),
        text: text.into(),
    }
}

#[test]
fn every_bad_sample_is_caught() {
    for (title, path, text, named) in BAD {
        let found = complaints(title, &[file(path, *text)]);
        let caught = found.iter().any(|complaint| complaint.contains(named));
        assert!(
            caught,
            "`{title}` does not see {named} in {path}: {text}\nit says {found:?}"
        );
    }
}

#[test]
fn good_samples_are_left_alone() {
    let files: Vec<File> = GOOD.iter().map(|(path, text)| file(path, *text)).collect();
    assert_eq!(complaints("", &files), Vec::<String>::new());
}

#[test]
fn a_file_of_501_lines_is_too_long_unless_generated() {
    let text = "//! line\n".repeat(501);
    let found = complaints(
        "files and lines",
        &[file("server/src/shop.rs", text.clone())],
    );
    assert!(found[0].contains("501 lines"), "{found:?}");
    let generated = file("web-demo/packages/client/src/generated/all.ts", text);
    assert_eq!(
        complaints("files and lines", &[generated]),
        Vec::<String>::new()
    );
}

#[test]
fn every_rule_but_the_one_about_our_own_list_has_a_bad_sample() {
    for (title, _) in RULES {
        let broken = BAD.iter().any(|(bad, ..)| title.starts_with(bad));
        assert!(
            broken || title.starts_with("exceptions"),
            "nothing breaks `{title}`"
        );
    }
}
