//! The configuration: one value, read and checked as a whole before any port is bound. The only
//! reader of the environment; the table in `config/settings.rs` is its manual.

mod parse;
pub mod settings;
pub mod source;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::auth::{SECRET_BYTES_MIN, Secret};
use parse::Reader;
pub(crate) use parse::derived_secret;
pub use parse::{Network, Origin};
use settings::DEMO_SECRET;
pub use source::{Complaint, ConfigError, Gathered};

/// Everything that can be configured.
#[derive(Debug, Clone)]
pub struct Config {
    /// `demo`: sample secrets are fine and nothing is worth stealing.
    pub demo: bool,
    /// Name of this node.
    pub node: String,
    /// Of the first seller.
    pub seller_name: String,
    /// Public listener.
    pub listen: SocketAddr,
    /// The origin people type; none: what they asked for.
    pub public_url: Option<Origin>,
    /// The origin of this very node; none: the public one.
    pub node_url: Option<Origin>,
    /// HTTPS on the public listener.
    pub tls: Option<Tls>,
    /// Ops listener.
    pub ops_listen: SocketAddr,
    /// Ledger and pictures, when they are files.
    pub data_dir: PathBuf,
    /// URL of the ledger.
    pub database: Secret,
    /// The ledger oversells on purpose: the control run of the test of faults.
    pub without_guard: bool,
    /// URL of the shared hot store; none: in this process.
    pub redis: Option<Secret>,
    /// Video.
    pub media: Media,
    /// Token keys.
    pub tokens: TokenKeys,
    /// Payments.
    pub payment: Payment,
    /// Origins of others' pages that may use channel and REST.
    pub allowed_origins: Vec<Origin>,
    /// Whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<Network>,
    /// Bounds that operators choose.
    pub limits: Limits,
    /// A request that takes longer is given up.
    pub request_timeout: Duration,
    /// Time to drain at shutdown.
    pub shutdown_grace: Duration,
    /// Log lines.
    pub log: Log,
}

/// Certificate and key as PEM, read from their files or made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Chain.
    pub certificate_pem: String,
    /// Private key.
    pub key_pem: Secret,
}

/// The UDP side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// Where the UDP port is bound.
    pub udp: SocketAddr,
    /// What is written into answers.
    pub public_ips: Vec<IpAddr>,
    /// Most WHIP and WHEP sessions.
    pub sessions_max: usize,
}

/// Keys of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenKeys {
    /// Issuer and audience.
    pub issuer: String,
    /// Signs and checks.
    pub signing: Secret,
    /// Checks only.
    pub previous: Option<Secret>,
}

/// Which provider takes the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// Nobody: checkout is refused.
    None,
    /// The pretend provider: this process runs it, or `sandbox_api` says where it runs.
    Sandbox,
}

/// Payments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Who.
    pub provider: Provider,
    /// The sandbox runs there, and not in this process.
    pub sandbox_api: Option<Origin>,
    /// The sandbox's own listener.
    pub sandbox_listen: SocketAddr,
    /// Under which origin buyers reach it; none: its address.
    pub sandbox_url: Option<Origin>,
    /// Signs webhooks.
    pub webhook_secret: Secret,
    /// Opens the sandbox's API.
    pub sandbox_api_key: Secret,
}

/// Bounds that operators choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Channel sessions of this node.
    pub sessions_max: usize,
    /// Channel sessions of one address.
    pub sessions_per_address: usize,
    /// Guest tokens per address and minute.
    pub guests_per_minute: u32,
    /// Bytes of one picture.
    pub picture_bytes: usize,
}

/// Log lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// One JSON object a line instead of text.
    pub json: bool,
    /// Which lines, as `tracing-subscriber` writes filters.
    pub filter: String,
}

/// The program that runs, to be started once more.
///
/// # Errors
/// The system does not say.
pub(crate) fn this_program() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

impl Config {
    /// Reads and checks all options. Files that they name are read here, ports are not touched.
    ///
    /// # Errors
    /// Every complaint at once.
    pub fn from_gathered(gathered: &Gathered) -> Result<Self, ConfigError> {
        let mut read = Reader::new(gathered);
        let listen = read.socket("listen");
        let ops_listen = read.socket("ops-listen");
        let tokens = tokens(&mut read);
        let payment = payment(&mut read, &tokens);
        let config = Self {
            demo: gathered.is_demo(),
            node: read.name("node"),
            seller_name: read.title("seller-name"),
            listen,
            public_url: read.origin("public-url"),
            node_url: read.origin("node-url"),
            tls: tls(&mut read),
            ops_listen,
            data_dir: PathBuf::from(gathered.text("data-dir")),
            database: database(gathered),
            without_guard: false,
            redis: Some(gathered.text("redis"))
                .filter(|url| !url.is_empty())
                .map(Secret::new),
            media: media(&mut read),
            tokens,
            payment,
            allowed_origins: read.origins("allowed-origins"),
            trusted_proxies: read.networks("trusted-proxies"),
            limits: Limits {
                sessions_max: read.count("sessions-max", 1, 1_000_000),
                sessions_per_address: read.count("sessions-per-address", 1, 1_000_000),
                guests_per_minute: u32::try_from(read.count("guests-per-minute", 1, 10_000_000))
                    .unwrap_or(u32::MAX),
                picture_bytes: read.count("picture-bytes-max", 1_024, 50 << 20),
            },
            request_timeout: read.seconds("request-timeout", 1, 300),
            shutdown_grace: read.seconds("shutdown-grace", 0, 600),
            log: log(&mut read),
        };
        ports_differ(&mut read, &config);
        read.finish(config)
    }
}

/// The ledger's URL; without one it is a file in the data folder.
fn database(gathered: &Gathered) -> Secret {
    match gathered.text("database") {
        "" => Secret::new(format!(
            "sqlite:{}/ledger.sqlite",
            gathered.text("data-dir")
        )),
        url => Secret::new(url),
    }
}

fn media(read: &mut Reader<'_>) -> Media {
    let address = read.address("udp-bind");
    let port = read.port("udp-port");
    Media {
        udp: SocketAddr::new(address, port),
        public_ips: read.addresses("public-ip"),
        sessions_max: read.count("media-sessions-max", 1, 1_000_000),
    }
}

fn log(read: &mut Reader<'_>) -> Log {
    let json = read.one_of("log-format", &[("text", false), ("json", true)]);
    let filter = read.text("log").to_owned();
    if filter
        .parse::<tracing_subscriber::filter::Targets>()
        .is_err()
    {
        read.complain(
            "log",
            "write a level such as info, or info,vetrina::http=debug",
        );
    }
    Log { json, filter }
}

fn tls(read: &mut Reader<'_>) -> Option<Tls> {
    match (
        read.text("tls-cert").is_empty(),
        read.text("tls-key").is_empty(),
    ) {
        (true, true) => None,
        (false, false) => {
            let certificate_pem = read.file("tls-cert", "BEGIN CERTIFICATE");
            let key_pem = read.file("tls-key", "PRIVATE KEY");
            Some(Tls {
                certificate_pem,
                key_pem: Secret::new(key_pem),
            })
        }
        (true, false) => {
            read.complain(
                "tls-key",
                "tls-cert is missing: give both, or neither for plain HTTP",
            );
            None
        }
        (false, true) => {
            read.complain(
                "tls-cert",
                "tls-key is missing: give both, or neither for plain HTTP",
            );
            None
        }
    }
}

fn tokens(read: &mut Reader<'_>) -> TokenKeys {
    let signing = secret(read, "token-secret", true);
    let previous = secret(read, "token-secret-previous", false);
    if previous.is_some() && previous == signing {
        read.complain(
            "token-secret-previous",
            "it is the same as token-secret: remove it",
        );
    }
    TokenKeys {
        issuer: read.name("token-issuer"),
        signing: signing.unwrap_or_else(|| Secret::new(DEMO_SECRET)),
        previous,
    }
}

/// A secret that may be used: long enough, and no sample outside `demo`.
fn secret(read: &mut Reader<'_>, name: &str, required: bool) -> Option<Secret> {
    let text = read.text(name).to_owned();
    if text.is_empty() {
        if required && !read.is_demo() {
            read.complain(
                name,
                format!(
                    "serve needs a secret of at least {SECRET_BYTES_MIN} bytes; \
                     `openssl rand -base64 48` makes one"
                ),
            );
        }
        return None;
    }
    if text.len() < SECRET_BYTES_MIN {
        read.complain(
            name,
            format!(
                "too short ({} bytes): at least {SECRET_BYTES_MIN}; \
                 `openssl rand -base64 48` makes one",
                text.len()
            ),
        );
    } else if !read.is_demo() && is_sample(&text) {
        read.complain(
            name,
            "this is a sample that anybody can read in the source; `openssl rand -base64 48` \
             makes a secret",
        );
    }
    Some(Secret::new(text))
}

/// Secrets out of examples and secrets that nobody drew at random.
fn is_sample(secret: &str) -> bool {
    let lower = secret.to_ascii_lowercase();
    let words = [
        "vetrina-demo",
        "changeme",
        "change-me",
        "change_me",
        "example",
        "do-not-use",
    ];
    let mut kinds: Vec<_> = secret.bytes().collect();
    kinds.sort_unstable();
    kinds.dedup();
    words.iter().any(|word| lower.contains(word)) || kinds.len() < 8
}

fn payment(read: &mut Reader<'_>, tokens: &TokenKeys) -> Payment {
    let providers = [("none", Provider::None), ("sandbox", Provider::Sandbox)];
    let webhook_secret = secret(read, "webhook-secret", false)
        .unwrap_or_else(|| derived_secret(&tokens.signing, "webhooks"));
    let sandbox_api_key = secret(read, "sandbox-api-key", false)
        .unwrap_or_else(|| derived_secret(&tokens.signing, "sandbox api"));
    Payment {
        provider: read.one_of("payment", &providers),
        sandbox_api: read.origin("sandbox-api"),
        sandbox_listen: read.socket("sandbox-listen"),
        sandbox_url: read.origin("sandbox-url"),
        webhook_secret,
        sandbox_api_key,
    }
}

/// Two listeners cannot share a port; better said before the first is bound.
fn ports_differ(read: &mut Reader<'_>, config: &Config) {
    let mut taken = vec![("listen", config.listen)];
    let mut others = vec![("ops-listen", config.ops_listen)];
    if config.payment.provider == Provider::Sandbox && config.payment.sandbox_api.is_none() {
        others.push(("sandbox-listen", config.payment.sandbox_listen));
    }
    for (name, address) in others {
        let clash = taken
            .iter()
            .find(|(_, other)| address.port() != 0 && other.port() == address.port());
        if let Some((other, _)) = clash {
            read.complain(
                name,
                format!(
                    "port {} is {other}'s already: choose another",
                    address.port()
                ),
            );
        }
        taken.push((name, address));
    }
}

#[cfg(test)]
mod tests;
