//! The command line: what can be typed, and what is said back. `vetrina --help` is the manual.

mod bench;
mod import;
mod manual;
mod money;
mod sandbox;
pub(crate) mod serve;
mod token;

use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::config::settings::{SETTINGS, Setting};
use crate::config::source::Source;
use crate::config::{Config, ConfigError, Gathered};

/// Why a command did not do what was asked: a sentence that says what to do.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Any error becomes its words.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Reads the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    match dispatch(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "vetrina: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(matches: &ArgMatches) -> Result<(), Failure> {
    match matches.subcommand() {
        Some(("serve", matches)) => serve::run(matches),
        Some(("demo", matches)) => {
            let nodes = matches.get_one("nodes").copied().unwrap_or(1);
            crate::demo::run(gathered(matches, true)?, matches.get_flag("lan"), nodes)
        }
        Some(("sandbox", matches)) => sandbox::run(matches),
        Some(("token", matches)) => token::run(matches),
        Some(("bench", matches)) => bench::run(matches),
        Some(("seller", matches)) => import::seller(matches),
        Some(("import", matches)) => import::run(matches),
        Some(("config", matches)) => match matches.subcommand() {
            Some((_, matches)) => check(matches),
            None => Err(Failure::new("type: vetrina config check")),
        },
        _ => Err(Failure::new("type: vetrina --help")),
    }
}

/// Everything that can be typed.
fn command() -> Command {
    Command::new("vetrina")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A self-hosted live-shopping server: live video, a real-time channel, checkout.")
        .after_long_help(manual::text())
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serve::command())
        .subcommand(demo())
        .subcommand(sandbox::command())
        .subcommand(token::command())
        .subcommand(bench::command())
        .subcommand(import::seller_command())
        .subcommand(import::command())
        .subcommand(
            Command::new("config")
                .about("Looks at the configuration")
                .subcommand_required(true)
                .subcommand(with_settings(Command::new("check"), false, &[]).about(
                    "Reads the options as `serve` would, says what is wrong or what holds, \
                         and binds nothing",
                )),
        )
}

fn demo() -> Command {
    with_settings(Command::new("demo"), true, &[])
        .about("Runs a server with a made-up stall, its products and a show, and prints the links")
        .after_help(
            "Press Enter in the terminal for fresh links: the codes in them are good once, for \
             60 s. Everything lives in --data-dir; delete it to begin anew.",
        )
        .arg(Arg::new("lan").long("lan").action(ArgAction::SetTrue).help(
            "Serve HTTPS to phones on this network, with a certificate made here (they warn \
                 once), and print a QR code of the watch page",
        ))
        .arg(
            Arg::new("nodes")
                .long("nodes")
                .value_name("COUNT")
                .value_parser(value_parser!(u16).range(1..=i64::from(crate::demo::NODES_MAX)))
                .conflicts_with("lan")
                .help(
                    "Run so many nodes on this machine, on a Redis and (if it is installed) a \
                     PostgreSQL that the demo starts, with the same show on all of them",
                ),
        )
}

/// Adds the options of the table, or only those called `names`.
pub(crate) fn with_settings(command: Command, demo: bool, names: &[&str]) -> Command {
    let config = Arg::new("config")
        .long("config")
        .env("VETRINA_CONFIG")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("A TOML file with the options by their names; flags and environment win over it");
    let wanted = SETTINGS
        .iter()
        .filter(|setting| names.is_empty() || names.contains(&setting.name));
    wanted.fold(command.arg(config), |command, setting| {
        command.arg(
            Arg::new(setting.name)
                .long(setting.name)
                .env(setting.variable())
                .hide_env_values(true)
                .value_name(setting.value)
                .allow_hyphen_values(true)
                .help(help(setting, demo)),
        )
    })
}

fn help(setting: &Setting, demo: bool) -> String {
    let default = match setting.demo {
        Some(default) if demo => default,
        _ => setting.default,
    };
    if default.is_empty() {
        setting.help.to_owned()
    } else {
        format!("{} [default: {default}]", setting.help)
    }
}

/// The options as they were written, with their sources.
pub(crate) fn gathered(matches: &ArgMatches, demo: bool) -> Result<Gathered, ConfigError> {
    let mut gathered = Gathered::new(demo);
    for setting in SETTINGS {
        let Ok(Some(value)) = matches.try_get_one::<String>(setting.name) else {
            continue;
        };
        let source = match matches.value_source(setting.name) {
            Some(ValueSource::EnvVariable) => Source::Environment,
            _ => Source::Flag,
        };
        gathered.put(setting, value.clone(), source);
    }
    if let Some(path) = matches.get_one::<PathBuf>("config") {
        gathered.add_file(path)?;
    }
    Ok(gathered)
}

pub(crate) fn configuration(matches: &ArgMatches, demo: bool) -> Result<Config, ConfigError> {
    let config = Config::from_gathered(&gathered(matches, demo)?)?;
    serve::check_tls(&config)?;
    Ok(config)
}

fn check(matches: &ArgMatches) -> Result<(), Failure> {
    let gathered = gathered(matches, false)?;
    let config = Config::from_gathered(&gathered)?;
    serve::check_tls(&config)?;
    let mut out = std::io::stdout().lock();
    for setting in SETTINGS {
        let text = gathered.text(setting.name);
        let shown = if setting.secret && !text.is_empty() {
            "(set)"
        } else {
            text
        };
        let source = match gathered.source(setting.name) {
            Source::Flag => "flag".to_owned(),
            Source::Environment => "environment".to_owned(),
            Source::File(path) => path.display().to_string(),
            Source::Default => "default".to_owned(),
        };
        writeln!(out, "{:24} {shown:40} {source}", setting.name)?;
    }
    writeln!(out, "The configuration is good.")?;
    Ok(())
}

/// Runs one asynchronous piece of work to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn every_option_is_in_the_manual() {
        let manual = command().render_long_help().to_string();
        for setting in SETTINGS {
            assert!(
                manual.contains(&format!("--{} ", setting.name)),
                "{}",
                setting.name
            );
            assert!(manual.contains(&setting.variable()), "{}", setting.name);
        }
    }

    #[test]
    fn a_flag_is_read_with_its_source() {
        let matches = command()
            .try_get_matches_from(["vetrina", "serve", "--listen", "127.0.0.1:1"])
            .expect("reads");
        let (_, serve) = matches.subcommand().expect("serve");
        let gathered = gathered(serve, false).expect("gathers");
        assert_eq!(gathered.text("listen"), "127.0.0.1:1");
        assert_eq!(gathered.source("listen"), Source::Flag);
        assert_eq!(gathered.source("ops-listen"), Source::Default);
    }
}
