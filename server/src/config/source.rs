//! Gathers the options: flag over environment over file over default, and remembers which, so that
//! a complaint names the place to mend. Does not know what the values mean.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::settings::{SETTINGS, Setting, find};

/// Where a value was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// On the command line.
    Flag,
    /// In the environment.
    Environment,
    /// In the file.
    File(PathBuf),
    /// Nowhere.
    Default,
}

/// One complaint about one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Which option and where it was read.
    pub place: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Everything that is wrong with the configuration, so that it can be mended in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Complaint>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is not usable; nothing was started")?;
        self.0
            .iter()
            .try_for_each(|complaint| write!(f, "\n  {complaint}"))
    }
}

impl std::error::Error for ConfigError {}

/// Values as they were written, with their sources.
#[derive(Debug, Clone, Default)]
pub struct Gathered {
    values: BTreeMap<&'static str, (String, Source)>,
    demo: bool,
}

impl Gathered {
    /// With the defaults of `demo` or of `serve`.
    #[must_use]
    pub fn new(demo: bool) -> Self {
        Self {
            values: BTreeMap::new(),
            demo,
        }
    }

    /// Whether these are the options of `demo`.
    #[must_use]
    pub const fn is_demo(&self) -> bool {
        self.demo
    }

    /// Sets an option as if by flag; for callers that are programs.
    ///
    /// # Panics
    /// There is no such option: a bug of the caller.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        let setting = find(name).expect("an option of the table");
        self.values
            .insert(setting.name, (value.into(), Source::Flag));
        self
    }

    /// Keeps a value that clap read by flag or from the environment.
    pub(crate) fn put(&mut self, setting: &'static Setting, value: String, source: Source) {
        self.values.insert(setting.name, (value, source));
    }

    /// Adds what the file says and neither flag nor environment did.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, or has a key that is no option.
    pub fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let fail = |message: String| {
            ConfigError(vec![Complaint {
                place: format!("--config {}", path.display()),
                message,
            }])
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| fail(format!("the file cannot be read: {error}")))?;
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| fail(format!("not TOML: {}", error.message())))?;
        let mut complaints = Vec::new();
        for (key, value) in table {
            let Some(setting) = find(&key) else {
                complaints.push(unknown(&key, path));
                continue;
            };
            if self.values.contains_key(setting.name) {
                continue;
            }
            match plain(&value) {
                Some(text) => self.put(setting, text, Source::File(path.to_owned())),
                None => complaints.push(Complaint {
                    place: format!("{key} in {}", path.display()),
                    message: "write a text, a number, true or false, or a list of those".into(),
                }),
            }
        }
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(ConfigError(complaints))
        }
    }

    /// The value as it was written, or the default; empty: none.
    ///
    /// # Panics
    /// There is no such option: a bug of the caller.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        if let Some((value, _)) = self.values.get(name) {
            return value;
        }
        let setting = find(name).expect("an option of the table");
        match setting.demo {
            Some(demo) if self.demo => demo,
            _ => setting.default,
        }
    }

    /// Where the value was read.
    #[must_use]
    pub fn source(&self, name: &str) -> Source {
        self.values
            .get(name)
            .map_or(Source::Default, |(_, source)| source.clone())
    }

    /// A complaint about this option, naming where its value was read.
    #[must_use]
    pub fn complain(&self, name: &str, message: impl Into<String>) -> Complaint {
        let place = match self.source(name) {
            Source::Flag => format!("--{name}"),
            Source::Environment => {
                let variable = find(name).map(Setting::variable).unwrap_or_default();
                format!("{variable} in the environment (--{name})")
            }
            Source::File(path) => format!("{name} in {} (--{name})", path.display()),
            Source::Default => format!("--{name} (its default)"),
        };
        Complaint {
            place,
            message: message.into(),
        }
    }
}

fn unknown(key: &str, path: &Path) -> Complaint {
    let near = SETTINGS
        .iter()
        .find(|setting| setting.name == key.replace('_', "-") || setting.name.starts_with(key));
    Complaint {
        place: format!("{} in {}", key.escape_debug(), path.display()),
        message: near.map_or_else(
            || "there is no such option; `vetrina --help` lists them".to_owned(),
            |setting| format!("there is no such option; did you mean {}?", setting.name),
        ),
    }
}

fn plain(value: &toml::Value) -> Option<String> {
    Some(match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Boolean(flag) => flag.to_string(),
        toml::Value::Array(items) => items
            .iter()
            .map(plain)
            .collect::<Option<Vec<_>>>()?
            .join(","),
        _ => return None,
    })
}
