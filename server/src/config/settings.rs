//! Every option once: name, default, unit and consequence. `vetrina --help`, the flags, the
//! environment variables and the keys of the file all come from this table.

/// One option. Its flag is `--name`, its key in the file is `name`, its environment variable is
/// `VETRINA_NAME` with underscores.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Words joined by hyphens.
    pub name: &'static str,
    /// What to write, or its unit.
    pub value: &'static str,
    /// For `serve`; empty: none.
    pub default: &'static str,
    /// For `demo`, where it differs.
    pub demo: Option<&'static str>,
    /// What it does and what follows from it.
    pub help: &'static str,
    /// Never printed.
    pub secret: bool,
}

impl Setting {
    /// The environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!(
            "VETRINA_{}",
            self.name.to_ascii_uppercase().replace('-', "_")
        )
    }
}

const fn setting(
    name: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        name,
        value,
        default,
        demo: None,
        help,
        secret: false,
    }
}

const fn in_demo(demo: &'static str, setting: Setting) -> Setting {
    Setting {
        demo: Some(demo),
        ..setting
    }
}

const fn secret(name: &'static str, help: &'static str) -> Setting {
    secret_value(name, "SECRET", help)
}

/// May hold a secret.
const fn secret_value(name: &'static str, value: &'static str, help: &'static str) -> Setting {
    Setting {
        secret: true,
        ..setting(name, value, "", help)
    }
}

/// The secret that `demo` uses if none is given. `serve` refuses to start with it.
pub const DEMO_SECRET: &str = "vetrina-demo-secret-do-not-use-elsewhere";

/// All options, in the order of the manual.
pub static SETTINGS: &[Setting] = &[
    setting(
        "listen",
        "ADDRESS:PORT",
        "127.0.0.1:8080",
        "Where pages, REST, channel, WHIP and WHEP are served (TCP). Use 0.0.0.0:8080 to be \
         reached from other machines; port 0 takes any free port.",
    ),
    setting(
        "public-url",
        "URL",
        "",
        "The address people type, such as https://live.example.org, when a proxy stands in front. \
         Links and the allowed Origin of the channel follow it. Default: the address asked for.",
    ),
    setting(
        "node-url",
        "URL",
        "",
        "The origin under which browsers reach this very node, such as \
         https://node-3.live.example.org. Video stays with the node it was published to, so with \
         several nodes its address is this one. Default: public-url.",
    ),
    setting(
        "ops-listen",
        "ADDRESS:PORT",
        "127.0.0.1:9464",
        "Where the ops page, /metrics and /health are served (TCP). Keep it off the public \
         network.",
    ),
    in_demo(
        ".vetrina/demo",
        setting(
            "data-dir",
            "FOLDER",
            "vetrina-data",
            "Where the ledger (SQLite, unless --database says otherwise) and the pictures live. \
             Made if it does not exist. Losing it is losing every order: back it up.",
        ),
    ),
    secret_value(
        "database",
        "URL",
        "The ledger: sqlite:PATH, or postgres://user:password@host:port/name, which several nodes \
         may share and which keeps the pictures too; on another machine with \
         ?sslmode=verify-full&sslrootcert=FILE, so that it is encrypted and nobody else answers. \
         Default: ledger.sqlite in --data-dir.",
    ),
    secret_value(
        "redis",
        "URL",
        "The hot store (reservations, logs, presence) that several nodes share: \
         redis://user:password@host:port/, rediss:// with TLS, \
         redis+sentinel://host:port,host:port/primary, redis+cluster://host:port,host:port. \
         ?prefix=NAME keeps its keys apart from others', ?ack=1 waits for so many replicas. \
         Default: in this process; then it must be the only node.",
    ),
    setting(
        "tls-cert",
        "FILE",
        "",
        "Certificate chain (PEM). With tls-key the public listener speaks HTTPS; browsers give \
         cameras to HTTPS pages and to localhost only.",
    ),
    setting("tls-key", "FILE", "", "Private key (PEM) of tls-cert."),
    setting(
        "udp-port",
        "PORT",
        "8189",
        "The one UDP port of all video. Open it in the firewall; 0 takes any free port.",
    ),
    in_demo(
        "127.0.0.1",
        setting(
            "udp-bind",
            "ADDRESS",
            "0.0.0.0",
            "Local address of the UDP port.",
        ),
    ),
    setting(
        "public-ip",
        "ADDRESS,...",
        "",
        "The addresses that browsers send video to, written into every SDP answer, best first. \
         Needed behind NAT or in a container. Default: the bound address, or loopback and the \
         address of the default route.",
    ),
    secret(
        "token-secret",
        "Signs tokens (HS256), at least 32 bytes: `openssl rand -base64 48` makes one. Whoever has \
         it can be anybody. serve does not start without it.",
    ),
    secret(
        "token-secret-previous",
        "While you rotate: tokens signed with this one are still good. Remove it after 12 h.",
    ),
    setting(
        "token-issuer",
        "NAME",
        "vetrina",
        "Issuer and audience of tokens. Servers that share a secret and this name take each \
         other's tokens.",
    ),
    in_demo(
        "sandbox",
        setting(
            "payment",
            "PROVIDER",
            "none",
            "Who takes the money: none (nobody can check out) or sandbox (a pretend provider with \
             its own page; no real money).",
        ),
    ),
    setting(
        "sandbox-listen",
        "ADDRESS:PORT",
        "127.0.0.1:8090",
        "Where the sandbox provider serves its pay page (TCP), in an origin of its own.",
    ),
    setting(
        "sandbox-url",
        "URL",
        "",
        "The address under which buyers reach the pay page. Default: sandbox-listen's.",
    ),
    setting(
        "sandbox-api",
        "URL",
        "",
        "The sandbox provider that several nodes share (`vetrina sandbox`), such as \
         http://10.0.0.9:8090. Default: this process runs one of its own.",
    ),
    secret(
        "webhook-secret",
        "Signs the payment provider's webhooks; anything unsigned is refused. At least 32 bytes. \
         Default: derived from token-secret.",
    ),
    secret(
        "sandbox-api-key",
        "Opens the sandbox provider's API and its list of charges. At least 32 bytes. Default: \
         derived from token-secret.",
    ),
    setting(
        "allowed-origins",
        "URL,...",
        "",
        "Further origins, such as https://shop.example.org, whose pages may open the channel and \
         read REST answers.",
    ),
    setting(
        "trusted-proxies",
        "ADDRESS[/BITS],...",
        "",
        "Proxies whose X-Forwarded-For is believed. Anybody else's is ignored.",
    ),
    setting(
        "sessions-max",
        "COUNT",
        "20000",
        "Most channel sessions at a time; more are sent away for a while. About 10 KB each.",
    ),
    in_demo(
        "20000",
        setting(
            "sessions-per-address",
            "COUNT",
            "2000",
            "Most channel sessions from one address at a time. Offices and phone networks share \
             addresses.",
        ),
    ),
    setting(
        "media-sessions-max",
        "COUNT",
        "20000",
        "Most WHIP and WHEP sessions at a time; more get 503. About 15 KB each.",
    ),
    in_demo(
        "100000",
        setting(
            "guests-per-minute",
            "COUNT",
            "600",
            "Guest tokens that one address may ask for, at once and per minute; more get 429.",
        ),
    ),
    setting(
        "picture-bytes-max",
        "BYTES",
        "5242880",
        "Largest picture that may be uploaded.",
    ),
    setting(
        "request-timeout",
        "SECONDS",
        "15",
        "A REST request that takes longer is answered with 503.",
    ),
    setting(
        "shutdown-grace",
        "SECONDS",
        "10",
        "On SIGINT or SIGTERM: time for open requests and sessions to end before they are cut.",
    ),
    setting(
        "seller-name",
        "NAME",
        "Vetrina",
        "Display name of the first seller, who is made with an empty ledger. Later: \
         `vetrina seller`.",
    ),
    setting(
        "node",
        "NAME",
        "node-1",
        "Name of this node in logs and on the ops page. No two nodes may have the same.",
    ),
    setting(
        "log-format",
        "text|json",
        "text",
        "How log lines look. Both go to standard error and hold no tokens, names or addresses.",
    ),
    in_demo(
        "warn,vetrina=info",
        setting(
            "log",
            "FILTER",
            "info",
            "Which log lines: error, warn, info, debug, trace, or per part such as \
             info,vetrina::http=debug.",
        ),
    ),
];

/// The option called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}
