//! `vetrina sandbox`: the pretend payment provider as a process of its own, for several nodes.

use std::io::Write as _;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::serve::until_signal;
use super::{Failure, block_on, configuration, with_settings};
use crate::app::run_sandbox;
use crate::config::Origin;

pub(super) fn command() -> Command {
    let settings = [
        "sandbox-listen",
        "sandbox-url",
        "data-dir",
        "token-secret",
        "webhook-secret",
        "sandbox-api-key",
        "tls-cert",
        "tls-key",
        "shutdown-grace",
        "log",
        "log-format",
    ];
    with_settings(Command::new("sandbox"), false, &settings)
        .about("Runs the sandbox payment provider alone, for nodes with --sandbox-api")
        .after_help(
            "Secrets as on the nodes: with the same token-secret the derived ones are the same. \
             No real money moves.",
        )
        .arg(
            Arg::new("webhook-url")
                .long("webhook-url")
                .value_name("URL,...")
                .required(true)
                .action(ArgAction::Append)
                .value_delimiter(',')
                .value_parser(value_parser!(Origin))
                .help(
                    "Origins of the nodes, such as http://10.0.0.1:8080, that take its webhooks: \
                     the first, and after a failed try the next",
                ),
        )
}

pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let config = configuration(matches, false)?;
    let nodes: Vec<Origin> = matches
        .get_many::<Origin>("webhook-url")
        .unwrap_or_default()
        .cloned()
        .collect();
    crate::ops::log::start(&config.log);
    block_on(async {
        let said = |origin: &str| writeln!(std::io::stdout(), "pay page {origin}");
        run_sandbox(&config, &nodes, until_signal()?, said).await?;
        Ok(())
    })
}
