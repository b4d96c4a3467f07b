//! Which primary has which show: one for all, or in a Cluster by the slot of the show's tag. It
//! refuses to know what is asked of them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::{Cmd, Value, cmd};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::address::{Host, Place, RedisAddress};
use super::dial::{Dial, Goal};
use super::functions::{Call, CallError};
use super::keys::Keys;
use super::link::Link;
use super::{Failure, Patience, RedisError, RedisOptions, RedisWatcher};

/// How often a Cluster is asked for its slots when nothing points elsewhere.
const RECHECK: Duration = Duration::from_secs(2);
/// At least so long between two questions.
const PAUSE: Duration = Duration::from_millis(50);
const SLOTS: u16 = 16_384;

/// See the module's words.
pub(crate) struct Primaries {
    kind: Kind,
    patience: Patience,
}

enum Kind {
    One(Arc<Link>),
    Cluster(Arc<Cluster>),
}

struct Cluster {
    seeds: Vec<Host>,
    dial: Dial,
    keys: Keys,
    ack: u8,
    patience: Patience,
    watcher: Arc<dyn RedisWatcher>,
    /// Read by every call, written when the slots have moved; never held across an await.
    map: RwLock<Map>,
    look: Notify,
    looked: Notify,
    stopping: CancellationToken,
}

#[derive(Default)]
struct Map {
    /// First slot of a range -> last slot, and whose it is.
    ranges: BTreeMap<u16, (u16, Host)>,
    links: BTreeMap<Host, Member>,
}

struct Member {
    link: Arc<Link>,
    stop: CancellationToken,
}

/// Ranges of slots and whose they are.
type Ranges = BTreeMap<u16, (u16, Host)>;

impl Primaries {
    /// Starts to connect; ends with `stopping`.
    pub(crate) fn start(
        address: &RedisAddress,
        keys: &Keys,
        options: &RedisOptions,
        stopping: &CancellationToken,
    ) -> Result<Self, RedisError> {
        let (patience, watcher) = (options.patience, Arc::clone(&options.watcher));
        let goal = match &address.place {
            Place::One(host) => Goal::Host(host.clone()),
            Place::Sentinel { sentinels, master } => Goal::Sentinels {
                sentinels: sentinels.clone(),
                master: master.clone(),
            },
            Place::Cluster(seeds) => {
                let first = seeds.first().cloned();
                let host =
                    first.ok_or_else(|| RedisError::Address("a host is missing".to_owned()))?;
                let cluster = Arc::new(Cluster {
                    seeds: seeds.clone(),
                    dial: Dial::new(address, keys, Goal::Host(host), patience)?,
                    keys: keys.clone(),
                    ack: address.ack,
                    patience,
                    watcher,
                    map: RwLock::default(),
                    look: Notify::new(),
                    looked: Notify::new(),
                    stopping: stopping.clone(),
                });
                tokio::spawn(Arc::clone(&cluster).follow());
                let kind = Kind::Cluster(cluster);
                return Ok(Self { kind, patience });
            }
        };
        let dial = Dial::new(address, keys, goal, patience)?;
        let link = Link::start(dial, patience, address.ack, watcher, stopping.clone());
        let kind = Kind::One(link);
        Ok(Self { kind, patience })
    }

    /// Several primaries: keys of different shows cannot be read by one command.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.kind, Kind::Cluster(_))
    }

    /// All primaries that are known now.
    pub(crate) fn all(&self) -> Vec<Arc<Link>> {
        match &self.kind {
            Kind::One(link) => vec![Arc::clone(link)],
            Kind::Cluster(cluster) => {
                let map = cluster.map.read().unwrap_or_else(PoisonError::into_inner);
                map.links
                    .values()
                    .map(|member| Arc::clone(&member.link))
                    .collect()
            }
        }
    }

    /// The primary of a key, if it is known now.
    pub(crate) fn known(&self, key: &str) -> Option<Arc<Link>> {
        match &self.kind {
            Kind::One(link) => Some(Arc::clone(link)),
            Kind::Cluster(cluster) => cluster.link(slot(key)),
        }
    }

    /// Calls a function at the primary of `key`, wherever that has moved to.
    pub(crate) async fn call<T>(
        &self,
        key: &str,
        write: bool,
        make: impl Fn(&str) -> Result<Call<T>, CallError> + Sync,
    ) -> Result<T, Failure> {
        let cluster = match &self.kind {
            Kind::One(link) => return link.call(write, &make).await,
            Kind::Cluster(cluster) => cluster,
        };
        let deadline = Instant::now() + self.patience.call;
        let slot = slot(key);
        loop {
            let why = match cluster.link(slot) {
                Some(link) => match link.call(write, &make).await {
                    Err(Failure::Moved(why)) => why,
                    other => return other,
                },
                None => "nobody has this show's slot".to_owned(),
            };
            let looked = cluster.looked.notified();
            cluster.look.notify_one();
            if timeout_at(deadline, looked).await.is_err() {
                return Err(Failure::Unknown(why));
            }
        }
    }
}

impl Primaries {
    /// Sends a command that may be sent again, to the primary of `key`.
    pub(crate) async fn raw(&self, key: &str, command: &Cmd) -> Result<Value, Failure> {
        let link = self.known(key);
        let link = link.ok_or_else(|| Failure::Unknown("nobody has this slot".into()))?;
        link.raw(command).await
    }
}

impl Cluster {
    fn link(&self, slot: u16) -> Option<Arc<Link>> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        let (_, (last, host)) = map.ranges.range(..=slot).next_back()?;
        let member = (*last >= slot).then(|| map.links.get(host))??;
        Some(Arc::clone(&member.link))
    }

    /// Keeps the map true.
    async fn follow(self: Arc<Self>) {
        while !self.stopping.is_cancelled() {
            match self.ask_around().await {
                Ok(ranges) => self.take(ranges),
                Err(why) => tracing::warn!(%why, "the Cluster does not tell its slots"),
            }
            self.looked.notify_waiters();
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = self.stopping.cancelled() => return,
            }
            tokio::select! {
                () = self.look.notified() => {}
                () = tokio::time::sleep(RECHECK) => {}
                () = self.stopping.cancelled() => return,
            }
        }
    }

    async fn ask_around(&self) -> Result<Ranges, String> {
        let mut hosts: Vec<Host> = {
            let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
            map.links.keys().cloned().collect()
        };
        hosts.extend(self.seeds.iter().cloned());
        let mut last = "no host is named".to_owned();
        for host in hosts {
            match timeout(self.patience.connect, self.ask(&host)).await {
                Ok(Ok(ranges)) if !ranges.is_empty() => return Ok(ranges),
                Ok(Ok(_)) => last = format!("{host} knows no slots"),
                Ok(Err(error)) => last = format!("{host}: {error}"),
                Err(_) => last = format!("{host} does not answer"),
            }
        }
        Err(last)
    }

    async fn ask(&self, host: &Host) -> Result<Ranges, redis::RedisError> {
        let mut connection = self.dial.reader(host, self.patience.connect).await?;
        let slots: Vec<Vec<Value>> = cmd("CLUSTER")
            .arg("SLOTS")
            .query_async(&mut connection)
            .await?;
        let mut ranges = Ranges::new();
        for row in &slots {
            let [first, last, primary, ..] = row.as_slice() else {
                continue;
            };
            let first: u16 = redis::from_redis_value_ref(first)?;
            let last: u16 = redis::from_redis_value_ref(last)?;
            let Value::Array(primary) = primary else {
                continue;
            };
            let [name, port, ..] = primary.as_slice() else {
                continue;
            };
            let name: Option<String> = redis::from_redis_value_ref(name)?;
            // A node that does not know its own address means the one that it was asked at.
            let name = name
                .filter(|name| !matches!(name.as_str(), "" | "?"))
                .unwrap_or_else(|| host.name.clone());
            let port = redis::from_redis_value_ref(port)?;
            ranges.insert(first, (last, Host { name, port }));
        }
        Ok(ranges)
    }

    fn take(&self, ranges: Ranges) {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        for (first, (last, host)) in &ranges {
            if map.links.contains_key(host) {
                continue;
            }
            let generation = (0..u16::MAX)
                .map(|part| self.keys.generation(part))
                .find(|key| (*first..=*last).contains(&slot(key)));
            let Some(generation) = generation else {
                continue;
            };
            let stop = self.stopping.child_token();
            let dial = self.dial.for_host(host.clone(), generation);
            let watcher = Arc::clone(&self.watcher);
            let link = Link::start(dial, self.patience, self.ack, watcher, stop.clone());
            map.links.insert(host.clone(), Member { link, stop });
        }
        map.links.retain(|host, member| {
            let stays = ranges.values().any(|(_, owner)| owner == host);
            if !stays {
                member.stop.cancel();
            }
            stays
        });
        map.ranges = ranges;
    }
}

/// The slot of a key: CRC16 (XMODEM) of its tag, or of all of it.
fn slot(key: &str) -> u16 {
    let tag = key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .map(|(tag, _)| tag)
        .filter(|tag| !tag.is_empty())
        .unwrap_or(key);
    let crc = tag.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::slot;

    #[test]
    fn slots_are_those_of_redis() {
        // As `CLUSTER KEYSLOT` says.
        assert_eq!(slot("123456789"), 12_739);
        assert_eq!(slot("foo"), 12_182);
        assert_eq!(slot("a:{foo}:b"), 12_182);
        assert_eq!(slot("foo{}bar"), slot("foo{}bar"));
    }
}
