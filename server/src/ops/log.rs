//! Log lines: text for people or JSON for machines, on standard error. What others wrote is
//! escaped, so that no line can pretend to be two or to move a cursor.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::Log;

/// Starts logging, once per process. A second call changes nothing.
pub fn start(log: &Log) {
    let chosen: Targets = log.filter.parse().unwrap_or_default();
    // The DTLS library warns about every extension of a handshake that it does not know; a
    // browser's handshake has several.
    let filter = chosen.with_target("rtc_dtls", tracing::Level::ERROR);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    // A test process may start several servers; the first one's choice stays.
    let _ = if log.json {
        registry.with(lines.json().flatten_event(true)).try_init()
    } else {
        registry
            .with(
                lines
                    .with_target(false)
                    .with_ansi(false)
                    .fmt_fields(Escaped),
            )
            .try_init()
    };
}

/// Fields as `name=value` with control characters escaped (JSON escapes them by itself).
struct Escaped;

impl<'w> FormatFields<'w> for Escaped {
    fn format_fields<R: tracing_subscriber::field::RecordFields>(
        &self,
        writer: Writer<'w>,
        fields: R,
    ) -> fmt::Result {
        let mut visitor = EscapingVisitor {
            writer,
            first: true,
            outcome: Ok(()),
        };
        fields.record(&mut visitor);
        visitor.outcome
    }
}

struct EscapingVisitor<'w> {
    writer: Writer<'w>,
    first: bool,
    outcome: fmt::Result,
}

impl EscapingVisitor<'_> {
    fn put(&mut self, field: &Field, value: &str) {
        if self.outcome.is_err() {
            return;
        }
        let space = if std::mem::take(&mut self.first) {
            ""
        } else {
            " "
        };
        let value = escape(value);
        self.outcome = match field.name() {
            "message" => write!(self.writer, "{space}{value}"),
            name => write!(self.writer, "{space}{name}={value}"),
        };
    }
}

impl Visit for EscapingVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format!("{value:?}"));
    }
}

/// Control, direction and line-breaking characters as `\u{..}`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        let unsafe_letter = letter.is_control()
            || matches!(letter,
                '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{2069}' | '\u{FEFF}');
        if unsafe_letter {
            escaped.extend(letter.escape_unicode());
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_cannot_be_forged() {
        assert_eq!(escape("a\nb\x1b[31m"), "a\\u{a}b\\u{1b}[31m");
        assert_eq!(escape("\u{202e}abc"), "\\u{202e}abc");
        assert_eq!(escape("perché no?"), "perché no?");
    }
}
