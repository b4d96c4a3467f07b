//! `chaos`: a sale on two real nodes with a real Redis (replica, sentinels), a real PostgreSQL
//! and the sandbox provider, while one after the other goes wrong. An independent checker reads the
//! ledger, the provider's charges, the screens and the clients' own logs when all is quiet again:
//! nothing oversold, nobody charged twice, nothing acknowledged lost, whatever died.

#![expect(clippy::print_stderr, reason = "a command-line tool")]

mod account;
mod checker;
mod disk;
mod faults;
mod host;
mod ledger;
mod redis;
mod shopper;
mod storm;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use vetrina_protocol::id::{ListingId, ShowId};

use crate::Common;
use crate::buyer::BuyerError;
use crate::customer::{Customer, Ended, Sessions, Try};
use crate::market::{self, Stall};
use crate::report::{Figures, Requirement, percentile};
use crate::server::{Server, ServerError};
use crate::stack::{Plan, Stack, StackError, Stores};

use checker::{Findings, Places};
use faults::{Effect, Fault, Saboteur};
use host::Host;
use shopper::{Shopper, Signals};

/// Options of the command.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Chooses the faults, their moments and what everybody does.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long the sale lasts; the checks come after it.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(10..=3600))]
    seconds: u64,
    /// Buyers, at both nodes.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5000))]
    buyers: u32,
    /// Listings: each has a few units, and gets a few more now and then.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    listings: u32,
    /// Off is the control run: the ledger claims without looking whether there is enough. If
    /// nothing is ever oversold then, the checker sees nothing.
    #[arg(long, value_enum, default_value_t = Guard::On)]
    guard: Guard,
    /// Begin with the fault that only the ledger's guard stands against: promises are broken then,
    /// but nothing is oversold. Always so in the control run.
    #[arg(long)]
    harsh: bool,
    /// Bring about this fault and nothing else, and tell how long selling paused.
    #[arg(long, value_enum, conflicts_with = "harsh")]
    only: Option<Fault>,
    /// Keep the folder with the logs of all processes, and say where it is.
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Guard {
    On,
    Off,
}

/// Why the command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("{0}")]
    Server(#[from] ServerError),
    #[error("{0}")]
    Stack(#[from] StackError),
    #[error("{0}")]
    Show(#[from] BuyerError),
    #[error("seed {seed}: {what}")]
    Stuck { seed: u64, what: String },
    #[error("not done within {0} s")]
    TimedOut(u64),
}

/// Units of each listing at first.
const UNITS: u32 = 10;
/// As the protocol allows: nobody is kept from fighting.
const PER_BUYER: u32 = 100;
/// Everybody's orders are settled within this time after the sale closed.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);
/// Between two looks at the ledger for units that are promised beyond what there is.
const AUDIT_EVERY: Duration = Duration::from_millis(100);
/// Before the first fault: so that there is something to lose.
const BUSY_FIRST: Duration = Duration::from_secs(3);
/// Starting, settling and checking take at most this much longer than the sale.
const BESIDES: u64 = 300;

/// The run fails when a fault was not seen to do anything.
pub(crate) fn every_fault_has_an_effect() -> Requirement {
    Requirement::none("faults_without_effect")
}

pub(crate) async fn run(options: Options) -> Result<Figures, Failed> {
    if options.common.target.is_some() {
        return Err(ServerError::NotOurs.into());
    }
    let seconds = options.common.timeout_s.max(options.seconds + BESIDES);
    tokio::time::timeout(Duration::from_secs(seconds), chaos(&options))
        .await
        .unwrap_or(Err(Failed::TimedOut(seconds)))
}

async fn chaos(options: &Options) -> Result<Figures, Failed> {
    let plan = Plan {
        stores: Stores::Watched,
        nodes: 2,
        sandbox: true,
        guard_off: options.guard == Guard::Off,
        arguments: Vec::new(),
        cores: Vec::new(),
    };
    let mut stack = Stack::start(&plan).await?;
    if options.keep {
        eprintln!("logs are kept in {}", stack.keep_folder().display());
    }
    let done = sale(options, &mut stack).await;
    for node in &mut stack.nodes {
        // A node that ended by itself explains everything else.
        node.process.still_runs()?;
    }
    done
}

/// What everybody hears.
struct Bells {
    rush: watch::Sender<u64>,
    open: watch::Sender<bool>,
    over: watch::Sender<bool>,
    /// Buyers whose orders are all settled.
    settled: watch::Sender<usize>,
}

impl Options {
    fn stall(&self) -> Stall {
        Stall {
            listings: self.listings as usize,
            units: UNITS,
            inventory: 1_000_000,
            per_buyer: PER_BUYER,
            reservation_ttl_s: 20,
            order_deadline_s: 60,
        }
    }

    fn first(&self) -> Option<Fault> {
        (self.harsh || self.guard == Guard::Off).then_some(Fault::NobodyRemembers)
    }
}

async fn sale(options: &Options, stack: &mut Stack) -> Result<Figures, Failed> {
    let servers: Vec<Server> = (0..stack.nodes.len())
        .map(|n| Server::node(stack, n))
        .collect();
    let (show, listings) = market::open(&servers[0], &options.stall()).await?;
    let listings: Vec<ListingId> = listings.iter().map(|listing| listing.id).collect();
    let database = stack.postgres.as_ref().map(|postgres| postgres.url.clone());
    let database = database.ok_or(StackError::Silent("PostgreSQL: there is none"))?;
    let mut random = StdRng::seed_from_u64(options.seed);
    let sessions = Arc::new(Sessions::new(servers.len()));
    let Crowd {
        mut shoppers,
        host,
        bells,
    } = crowd(options, &servers, show, &listings, &mut random, &sessions);
    let (most, audit) = audit(database.clone(), show);

    tokio::time::sleep(BUSY_FIRST).await;
    let mut saboteur = Saboteur {
        stack,
        random: StdRng::seed_from_u64(random.random()),
        show,
        rush: bells.rush.clone(),
        sessions,
        first: options.first(),
        only: options.only,
    };
    let began = Instant::now();
    let time = Duration::from_secs(options.seconds);
    let told = |effect: &Effect| {
        let at = effect.from.duration_since(began).as_secs_f64();
        eprintln!("{at:6.1} s  {}: {}", effect.fault, effect.seen);
    };
    let effects = saboteur.work(options.seed, time, told).await?;
    tokio::time::sleep_until((began + time).into()).await;

    bells.open.send_replace(false);
    let seed = options.seed;
    let stuck = |what: String| Failed::Stuck { seed, what };
    let host = host.await.map_err(|error| stuck(error.to_string()))??;
    all_settled(&bells, &mut shoppers, options)
        .await
        .map_err(stuck)?;
    audit.abort();
    let provider = stack.sandbox.as_ref().map(|(_, provider)| provider);
    let places = Places {
        database: &database,
        provider: provider.ok_or(StackError::Silent("the sandbox: there is none"))?,
        servers: &servers,
        show,
    };
    let mut findings = Findings::default();
    let most = most.load(Ordering::Relaxed);
    let books = findings.books(&places, &host.settings, most).await?;
    let presence = findings.presence(&places, options.buyers as usize).await?;
    bells.over.send_replace(true);
    let mut home = Vec::new();
    while let Some(shopper) = shoppers.join_next().await {
        home.push(shopper.map_err(|error| stuck(error.to_string()))??);
    }
    findings.buyers(&home, &books);
    findings.logs(&home, &[&host.customer.follower]);
    let mut figures = figures(&findings, &effects, &home, presence);
    if options.only.is_some() {
        pauses(&mut figures, &effects, &home);
    }
    Ok(figures)
}

/// Everybody who is there.
struct Crowd {
    shoppers: JoinSet<Result<Shopper, BuyerError>>,
    host: JoinHandle<Result<Host, BuyerError>>,
    bells: Bells,
}

/// Buyers and the host, who go to the nodes in turn.
fn crowd(
    options: &Options,
    servers: &[Server],
    show: ShowId,
    listings: &[ListingId],
    random: &mut StdRng,
    sessions: &Arc<Sessions>,
) -> Crowd {
    let (rush, is_rush) = watch::channel(0);
    let (open, is_open) = watch::channel(true);
    let (over, is_over) = watch::channel(false);
    let (settled, _) = watch::channel(0);
    // There is always a node somewhere: customers look for it.
    let (_, up) = watch::channel(true);
    let signals = Signals {
        rush: is_rush,
        open: is_open,
        over: is_over,
    };
    let nodes: Vec<&Server> = servers.iter().collect();
    let mut shoppers = JoinSet::new();
    for n in 1..=options.buyers as usize {
        let customer = Customer::new(&nodes, show, n, up.clone()).counted(sessions);
        let shopper = Shopper::new(
            customer,
            listings.to_vec(),
            StdRng::seed_from_u64(random.random()),
            signals.clone(),
        );
        shoppers.spawn(shopper.shop(settled.clone()));
    }
    let customer = Customer::new(&nodes, show, 0, up).with_token(servers[0].token());
    let totals = listings.iter().map(|listing| (*listing, UNITS)).collect();
    let host = Host::new(
        customer,
        totals,
        StdRng::seed_from_u64(random.random()),
        signals,
    );
    let bells = Bells {
        rush,
        open,
        over,
        settled,
    };
    Crowd {
        shoppers,
        host: tokio::spawn(host.work()),
        bells,
    }
}

/// Waits until every buyer's orders are settled; an error when one gave up or it takes too long.
async fn all_settled(
    bells: &Bells,
    crowd: &mut JoinSet<Result<Shopper, BuyerError>>,
    options: &Options,
) -> Result<(), String> {
    let all = options.buyers as usize;
    let mut settled = bells.settled.subscribe();
    let everybody = async {
        tokio::select! {
            // Nobody goes home before all is over.
            left = crowd.join_next() => Err(match left {
                Some(Ok(Err(error))) => format!("a buyer gave up: {error}"),
                Some(Err(error)) => format!("a buyer ended: {error}"),
                Some(Ok(Ok(_))) | None => "a buyer left early".to_owned(),
            }),
            done = settled.wait_for(|done| *done == all) => {
                done.map(|_| ()).map_err(|error| error.to_string())
            }
        }
    };
    let waited = tokio::time::timeout(SETTLED_WITHIN, everybody).await;
    waited.unwrap_or_else(|_| {
        let done = *bells.settled.borrow();
        Err(format!(
            "{done} of {all} buyers are done {SETTLED_WITHIN:?} after the sale"
        ))
    })
}

/// Looks at the ledger all the time: units that are promised beyond what there is may be covered up
/// later by units that the host adds. Gives the most that was ever seen.
fn audit(database: String, show: ShowId) -> (Arc<AtomicI64>, JoinHandle<()>) {
    let most = Arc::new(AtomicI64::new(0));
    let seen = most.clone();
    let task = tokio::spawn(async move {
        let mut connection = None;
        loop {
            tokio::time::sleep(AUDIT_EVERY).await;
            if connection.is_none() {
                connection = PgConnection::connect(&database).await.ok();
            }
            let Some(open) = connection.as_mut() else {
                continue;
            };
            match ledger::oversold(open, show).await {
                Ok(units) => {
                    seen.fetch_max(units, Ordering::Relaxed);
                }
                // The ledger is being killed: look again when it is back.
                Err(_) => connection = None,
            }
        }
    });
    (most, task)
}

/// How long after a fault answers still count as its effect.
const AFTERMATH: Duration = Duration::from_secs(2);

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn figures(
    findings: &Findings,
    effects: &[Effect],
    shoppers: &[Shopper],
    presence: Duration,
) -> Figures {
    let mut without_effect = 0_u32;
    for effect in effects {
        let during: Vec<Try> = shoppers
            .iter()
            .flat_map(|shopper| &shopper.customer.log.tries)
            .filter(|one| one.at < effect.to + AFTERMATH && one.at + one.took > effect.from)
            .copied()
            .collect();
        let count = |ended: Ended| during.iter().filter(|one| one.ended == ended).count();
        let (later, not) = (count(Ended::Later), count(Ended::Not));
        let lasted = effect.to - effect.from;
        let waited = during.iter().any(|one| one.took > lasted / 2);
        let real = effect.real && (!effect.must_refuse || waited || later + not > 0);
        without_effect += u32::from(!real);
        eprintln!(
            "{}{}: {} commands meanwhile, {later} told to try again, {not} without an answer; \
             answers p99 {:.0} ms",
            if real { "" } else { "NO EFFECT SEEN: " },
            effect.fault,
            during.len(),
            answers_p99(&during),
        );
    }
    let mut refused: BTreeMap<&str, u32> = BTreeMap::new();
    for (code, times) in shoppers.iter().flat_map(|one| &one.account.refused) {
        *refused.entry(code).or_default() += times;
    }
    eprintln!("refused: {refused:?}");
    let mut figures = Figures::default();
    findings.report(&mut figures);
    let late: u32 = shoppers.iter().map(|one| one.account.late).sum();
    figures.add("late_payments", f64::from(late));
    let turns: u32 = shoppers.iter().map(|one| one.account.offers).sum();
    figures.add("waitlist_turns", f64::from(turns));
    figures.add("presence_true_after_s", presence.as_secs_f64());
    figures.add("faults", effects.len() as f64);
    figures.add("faults_without_effect", f64::from(without_effect));
    figures
}

/// What buyers felt of one kind of fault, at worst.
fn pauses(figures: &mut Figures, effects: &[Effect], shoppers: &[Shopper]) {
    let tries = || shoppers.iter().flat_map(|one| &one.customer.log.tries);
    let mut decided: Vec<Instant> = tries()
        .filter(|one| one.ended == Ended::Answered)
        .map(|one| one.at + one.took)
        .collect();
    decided.sort();
    let during = |at: &Instant| {
        let within = |effect: &Effect| *at >= effect.from && *at <= effect.to + AFTERMATH;
        effects.iter().any(within)
    };
    let pause = decided
        .windows(2)
        .filter(|pair| during(&pair[1]))
        .map(|pair| pair[1] - pair[0])
        .max();
    figures.add("selling_pause_s", pause.unwrap_or_default().as_secs_f64());
    let during: Vec<Try> = tries().filter(|one| during(&one.at)).copied().collect();
    figures.add("answers_p99_ms", answers_p99(&during));
}

/// Of answers that came.
fn answers_p99(tries: &[Try]) -> f64 {
    let mut took: Vec<f64> = tries
        .iter()
        .filter(|one| one.ended != Ended::Not)
        .map(|one| one.took.as_secs_f64() * 1e3)
        .collect();
    took.sort_by(f64::total_cmp);
    percentile(&took, 99)
}
