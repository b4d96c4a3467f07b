//! The faults of the chaos run: each is brought about while everybody is at checkout, is healed
//! again, and says what effect it was seen to have.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use tokio::sync::watch;
use vetrina_protocol::id::ShowId;

use super::{disk, ledger, redis, storm};
use crate::customer::Sessions;
use crate::stack::{Stack, StackError};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Fault {
    /// FLUSHALL on the primary.
    Flush,
    /// kill -9 of a node, and its start a moment later.
    NodeKill,
    /// The primary dies while its replica is cut off and behind.
    StaleReplica,
    /// kill -9 of Redis and an empty one in its place.
    EmptyRestart,
    /// A thousand copies, forgeries, old ones, wrong order, silence.
    WebhookStorm,
    /// SIGSTOP of Redis, not long enough for the sentinels.
    Stall,
    /// SIGSTOP of a node, as when its machine is moved.
    NodePause,
    /// SIGSTOP of Redis until another one is primary; then there are two.
    TwoPrimaries,
    /// kill -9 of PostgreSQL, and its recovery.
    LedgerKill,
    /// kill -9 of the primary, while its replica is up to date.
    PrimaryKill,
    /// The primary's disk is full, and Redis flushes it once a second: writes are refused.
    DiskFullEverysec,
    /// The primary's disk is full, and Redis flushes it with every write: Redis ends.
    DiskFullAlways,
    /// The ledger is slow, a node full of checkouts stands still, all other nodes die and FLUSHALL
    /// comes: nobody is left to speak for those checkouts, and their units are sold again before
    /// the node goes on. Only the ledger's guard is left then, and it has to break promises.
    NobodyRemembers,
}

impl Fault {
    /// Those of a run that is not about one of them. The others take a disk of their own, or break
    /// promises by intent.
    const ALL: [Self; 9] = [
        Self::Flush,
        Self::NodeKill,
        Self::StaleReplica,
        Self::EmptyRestart,
        Self::WebhookStorm,
        Self::Stall,
        Self::NodePause,
        Self::TwoPrimaries,
        Self::LedgerKill,
    ];

    /// How long it takes with its healing, about.
    fn takes(self, pause: Duration) -> Duration {
        match self {
            Self::Flush | Self::EmptyRestart | Self::LedgerKill => Duration::from_secs(2),
            Self::NodeKill => Duration::from_secs(4),
            Self::StaleReplica | Self::WebhookStorm => Duration::from_secs(8),
            Self::Stall => redis::STALL,
            Self::PrimaryKill => Duration::from_secs(6),
            Self::TwoPrimaries | Self::DiskFullEverysec | Self::DiskFullAlways => {
                Duration::from_secs(10)
            }
            Self::NodePause => pause,
            Self::NobodyRemembers => SILENCE,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flush => "FLUSHALL",
            Self::NodeKill => "kill -9 of a node",
            Self::StaleReplica => "promotion of a replica that is behind",
            Self::EmptyRestart => "kill -9 of Redis, empty restart",
            Self::WebhookStorm => "webhook storm",
            Self::Stall => "SIGSTOP of Redis",
            Self::NodePause => "SIGSTOP of a node",
            Self::TwoPrimaries => "SIGSTOP of Redis until another is primary",
            Self::LedgerKill => "kill -9 of PostgreSQL",
            Self::PrimaryKill => "kill -9 of the primary",
            Self::DiskFullEverysec => "disk full, appendfsync everysec",
            Self::DiskFullAlways => "disk full, appendfsync always",
            Self::NobodyRemembers => {
                "slow ledger, SIGSTOP of a node, kill -9 of the others, FLUSHALL"
            }
        })
    }
}

/// A node stands still for this long, when there is time.
const PAUSE_MAX: Duration = Duration::from_secs(30);
const PAUSE_MIN: Duration = Duration::from_secs(4);
/// Checkouts gather for this long before a ledger that is slow.
const GATHER: Duration = Duration::from_millis(500);
/// While it does, the others' buyers are called to the checkout this often.
const RUSH_AGAIN: Duration = Duration::from_secs(1);
/// The node that could speak for its checkouts stands still for this long.
const SILENCE: Duration = Duration::from_secs(8);
/// Between the rush to the checkout and the fault: in the midst of it.
const RUSH_MS: std::ops::Range<u64> = 1..60;
/// Between two faults.
const CALM_MS: std::ops::Range<u64> = 1_500..3_500;
/// A killed node stays away for this long.
const AWAY_MS: std::ops::Range<u64> = 300..1_500;

/// What a fault was seen to do.
#[derive(Debug)]
pub(crate) struct Effect {
    pub(crate) fault: Fault,
    pub(crate) from: Instant,
    pub(crate) to: Instant,
    /// For people.
    pub(crate) seen: String,
    /// Whether there was one at all.
    pub(crate) real: bool,
    /// It is real only if buyers were told to try again, not answered, or kept waiting meanwhile.
    pub(crate) must_refuse: bool,
}

/// What the one who brings the faults about can reach.
pub(crate) struct Saboteur<'a> {
    pub(crate) stack: &'a mut Stack,
    pub(crate) random: StdRng,
    pub(crate) show: ShowId,
    pub(crate) rush: watch::Sender<u64>,
    /// Where customers are.
    pub(crate) sessions: Arc<Sessions>,
    /// Begins with this one.
    pub(crate) first: Option<Fault>,
    /// Brings this one about and nothing else.
    pub(crate) only: Option<Fault>,
}

/// What is said of a fault when it is over.
pub(crate) struct Seen {
    pub(crate) text: String,
    pub(crate) real: bool,
    pub(crate) must_refuse: bool,
}

impl Seen {
    pub(crate) fn new(real: bool, text: String) -> Self {
        Self {
            text,
            real,
            must_refuse: false,
        }
    }
}

impl Saboteur<'_> {
    /// Faults by the seed, one after the other, until the time is over; at least one.
    pub(crate) async fn work(
        &mut self,
        seed: u64,
        time: Duration,
        told: impl Fn(&Effect),
    ) -> Result<Vec<Effect>, StackError> {
        let pause = (time / 4).clamp(PAUSE_MIN, PAUSE_MAX);
        let deadline = Instant::now() + time;
        let mut effects = Vec::new();
        let mut next = Vec::new();
        loop {
            if next.is_empty() {
                next = self.order(seed, effects.is_empty());
            }
            let calm = Duration::from_millis(self.random.random_range(CALM_MS));
            tokio::time::sleep(calm).await;
            // Those that still fit come first; the rest waits for a longer run.
            let left = deadline.saturating_duration_since(Instant::now());
            let fits = next.iter().position(|fault| fault.takes(pause) <= left);
            let at = match fits {
                Some(at) => at,
                None if effects.is_empty() => 0,
                None => return Ok(effects),
            };
            let fault = next.remove(at);
            let effect = self.one(fault, pause).await?;
            told(&effect);
            effects.push(effect);
        }
    }

    /// All of them; neighbouring seeds begin at different ones, so that a few short runs see all.
    fn order(&mut self, seed: u64, first: bool) -> Vec<Fault> {
        if let Some(only) = self.only {
            return vec![only];
        }
        let mut all = Fault::ALL.to_vec();
        if first {
            let start = usize::try_from(seed % 3).unwrap_or(0) * 3;
            all.rotate_left(start);
            all[..3].shuffle(&mut self.random);
            all[3..].shuffle(&mut self.random);
        } else {
            all.shuffle(&mut self.random);
        }
        all.splice(0..0, self.first.take());
        all
    }

    async fn one(&mut self, fault: Fault, pause: Duration) -> Result<Effect, StackError> {
        self.rush().await;
        let from = Instant::now();
        let seen = match fault {
            Fault::Flush => redis::flush(self.stack).await?,
            Fault::EmptyRestart => redis::empty_restart(self.stack).await?,
            Fault::StaleReplica => redis::stale_replica(self).await?,
            Fault::Stall => redis::stall(self.stack).await?,
            Fault::TwoPrimaries => redis::two_primaries(self.stack).await?,
            Fault::NodeKill => self.kill_node().await?,
            Fault::NodePause => self.pause_node(pause).await?,
            Fault::WebhookStorm => storm::webhooks(self).await?,
            Fault::LedgerKill => self.kill_ledger().await?,
            Fault::PrimaryKill => redis::kill_primary(self.stack).await?,
            Fault::DiskFullEverysec => disk::full(self.stack, disk::Flush::EverySecond).await?,
            Fault::DiskFullAlways => disk::full(self.stack, disk::Flush::Always).await?,
            Fault::NobodyRemembers => self.nobody_remembers().await?,
        };
        Ok(Effect {
            fault,
            from,
            to: Instant::now(),
            seen: seen.text,
            real: seen.real,
            must_refuse: seen.must_refuse,
        })
    }

    /// Everybody goes to the checkout now; back in the midst of it.
    pub(crate) async fn rush(&mut self) {
        self.rush.send_modify(|rushes| *rushes += 1);
        let midst = self.random.random_range(RUSH_MS);
        tokio::time::sleep(Duration::from_millis(midst)).await;
    }

    /// One with a good part of the customers: with nobody there, a fault has no effect.
    fn some_node(&mut self) -> usize {
        let nodes = self.stack.nodes.len();
        let all: usize = (0..nodes).map(|n| self.sessions.at(n)).sum();
        let first = self.random.random_range(0..nodes);
        let mut ring = (0..nodes).map(|n| (first + n) % nodes);
        ring.find(|n| self.sessions.at(*n) * nodes * 4 >= all)
            .unwrap_or(first)
    }

    async fn kill_node(&mut self) -> Result<Seen, StackError> {
        let n = self.some_node();
        let away = Duration::from_millis(self.random.random_range(AWAY_MS));
        let before = self.sessions.opened();
        let node = &mut self.stack.nodes[n];
        node.process.kill()?;
        tokio::time::sleep(away).await;
        node.process.start_again()?;
        let began = Instant::now();
        node.ready(&self.stack.http).await?;
        let ready = began.elapsed();
        let anew = self.sessions.opened() - before;
        let text = format!(
            "node {}: {anew} sessions opened anew, ready {} ms after its start",
            n + 1,
            ready.as_millis()
        );
        Ok(Seen::new(anew > 0, text))
    }

    async fn pause_node(&mut self, pause: Duration) -> Result<Seen, StackError> {
        let n = self.some_node();
        let before = self.sessions.opened();
        let process = &self.stack.nodes[n].process;
        process.pause()?;
        tokio::time::sleep(pause).await;
        process.resume()?;
        let anew = self.sessions.opened() - before;
        let text = format!(
            "node {} stood still for {:.1} s: {anew} sessions opened anew",
            n + 1,
            pause.as_secs_f64()
        );
        let must_refuse = true;
        Ok(Seen {
            must_refuse,
            ..Seen::new(true, text)
        })
    }

    async fn nobody_remembers(&mut self) -> Result<Seen, StackError> {
        let silent = self.some_node();
        let postgres = self.stack.postgres.as_ref();
        let postgres = postgres.ok_or(StackError::Silent("PostgreSQL: there is none"))?;
        let slow = ledger::lock(&postgres.url, self.show).await?;
        self.rush().await;
        tokio::time::sleep(GATHER).await;
        self.stack.nodes[silent].process.pause()?;
        let others: Vec<usize> = (0..self.stack.nodes.len())
            .filter(|n| *n != silent)
            .collect();
        for n in &others {
            self.stack.nodes[*n].process.kill()?;
        }
        let flushed = redis::forget(self.stack).await?;
        let interrupted = ledger::interrupt(slow).await?;
        let began = Instant::now();
        for n in others {
            let node = &mut self.stack.nodes[n];
            node.process.start_again()?;
            node.ready(&self.stack.http).await?;
        }
        while began.elapsed() < SILENCE {
            tokio::time::sleep(RUSH_AGAIN).await;
            self.rush().await;
        }
        self.stack.nodes[silent].process.resume()?;
        let text = format!(
            "node {} stood still for {} s, the others were killed; {flushed} keys lost, \
             {interrupted} transactions of the ledger interrupted",
            silent + 1,
            began.elapsed().as_secs()
        );
        Ok(Seen::new(flushed > 0 && interrupted > 0, text))
    }

    async fn kill_ledger(&mut self) -> Result<Seen, StackError> {
        let postgres = self.stack.postgres.as_mut();
        let postgres = postgres.ok_or(StackError::Silent("PostgreSQL: there is none"))?;
        let began = Instant::now();
        postgres.crash().await?;
        let text = format!("it answered again after {} ms", began.elapsed().as_millis());
        Ok(Seen::new(true, text))
    }
}
