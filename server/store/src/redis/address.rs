//! Where Redis is, as one URL says it. It refuses to know how a connection is made.
//!
//! `redis://[user:password@]host[:port]`, `rediss://` (TLS), `redis+sentinel://h1,h2:26379/name`,
//! `redis+cluster://h1:7001,h2:7002`; `rediss+sentinel` and `rediss+cluster` are the same over TLS.
//! Options: `prefix` (of every key, default `vetrina:`), `ack` (replicas that must have a write
//! before it counts), `ca` (a PEM file), `sentinel_user` and `sentinel_password`.

use std::path::PathBuf;

use super::RedisError;
use super::keys::Keys;
use crate::percent::{NOT_DECODED, percent_decoded};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// More replicas than anybody waits for.
const ACK_MAX: u8 = 5;
const HOSTS_MAX: usize = 64;

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) port: u16,
}

/// How the primary is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Always there.
    One(Host),
    /// Where the sentinels say.
    Sentinel {
        sentinels: Vec<Host>,
        master: String,
    },
    /// One of several, by the show.
    Cluster(Vec<Host>),
}

/// A name and a password.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
}

/// A parsed URL. Its text form has no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisAddress {
    pub(crate) place: Place,
    pub(crate) tls: bool,
    pub(crate) login: Login,
    pub(crate) sentinel_login: Login,
    pub(crate) prefix: String,
    pub(crate) ack: u8,
    pub(crate) ca: Option<PathBuf>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish()
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

impl std::str::FromStr for RedisAddress {
    type Err = RedisError;

    fn from_str(url: &str) -> Result<Self, RedisError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| {
            wrong("must start with redis://, rediss://, redis+sentinel:// or redis+cluster://")
        })?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match hosts.rsplit_once('@') {
            Some((login, hosts)) => (login_of(login)?, hosts),
            None => (Login::default(), hosts),
        };
        let tls = scheme.starts_with("rediss");
        let place = place_of(scheme, hosts, path)?;
        let mut address = Self {
            place,
            tls,
            login,
            sentinel_login: Login::default(),
            prefix: Keys::PREFIX_DEFAULT.to_owned(),
            ack: 0,
            ca: None,
        };
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            address.set(name, &decoded(value)?)?;
        }
        Ok(address)
    }
}

impl RedisAddress {
    fn set(&mut self, name: &str, value: &str) -> Result<(), RedisError> {
        match name {
            "prefix" => self.prefix = prefix(value)?,
            "ack" => {
                self.ack = value
                    .parse()
                    .ok()
                    .filter(|ack| *ack <= ACK_MAX)
                    .ok_or_else(|| wrong("ack: the number of replicas, from 0 to 5"))?;
            }
            "ca" if self.tls => self.ca = Some(PathBuf::from(value)),
            "ca" => return Err(wrong("ca: only rediss:// has certificates")),
            "sentinel_user" => self.sentinel_login.user = Some(value.to_owned()),
            "sentinel_password" => self.sentinel_login.password = Some(value.to_owned()),
            _ => {
                return Err(wrong(&format!(
                    "there is no option `{name}`; there are prefix, ack, ca, sentinel_user and \
                     sentinel_password"
                )));
            }
        }
        Ok(())
    }
}

fn place_of(scheme: &str, hosts: &str, path: &str) -> Result<Place, RedisError> {
    match scheme {
        "redis" | "rediss" => {
            if !matches!(path, "" | "0") {
                return Err(wrong(
                    "only database 0 is used; tell installations apart with ?prefix=",
                ));
            }
            let mut hosts = hosts_of(hosts, PORT)?;
            match (hosts.pop(), hosts.is_empty()) {
                (Some(host), true) => Ok(Place::One(host)),
                _ => Err(wrong(
                    "several hosts need redis+sentinel:// or redis+cluster://",
                )),
            }
        }
        "redis+sentinel" | "rediss+sentinel" => {
            if path.is_empty() || path.contains('/') {
                return Err(wrong(
                    "name the group that the sentinels watch: redis+sentinel://h1,h2,h3/mymaster",
                ));
            }
            Ok(Place::Sentinel {
                sentinels: hosts_of(hosts, SENTINEL_PORT)?,
                master: decoded(path)?,
            })
        }
        "redis+cluster" | "rediss+cluster" => {
            if !path.is_empty() {
                return Err(wrong("a cluster has no databases: leave out the path"));
            }
            Ok(Place::Cluster(hosts_of(hosts, PORT)?))
        }
        _ => Err(wrong(&format!(
            "`{scheme}` is not redis, rediss, redis+sentinel, rediss+sentinel, redis+cluster or \
             rediss+cluster"
        ))),
    }
}

fn hosts_of(text: &str, port: u16) -> Result<Vec<Host>, RedisError> {
    let hosts: Vec<Host> = text
        .split(',')
        .map(|host| host_of(host, port))
        .collect::<Result<_, _>>()?;
    if hosts.len() > HOSTS_MAX {
        return Err(wrong("name at most 64 hosts"));
    }
    Ok(hosts)
}

/// `name`, `name:port`, `[::1]`, `[::1]:port`.
fn host_of(text: &str, port: u16) -> Result<Host, RedisError> {
    let (name, rest) = match text.strip_prefix('[') {
        Some(inner) => inner
            .split_once(']')
            .ok_or_else(|| wrong("an IPv6 address needs its closing bracket"))?,
        None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
    };
    if name.is_empty() {
        return Err(wrong("a host is missing"));
    }
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => port,
        Some(digits) => digits
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| wrong(&format!("`{digits}` is not a port (1 to 65535)")))?,
        None => return Err(wrong("after an IPv6 address only a port may come")),
    };
    Ok(Host {
        name: name.to_owned(),
        port,
    })
}

fn login_of(text: &str) -> Result<Login, RedisError> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let some = |text: String| (!text.is_empty()).then_some(text);
    Ok(Login {
        user: some(decoded(user)?),
        password: some(decoded(password)?),
    })
}

fn prefix(value: &str) -> Result<String, RedisError> {
    Keys::new(value).map_err(|error| wrong(&error.to_string()))?;
    Ok(value.to_owned())
}

fn decoded(text: &str) -> Result<String, RedisError> {
    percent_decoded(text).ok_or_else(|| wrong(NOT_DECODED))
}

fn wrong(words: &str) -> RedisError {
    RedisError::Address(words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> RedisAddress {
        url.parse().expect(url)
    }

    fn hosts(names: &[(&str, u16)]) -> Vec<Host> {
        let host = |(name, port): &(&str, u16)| Host {
            name: (*name).to_owned(),
            port: *port,
        };
        names.iter().map(host).collect()
    }

    #[test]
    fn one_server() {
        let plain = parsed("redis://localhost");
        assert_eq!(
            plain.place,
            Place::One(hosts(&[("localhost", 6379)]).remove(0))
        );
        assert_eq!(
            (plain.prefix.as_str(), plain.ack, plain.tls),
            (Keys::PREFIX_DEFAULT, 0, false)
        );
        let full = parsed("rediss://ann:p%40ss@[::1]:7000/0?prefix=eu.a:&ack=1&ca=/etc/ca.pem");
        assert_eq!(full.place, Place::One(hosts(&[("::1", 7000)]).remove(0)));
        assert_eq!(full.login.user.as_deref(), Some("ann"));
        assert_eq!(full.login.password.as_deref(), Some("p@ss"));
        assert_eq!(
            (full.prefix.as_str(), full.ack, full.tls),
            ("eu.a:", 1, true)
        );
        assert!(!format!("{full:?}").contains("p@ss"));
        assert_eq!(parsed("redis://:secret@h").login.user, None);
    }

    #[test]
    fn sentinels_and_clusters() {
        let sentinel = parsed("redis+sentinel://a,b:5000/shop?sentinel_password=x");
        let sentinels = hosts(&[("a", 26379), ("b", 5000)]);
        let master = "shop".to_owned();
        assert_eq!(sentinel.place, Place::Sentinel { sentinels, master });
        assert_eq!(sentinel.sentinel_login.password.as_deref(), Some("x"));
        let cluster = parsed("rediss+cluster://a:1,b:2,c:3");
        assert_eq!(
            cluster.place,
            Place::Cluster(hosts(&[("a", 1), ("b", 2), ("c", 3)]))
        );
        assert!(cluster.tls);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, words) in [
            ("localhost:6379", "must start with redis://"),
            ("http://h", "`http` is not redis"),
            ("redis://", "a host is missing"),
            ("redis://a,b", "several hosts need"),
            ("redis://h:0", "`0` is not a port"),
            ("redis://h:99999", "`99999` is not a port"),
            ("redis://[::1", "closing bracket"),
            ("redis://h/3", "only database 0"),
            ("redis://h?ack=9", "ack: the number of replicas"),
            ("redis://h?prefix={x}", "prefix: use from 1 to 32"),
            ("redis://h?prefix=", "prefix: use from 1 to 32"),
            ("redis://h?akc=1", "no option `akc`"),
            ("redis://h?ca=/x", "only rediss://"),
            ("redis://a%zz@h", "two hexadecimal digits"),
            ("redis+sentinel://a,b", "name the group"),
            ("redis+cluster://a/0", "leave out the path"),
        ] {
            let error = url.parse::<RedisAddress>().expect_err(url).to_string();
            assert!(error.contains(words), "{url}: {error}");
        }
    }
}
