//! A show that thousands of viewers join: how the server is started and where everybody runs.

use std::io;

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::oneshot;
use vetrina_protocol::id::ShowId;
use vetrina_protocol::view::Listing;

use super::Failed;
use super::crowd::Door;
use super::dialect::Dialect;
use crate::Common;
use crate::buyer::guest;
use crate::cores::pin_this_thread;
use crate::market::{self, Stall};
use crate::progress::Progress;
use crate::server::Server;
use crate::stack;

/// Who comes, and on which cores everybody runs.
#[derive(Args, Clone)]
pub(crate) struct Place {
    /// Viewers, each with a socket of its own.
    #[arg(long, default_value_t = 10_000, value_parser = viewers)]
    pub(crate) viewers: usize,
    /// Cores of a server that is started here; its worker threads follow.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "0",
        value_name = "CORE,.."
    )]
    pub(crate) server_cores: Vec<usize>,
    /// Cores of the crowd: one thread reads, one speaks.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1",
        value_name = "CORE,.."
    )]
    pub(crate) client_cores: Vec<usize>,
    /// The process of a server named with --target, on this machine, to see what it costs.
    #[arg(long, requires = "target", value_name = "PID")]
    pub(crate) server_process: Option<u32>,
    /// Bytes of a comment's text.
    #[arg(long, default_value_t = 64, value_name = "BYTES", value_parser = text_bytes)]
    pub(crate) text_bytes: usize,
    /// Sessions that are being opened at a time.
    #[arg(long, default_value_t = 512, value_name = "SESSIONS", value_parser = viewers)]
    pub(crate) window: usize,
}

fn viewers(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| "not a number".to_owned())?;
    if (1..=100_000).contains(&number) {
        Ok(number)
    } else {
        Err("from 1 to 100000".into())
    }
}

fn text_bytes(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| "not a number".to_owned())?;
    // The mark needs the first ones; the protocol takes 300 characters.
    if (32..=280).contains(&number) {
        Ok(number)
    } else {
        Err("from 32 to 280".into())
    }
}

/// Tokens asked for at a time.
const ASKING_MAX: usize = 32;

/// A live show of a running server.
pub(crate) struct Room {
    pub(crate) server: Server,
    pub(crate) show: ShowId,
    pub(crate) listings: Vec<Listing>,
    /// Of the server, to see what they cost.
    pub(crate) processes: Vec<u32>,
}

impl Room {
    /// Opens a show at the server that was named, or at one of our own with these arguments too.
    pub(crate) async fn open(
        common: &Common,
        place: &Place,
        arguments: &[&str],
    ) -> Result<Self, Failed> {
        let running = Server::target(common).await?;
        let server = match running {
            Some(server) => server,
            None => {
                // Guests of one address; in the field each has its own.
                let mut all = vec!["--guests-per-minute".to_owned(), "10000000".to_owned()];
                all.extend(arguments.iter().map(|word| (*word).to_owned()));
                Server::own_on(&all, &place.server_cores).await?
            }
        };
        let stall = Stall {
            listings: 5,
            units: 100_000,
            inventory: 1_000_000,
            per_buyer: 5,
            reservation_ttl_s: 600,
            order_deadline_s: 600,
        };
        let (show, listings) = market::open(&server, &stall).await?;
        let processes = server.process().or(place.server_process);
        Ok(Self {
            server,
            show,
            listings,
            processes: processes.into_iter().collect(),
        })
    }

    /// A way in for everybody, each as a guest of their own.
    pub(crate) async fn door(&self, place: &Place) -> Result<Door, Failed> {
        let http = stack::client()?;
        let progress = Progress::new("tokens", place.viewers);
        let asking = stream::iter(0..place.viewers).map(|_| async {
            let grant = guest(&http, &self.server.base, self.show).await;
            progress.step();
            grant.map(|grant| grant.token)
        });
        let tokens = asking.buffered(ASKING_MAX).try_collect().await?;
        progress.end();
        Ok(Door {
            address: self.server.address,
            path: format!("/v1/shows/{}/channel", self.show),
            dialect: Dialect::Vetrina,
            tokens,
            window: place.window,
            returns: true,
            small_buffers: 0..0,
        })
    }
}

/// Does something that blocks on a thread of its own, on the crowd's cores.
pub(crate) async fn on_stage<T: Send + 'static>(
    place: &Place,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failed> {
    let (done, wait) = oneshot::channel();
    let cores = place.client_cores.clone();
    let thread = std::thread::Builder::new().name("crowd".into());
    thread.spawn(move || {
        let result = pin_this_thread(&cores).and_then(|()| work());
        // Nobody waits any more when the command was given up.
        let _ = done.send(result);
    })?;
    let ended = wait.await;
    Ok(ended.map_err(|_| Failed::Asked("the crowd's thread panicked".into()))??)
}
