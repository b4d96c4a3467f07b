//! `reserve`: ten thousand buyers ask for one of a hundred units in the same moment. Everybody must
//! be answered, and never may more be granted than there are, by the answers that buyers got and by
//! the server's own books afterwards.

#![expect(clippy::print_stderr, reason = "a command-line tool")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;
use vetrina_protocol::client::ClientMessage;
use vetrina_protocol::id::{ListingId, ShowId};
use vetrina_protocol::server::ServerMessage;
use vetrina_protocol::view::Stock;

use crate::Common;
use crate::buyer::{self, BuyerError, Session};
use crate::market::{self, Stall};
use crate::open_files::{self, TooFew};
use crate::progress::Progress;
use crate::report::{Figures, percentile};
use crate::server::{Server, ServerError};
use crate::stack::{Plan, Stack, StackError, Stores};

/// Options of the command.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Buyers, each with a socket of its own.
    #[arg(
        long,
        default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..=100_000),
    )]
    buyers: u32,
    /// Units on sale.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    units: u32,
    /// Nodes of our own; buyers are spread over them. More than one share Redis and PostgreSQL.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=8))]
    nodes: u16,
    /// Where our own nodes keep reservations.
    #[arg(long, value_enum, default_value_t = Store::Memory)]
    store: Store,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    /// In the node, with SQLite beside it.
    Memory,
    /// In a Redis that is started for this, with PostgreSQL beside it.
    Redis,
}

/// Why the command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("{0}")]
    Server(#[from] ServerError),
    #[error("{0}")]
    Show(#[from] BuyerError),
    #[error(transparent)]
    OpenFiles(#[from] TooFew),
    #[error("{joined} of {buyers} buyers could join; the first that could not: {first}")]
    NotJoined {
        joined: usize,
        buyers: u32,
        first: String,
    },
    #[error("{0}")]
    Stack(#[from] StackError),
    #[error("{0} nodes cannot share a store in memory: add --store redis")]
    NotShared(u16),
    #[error("--nodes and --store are of servers that are started here: leave --target out")]
    NotOurs,
    #[error("not done within {0} s")]
    TimedOut(u64),
}

/// Buyers that join at a time: a storm of joins is another command's matter.
const JOINING_MAX: usize = 128;

/// How one buyer was answered.
enum Answer {
    Granted { units: u32, after_ms: f64 },
    Refused { code: &'static str, after_ms: f64 },
    None,
}

pub(crate) async fn run(options: Options) -> Result<Figures, Failed> {
    let seconds = options.common.timeout_s;
    tokio::time::timeout(Duration::from_secs(seconds), reserve(options))
        .await
        .unwrap_or(Err(Failed::TimedOut(seconds)))
}

async fn reserve(options: Options) -> Result<Figures, Failed> {
    open_files::raise(options.buyers as usize, 1)?;
    // Ends with this value.
    let (_stack, servers) = servers(&options).await?;
    let servers = Arc::new(servers);
    let server = &servers[0];
    let stall = Stall {
        listings: 1,
        units: options.units,
        inventory: options.units,
        per_buyer: 1,
        reservation_ttl_s: 600,
        order_deadline_s: 600,
    };
    let (show, listings) = market::open(server, &stall).await?;
    let listing = listings.first().ok_or_else(|| missing("the listing"))?.id;
    let sessions = join_all(&servers, show, options.buyers).await?;
    // An answer that has not come after this time will not: the rest of the time is for the end.
    let patience = Duration::from_secs((options.common.timeout_s / 2).max(1));
    let answers = ask_all(sessions, listing, patience).await;
    let books = books(&servers, show, listing).await?;
    Ok(figures(&answers, books, &options))
}

/// The running server, or nodes of our own.
async fn servers(options: &Options) -> Result<(Option<Stack>, Vec<Server>), Failed> {
    let Options { nodes, store, .. } = *options;
    if let Some(running) = Server::target(&options.common).await? {
        if nodes > 1 || store == Store::Redis {
            return Err(Failed::NotOurs);
        }
        return Ok((None, vec![running]));
    }
    let stores = match store {
        Store::Memory if nodes > 1 => return Err(Failed::NotShared(nodes)),
        Store::Memory => Stores::Own,
        Store::Redis => Stores::Single,
    };
    let stack = Stack::start(&Plan::selling(nodes.into(), stores)).await?;
    let servers = (0..stack.nodes.len()).map(|n| Server::node(&stack, n));
    let servers = servers.collect();
    Ok((Some(stack), servers))
}

fn missing(what: &str) -> BuyerError {
    BuyerError::Protocol(format!("{what} is missing"))
}

async fn join_all(
    servers: &Arc<Vec<Server>>,
    show: ShowId,
    buyers: u32,
) -> Result<Vec<Session>, Failed> {
    let progress = Arc::new(Progress::new("joining", buyers as usize));
    let joining = Arc::new(Semaphore::new(JOINING_MAX));
    let mut tasks = JoinSet::new();
    for n in 0..buyers as usize {
        let (servers, joining, progress) = (servers.clone(), joining.clone(), progress.clone());
        tasks.spawn(async move {
            let _turn = joining.acquire().await;
            let session = join(&servers[n % servers.len()], show, n).await;
            progress.step();
            session
        });
    }
    let mut sessions = Vec::with_capacity(buyers as usize);
    let mut first = None;
    while let Some(joined) = tasks.join_next().await {
        match joined {
            Ok(Ok(session)) => sessions.push(session),
            Ok(Err(error)) => first = first.or(Some(error.to_string())),
            Err(error) => first = first.or(Some(error.to_string())),
        }
    }
    progress.end();
    match first {
        None => Ok(sessions),
        Some(first) => Err(Failed::NotJoined {
            joined: sessions.len(),
            buyers,
            first,
        }),
    }
}

async fn join(server: &Server, show: ShowId, n: usize) -> Result<Session, BuyerError> {
    let source = buyer::source_address(n);
    let http = reqwest::Client::builder()
        .no_proxy()
        .local_address(source)
        .build()?;
    let guest = buyer::guest(&http, &server.base, show).await?;
    let (session, _) = Session::open(server.address, source, show, &guest.token).await?;
    Ok(session)
}

/// All ask in the same moment.
async fn ask_all(sessions: Vec<Session>, listing: ListingId, patience: Duration) -> Vec<Answer> {
    let progress = Arc::new(Progress::new("answered", sessions.len()));
    let start = Arc::new(Barrier::new(sessions.len()));
    let mut tasks = JoinSet::new();
    for mut session in sessions {
        let (start, progress) = (start.clone(), progress.clone());
        tasks.spawn(async move {
            start.wait().await;
            let answer = tokio::time::timeout(patience, ask(&mut session, listing)).await;
            progress.step();
            // The session stays open until all are answered: leaving is not part of the load.
            (session, answer.unwrap_or(Answer::None))
        });
    }
    let mut kept = Vec::new();
    let mut answers = Vec::new();
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok((session, answer)) => {
                kept.push(session);
                answers.push(answer);
            }
            Err(_) => answers.push(Answer::None),
        }
    }
    progress.end();
    answers
}

async fn ask(session: &mut Session, listing: ListingId) -> Answer {
    let asked = Instant::now();
    let command = ClientMessage::Reserve {
        id: 1,
        key: uuid::Uuid::new_v4().to_string(),
        listing,
        quantity: 1,
        media_time: None,
    };
    if session.send(&command).await.is_err() {
        return Answer::None;
    }
    let answer = session.answer(1).await;
    let after_ms = asked.elapsed().as_secs_f64() * 1e3;
    match answer {
        Ok(ServerMessage::Ok(done)) => Answer::Granted {
            units: done.reservation.map_or(0, |r| r.quantity),
            after_ms,
        },
        Ok(ServerMessage::Refused { code, .. }) => Answer::Refused {
            code: code.as_str(),
            after_ms,
        },
        _ => Answer::None,
    }
}

/// The listing's stock as a newcomer to each node is told: the one that promised most.
async fn books(servers: &[Server], show: ShowId, listing: ListingId) -> Result<Stock, BuyerError> {
    let mut most = Stock::default();
    for server in servers {
        let source = buyer::source_address(0);
        let (_, welcome) = Session::open(server.address, source, show, server.token()).await?;
        let snapshot = welcome.snapshot.ok_or_else(|| missing("the snapshot"))?;
        let listing = snapshot.listings.iter().find(|l| l.id == listing);
        let stock = listing.ok_or_else(|| missing("the listing"))?.stock;
        if stock.reserved + stock.claimed >= most.reserved + most.claimed {
            most = stock;
        }
    }
    Ok(most)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn figures(answers: &[Answer], books: Stock, options: &Options) -> Figures {
    let mut granted = 0_u32;
    let mut unanswered = options.buyers as usize - answers.len();
    let mut after = Vec::new();
    let mut refused: BTreeMap<&'static str, u32> = BTreeMap::new();
    for answer in answers {
        match answer {
            Answer::Granted { units, after_ms } => {
                granted += units;
                after.push(*after_ms);
            }
            Answer::Refused { code, after_ms } => {
                *refused.entry(code).or_default() += 1;
                after.push(*after_ms);
            }
            Answer::None => unanswered += 1,
        }
    }
    after.sort_by(f64::total_cmp);
    let by_answers = granted.saturating_sub(options.units);
    let by_books = (books.reserved + books.claimed).saturating_sub(options.units);
    let mut figures = Figures::default();
    figures.add("granted", f64::from(granted));
    figures.add("oversold", f64::from(by_answers.max(by_books)));
    figures.add("unanswered", unanswered as f64);
    figures.add("answered_p50_ms", percentile(&after, 50));
    figures.add("answered_p99_ms", percentile(&after, 99));
    figures.add("reserved_in_books", f64::from(books.reserved));
    let sold_out = refused.remove("sold_out").unwrap_or(0);
    figures.add("refused_sold_out", f64::from(sold_out));
    figures.add(
        "refused_otherwise",
        f64::from(refused.values().sum::<u32>()),
    );
    for (code, count) in refused {
        eprintln!("refused {count} times with {code}, which is not an answer about stock");
    }
    figures
}
