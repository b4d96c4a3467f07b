//! `vetrina token`: mints a token, or a one-use code that a page turns into one.

use std::io::Write as _;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use vetrina_core::text::clean_name;
use vetrina_protocol::id::{SellerId, ShowId, UserId};
use vetrina_protocol::view::Role;

use super::{Failure, block_on, configuration, with_settings};
use crate::app::{FIRST_SELLER, Records};
use crate::auth::codes::{CodeGrant, issue};
use crate::auth::{Principal, Shows, Tokens};
use crate::clock::Clock;
use crate::config::Config;

const ROLES: [(&str, Role); 5] = [
    ("viewer", Role::Viewer),
    ("host", Role::Host),
    ("moderator", Role::Moderator),
    ("fulfilment", Role::Fulfilment),
    ("ops", Role::Ops),
];

pub(super) fn command() -> Command {
    let settings = ["token-secret", "token-issuer", "data-dir", "database"];
    with_settings(Command::new("token"), false, &settings)
        .about("Prints a token (JWT) for a role")
        .after_help(
            "Examples:\n  vetrina token --role host --show <id>\n  \
             vetrina token --role fulfilment --seller <id> --hours 8\n  \
             vetrina token --role ops --code      (prints a code for /ops#code=..., good for 60 s)",
        )
        .arg(
            Arg::new("role")
                .long("role")
                .required(true)
                .value_parser(ROLES.map(|(name, _)| name))
                .help("What the token allows"),
        )
        .arg(
            Arg::new("show")
                .long("show")
                .value_name("ID")
                .value_parser(value_parser!(ShowId))
                .help("For this show; its seller is read from the ledger in data-dir"),
        )
        .arg(
            Arg::new("seller")
                .long("seller")
                .value_name("ID")
                .value_parser(value_parser!(SellerId))
                .help("For all shows of this seller; default: the first one"),
        )
        .arg(Arg::new("name").long("name").default_value("Staff").help("Display name"))
        .arg(
            Arg::new("user")
                .long("user")
                .value_name("ID")
                .value_parser(value_parser!(UserId))
                .help("The person's id; default: a new one"),
        )
        .arg(
            Arg::new("hours")
                .long("hours")
                .value_parser(value_parser!(u16).range(1..=8_760))
                .default_value("12")
                .help("How long the token is good"),
        )
        .arg(
            Arg::new("code").long("code").action(ArgAction::SetTrue).help(
                "Print a one-use code instead, good for 60 s, for #code= in a link; kept in the \
                 ledger in data-dir",
            ),
        )
        .arg(
            Arg::new("demo")
                .long("demo")
                .action(ArgAction::SetTrue)
                .help("For the server of `vetrina demo`: its secret and its folder"),
        )
}

pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let config = configuration(matches, matches.get_flag("demo"))?;
    let text = block_on(async { text(matches, &config).await })?;
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

async fn text(matches: &ArgMatches, config: &Config) -> Result<String, Failure> {
    let show = matches.get_one::<ShowId>("show").copied();
    let needs_ledger = show.is_some() || matches.get_flag("code");
    let records = if needs_ledger {
        Some(Records::open(config).await?)
    } else {
        None
    };
    let seller = seller(matches, config, show, records.as_ref()).await?;
    let grant = grant(matches, seller, show)?;
    let now = Clock::system().now();
    if let Some(records) = records.filter(|_| matches.get_flag("code")) {
        let code = issue(&*records.ledger, &grant, now).await?;
        records.ledger.close().await;
        return Ok(code);
    }
    let hours = matches.get_one::<u16>("hours").copied().unwrap_or(12);
    let keys = &config.tokens;
    let tokens = Tokens::new(&keys.issuer, &keys.signing, keys.previous.as_ref());
    let principal = Principal {
        user: grant.user,
        name: grant.name,
        role: grant.role,
        seller: grant.seller,
        shows: grant.shows,
        expires_at_ms: now.plus_ms(i64::from(hours) * 3_600_000),
    };
    Ok(tokens.mint(&principal, now))
}

/// Whose token: the show's seller, the one that was named, or the first.
async fn seller(
    matches: &ArgMatches,
    config: &Config,
    show: Option<ShowId>,
    records: Option<&Records>,
) -> Result<SellerId, Failure> {
    let named = matches.get_one::<SellerId>("seller").copied();
    let (Some(show), Some(records)) = (show, records) else {
        return Ok(named.unwrap_or(FIRST_SELLER));
    };
    let row = records.ledger.show(show).await?.ok_or_else(|| {
        let folder = config.data_dir.display();
        Failure::new(format!(
            "--show: there is no such show in {folder} (--data-dir)"
        ))
    })?;
    match named {
        Some(named) if named != row.seller => {
            Err(Failure::new("--seller: the show belongs to another seller"))
        }
        _ => Ok(row.seller),
    }
}

fn grant(
    matches: &ArgMatches,
    seller: SellerId,
    show: Option<ShowId>,
) -> Result<CodeGrant, Failure> {
    let wanted = matches.get_one::<String>("role").map_or("", String::as_str);
    let role = ROLES
        .iter()
        .find(|(name, _)| *name == wanted)
        .map(|(_, role)| *role);
    let role = role.ok_or_else(|| Failure::new("--role: no such role"))?;
    let name = matches.get_one::<String>("name").map_or("", String::as_str);
    let name = clean_name(name, 40);
    if name.is_empty() {
        return Err(Failure::new(
            "--name: from 1 to 40 characters that can be seen",
        ));
    }
    Ok(CodeGrant {
        user: matches
            .get_one::<UserId>("user")
            .copied()
            .unwrap_or_else(UserId::now),
        name,
        role,
        seller: (role != Role::Ops).then_some(seller),
        shows: show.map_or(Shows::All, Shows::One),
    })
}
