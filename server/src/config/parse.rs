//! Turns written values into checked ones and collects every complaint instead of stopping at the
//! first.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::source::{Complaint, ConfigError, Gathered};
use crate::auth::Secret;

/// Lists of options are short; a longer one is a mistake.
const LIST_MAX: usize = 64;

/// Scheme, host and port of a URL, such as `https://live.example.org`; no path, no final slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin(String);

impl Origin {
    /// As browsers write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is HTTPS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "write an origin: http:// or https://, a host, perhaps a port, no path; such as \
             https://live.example.org"
                .to_owned()
        };
        let text = text.strip_suffix('/').unwrap_or(text);
        let uri: http::Uri = text.parse().map_err(|_| wrong())?;
        let scheme = uri.scheme_str().ok_or_else(wrong)?;
        let authority = uri.authority().ok_or_else(wrong)?;
        let bare = uri.path() == "/" && uri.query().is_none() && !text.contains(['#', '@']);
        if !bare || !matches!(scheme, "http" | "https") || authority.host().is_empty() {
            return Err(wrong());
        }
        let default_port = if scheme == "https" { 443 } else { 80 };
        let host = authority.host().to_ascii_lowercase();
        Ok(match authority.port_u16() {
            Some(port) if port != default_port => Self(format!("{scheme}://{host}:{port}")),
            _ => Self(format!("{scheme}://{host}")),
        })
    }
}

/// An address, or a range of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether `address` is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let shift = 32 - u32::from(self.bits);
                let cut = |ip: Ipv4Addr| ip.to_bits().checked_shr(shift).unwrap_or(0);
                cut(ours) == cut(theirs)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let shift = 128 - u32::from(self.bits);
                let cut = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
                cut(ours.to_bits()) == cut(theirs.to_bits())
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write addresses such as 10.0.0.1 or ranges such as 10.0.0.0/8".to_owned();
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().map_err(|_| wrong())?,
            None => most,
        };
        if bits > most {
            return Err(wrong());
        }
        Ok(Self { address, bits })
    }
}

/// A secret of its own purpose, made from another one.
pub(crate) fn derived_secret(secret: &Secret, purpose: &str) -> Secret {
    let mut hash = Sha256::new();
    hash.update(b"vetrina derived secret\0");
    hash.update(purpose.as_bytes());
    hash.update([0]);
    hash.update(secret.expose().as_bytes());
    Secret::new(URL_SAFE_NO_PAD.encode(hash.finalize()))
}

/// Reads options one by one; a value that cannot be used is complained about and replaced by
/// something harmless, because [`Reader::finish`] then refuses the whole.
pub(super) struct Reader<'a> {
    gathered: &'a Gathered,
    complaints: Vec<Complaint>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(gathered: &'a Gathered) -> Self {
        Self {
            gathered,
            complaints: Vec::new(),
        }
    }

    pub(super) const fn is_demo(&self) -> bool {
        self.gathered.is_demo()
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        if self.complaints.is_empty() {
            Ok(value)
        } else {
            Err(ConfigError(self.complaints))
        }
    }

    pub(super) fn complain(&mut self, name: &str, message: impl Into<String>) {
        self.complaints.push(self.gathered.complain(name, message));
    }

    pub(super) fn text(&self, name: &str) -> &'a str {
        self.gathered.text(name).trim()
    }

    pub(super) fn socket(&mut self, name: &str) -> SocketAddr {
        self.parse(name, "write an address and a port, such as 0.0.0.0:8080")
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub(super) fn address(&mut self, name: &str) -> IpAddr {
        self.parse(name, "write an IP address, such as 0.0.0.0")
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    pub(super) fn port(&mut self, name: &str) -> u16 {
        self.parse(name, "write a port from 0 to 65535")
            .unwrap_or(0)
    }

    pub(super) fn addresses(&mut self, name: &str) -> Vec<IpAddr> {
        self.list(name, |text| {
            text.parse()
                .map_err(|_| "write IP addresses joined by commas, such as 203.0.113.7".to_owned())
        })
    }

    pub(super) fn networks(&mut self, name: &str) -> Vec<Network> {
        self.list(name, str::parse)
    }

    pub(super) fn origins(&mut self, name: &str) -> Vec<Origin> {
        self.list(name, str::parse)
    }

    pub(super) fn origin(&mut self, name: &str) -> Option<Origin> {
        let text = self.text(name);
        if text.is_empty() {
            return None;
        }
        match text.parse() {
            Ok(origin) => Some(origin),
            Err(message) => {
                self.complain(
                    name,
                    format!("{} is no origin: {message}", text.escape_debug()),
                );
                None
            }
        }
    }

    pub(super) fn count(&mut self, name: &str, least: usize, most: usize) -> usize {
        let range = format!("write a whole number from {least} to {most}");
        match self.parse(name, &range) {
            Some(count) if (least..=most).contains(&count) => count,
            Some(count) => {
                self.complain(name, format!("{count} is out of range: {range}"));
                least
            }
            None => least,
        }
    }

    pub(super) fn seconds(&mut self, name: &str, least: usize, most: usize) -> Duration {
        Duration::from_secs(self.count(name, least, most) as u64)
    }

    /// A name that may appear in logs, labels and tokens.
    pub(super) fn name(&mut self, name: &str) -> String {
        let text = self.text(name);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
            self.complain(
                name,
                "write 1 to 64 letters, digits, hyphens, underscores or dots",
            );
        }
        text.to_owned()
    }

    /// A name that people read.
    pub(super) fn title(&mut self, name: &str) -> String {
        let text = vetrina_core::text::clean(self.text(name));
        if text.is_empty() || text.chars().count() > 120 {
            self.complain(name, "write 1 to 120 characters that can be seen");
        }
        text
    }

    pub(super) fn one_of<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> T {
        let text = self.text(name);
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return *value;
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        self.complain(name, format!("write one of: {}", words.join(", ")));
        choices[0].1
    }

    /// The text of a file that must contain `marker`.
    pub(super) fn file(&mut self, name: &str, marker: &str) -> String {
        let path = self.text(name);
        match std::fs::read_to_string(path) {
            Ok(text) if text.contains(marker) => text,
            Ok(_) => {
                self.complain(name, format!("{path} is no PEM file with a {marker} line"));
                String::new()
            }
            Err(error) => {
                self.complain(name, format!("{path} cannot be read: {error}"));
                String::new()
            }
        }
    }

    fn parse<T: FromStr>(&mut self, name: &str, hint: &str) -> Option<T> {
        let text = self.text(name);
        let value = text.parse().ok();
        if value.is_none() {
            self.complain(
                name,
                format!(
                    "{:?} cannot be read: {hint}",
                    text.escape_debug().to_string()
                ),
            );
        }
        value
    }

    fn list<T>(&mut self, name: &str, one: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let items: Vec<_> = self
            .text(name)
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .collect();
        if items.len() > LIST_MAX {
            self.complain(name, format!("at most {LIST_MAX} of them"));
            return Vec::new();
        }
        let mut values = Vec::new();
        for item in items {
            match one(item) {
                Ok(value) => values.push(value),
                Err(hint) => {
                    self.complain(
                        name,
                        format!("{} cannot be read: {hint}", item.escape_debug()),
                    );
                }
            }
        }
        values
    }
}
