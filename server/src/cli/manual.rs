//! The manual under `vetrina --help`: every option once, with default, unit and consequence.

use std::fmt::Write as _;

use crate::config::settings::SETTINGS;

/// Width of the text, columns.
const WIDTH: usize = 92;

pub(super) fn text() -> String {
    let mut text = String::from(
        "Start here:\n  \
         vetrina demo                     a running show on this machine, nothing to configure\n  \
         vetrina serve --token-secret ... the real thing; put a proxy with HTTPS in front, or\n  \
         \x20                                give tls-cert and tls-key\n\n\
         Options of serve and demo. Each may be a flag (--listen), an environment variable\n\
         (VETRINA_LISTEN) or a line of the TOML file that --config names (listen = \"...\"); the\n\
         flag wins over the environment, the environment over the file. A wrong one is refused\n\
         before any port is bound.\n",
    );
    for setting in SETTINGS {
        let default = match (setting.default, setting.demo) {
            ("", None) => String::new(),
            (default, None) => format!("; default {default}"),
            ("", Some(demo)) => format!("; in demo {demo}"),
            (default, Some(demo)) => format!("; default {default}, in demo {demo}"),
        };
        let variable = setting.variable();
        let _ = write!(text, "\n  --{} <{}>\n", setting.name, setting.value);
        let _ = writeln!(text, "      {variable}{default}");
        for line in wrapped(setting.help, WIDTH - 6) {
            let _ = writeln!(text, "      {line}");
        }
    }
    text
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
