//! The host of a round: changes prices and pins until the crash, and keeps a log of what was
//! acknowledged and what was tried last.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use vetrina_protocol::client::ClientMessage;
use vetrina_protocol::id::{ListingId, ShowId};
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::server::ServerMessage;
use vetrina_protocol::view::Listing;

use crate::buyer::{self, Session};
use crate::server::Server;

/// Between two changes: a busy host.
const CHANGE_EVERY: Duration = Duration::from_millis(15);

/// One thing that the host sets: what was acknowledged last, and what was tried after that, which
/// may or may not have come through.
#[derive(Debug, Clone)]
pub(super) struct Setting<T> {
    pub(super) acknowledged: Option<T>,
    pub(super) tried: Option<T>,
}

impl<T> Default for Setting<T> {
    fn default() -> Self {
        Self {
            acknowledged: None,
            tried: None,
        }
    }
}

impl<T: PartialEq + Clone> Setting<T> {
    /// Whether a value that is there now is one that may be.
    pub(super) fn allows(&self, now: &T) -> bool {
        match (&self.acknowledged, &self.tried) {
            (None, _) => true,
            (Some(acknowledged), tried) => now == acknowledged || Some(now) == tried.as_ref(),
        }
    }
}

/// What the host was told.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) prices: BTreeMap<ListingId, Setting<Money>>,
    pub(super) pin: Setting<ListingId>,
}

pub(super) struct Host {
    server: SocketAddr,
    token: String,
    show: ShowId,
    listings: Vec<ListingId>,
    random: StdRng,
}

impl Host {
    pub(super) fn new(server: &Server, show: ShowId, listings: &[Listing], seed: u64) -> Self {
        Self {
            server: server.address,
            token: server.token().to_owned(),
            show,
            listings: listings.iter().map(|listing| listing.id).collect(),
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// Works until the server goes away.
    pub(super) async fn work(mut self, up: watch::Receiver<bool>) -> Log {
        let mut log = Log::default();
        let source = buyer::source_address(0);
        // Killed before the host came: nothing was acknowledged.
        let Ok((mut session, _)) = Session::open(self.server, source, self.show, &self.token).await
        else {
            return log;
        };
        let mut id = 1;
        while *up.borrow() {
            id += 1;
            let listing = self.listings[self.random.random_range(0..self.listings.len())];
            let key = format!("host-{id}");
            let acknowledged = if self.random.random_bool(0.5) {
                let price = Money::new(self.random.random_range(100..10_000), Currency::EUR);
                log.prices.entry(listing).or_default().tried = Some(price);
                let command = ClientMessage::SetPrice {
                    id,
                    key,
                    listing,
                    price,
                };
                let acknowledged = acknowledged(&mut session, id, &command).await;
                if acknowledged {
                    log.prices.entry(listing).or_default().acknowledged = Some(price);
                }
                acknowledged
            } else {
                log.pin.tried = Some(listing);
                let command = ClientMessage::Pin {
                    id,
                    key,
                    listing,
                    media_time: None,
                };
                let acknowledged = acknowledged(&mut session, id, &command).await;
                if acknowledged {
                    log.pin.acknowledged = Some(listing);
                }
                acknowledged
            };
            if !acknowledged {
                break;
            }
            tokio::time::sleep(CHANGE_EVERY).await;
        }
        log
    }
}

async fn acknowledged(session: &mut Session, id: u32, command: &ClientMessage) -> bool {
    if session.send(command).await.is_err() {
        return false;
    }
    matches!(session.answer(id).await, Ok(ServerMessage::Ok(_)))
}
