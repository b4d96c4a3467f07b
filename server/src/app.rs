//! Composes the parts and runs them until shutdown. The only place that knows them all.

mod listeners;
mod payments;
mod stores;

use std::fs::File;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use vetrina_core::limits::Rate;
use vetrina_protocol::id::SellerId;

use crate::auth::Tokens;
use crate::broadcasts::{Broadcasts, Frames};
use crate::channel::{AdmissionLimits, Channel, ChannelConfig};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::serve::{serve, tls_config};
use crate::ops::feed::{Feed, Sources};
use crate::ops::health::Health;
use crate::ops::metrics::Metrics;
use crate::origins::Origins;
use crate::payment::sandbox::Sandbox;
use crate::rates::{ADDRESSES_MAX, SharedRates};
use crate::shop::{self, Shop};
pub use listeners::{Listeners, RunError};
use payments::Payments;
pub(crate) use payments::run_sandbox;
use stores::Stores;
use vetrina_store::blob::FolderBlobs;
use vetrina_store::ledger::{OpenError, SellerRow, is_shared, without_guard};
use vetrina_store::postgres::PostgresBlobs;
use vetrina_store::{BlobStore, Ledger};

/// The seller that every ledger begins with, and whose tokens `vetrina token` mints unless told
/// otherwise: most servers have one only. A version 8 id of our own scheme.
pub const FIRST_SELLER: SellerId = SellerId(0x7665_7472_696e_8000_8000_0000_0000_0001);

/// The parts as HTTP handlers see them.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) metrics: Metrics,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) shop: Shop,
    pub(crate) channel: Channel,
    pub(crate) media: vetrina_media::Media,
    pub(crate) broadcasts: Broadcasts,
    pub(crate) origins: Origins,
    pub(crate) payments: Option<Arc<Payments>>,
    /// Guest tokens by address.
    pub(crate) guests: SharedRates<IpAddr>,
    pub(crate) feed: Feed,
    pub(crate) health: Health,
    pub(crate) shutdown: CancellationToken,
}

/// The records that a configuration names, open. Programs that seed or import use them without a
/// server.
pub struct Records {
    /// What is promised.
    pub ledger: Arc<dyn Ledger>,
    /// Pictures.
    pub blobs: Arc<dyn BlobStore>,
}

impl Records {
    /// Opens them, making the folder and the ledger's tables if they are missing.
    ///
    /// # Errors
    /// The folder or the ledger cannot be opened.
    pub async fn open(config: &Config) -> Result<Self, RunError> {
        let folder = |source| RunError::Folder {
            path: config.data_dir.clone(),
            source,
        };
        std::fs::create_dir_all(&config.data_dir).map_err(folder)?;
        let ledger = vetrina_store::ledger::open(config.database.expose()).await?;
        if config.without_guard {
            tracing::warn!("the ledger's guard is off: units are oversold on purpose");
            without_guard(config.database.expose()).await?;
        }
        let url = config.database.expose();
        let blobs: Arc<dyn BlobStore> = if is_shared(url) {
            Arc::new(PostgresBlobs::at(url).map_err(OpenError::from)?)
        } else {
            Arc::new(FolderBlobs::open(config.data_dir.join("pictures")).map_err(folder)?)
        };
        Ok(Self { ledger, blobs })
    }
}

/// A server that is ready to run.
pub struct App {
    config: Arc<Config>,
    listeners: Listeners,
    records: Records,
    clock: Clock,
    /// One process per folder: the hot state is in memory.
    _lock: File,
}

impl App {
    /// Opens the records for these listeners.
    ///
    /// # Errors
    /// Another process uses the folder, or it cannot be opened.
    pub async fn open(config: Config, listeners: Listeners) -> Result<Self, RunError> {
        let folder = |source| RunError::Folder {
            path: config.data_dir.clone(),
            source,
        };
        std::fs::create_dir_all(&config.data_dir).map_err(folder)?;
        let lock = File::create(config.data_dir.join("lock")).map_err(folder)?;
        lock.try_lock().map_err(|_| RunError::FolderInUse {
            path: config.data_dir.clone(),
        })?;
        let records = Records::open(&config).await?;
        Ok(Self {
            config: Arc::new(config),
            listeners,
            records,
            clock: Clock::system(),
            _lock: lock,
        })
    }

    /// The records, to seed them before the start or to look into them.
    #[must_use]
    pub const fn records(&self) -> &Records {
        &self.records
    }

    /// The server's clock.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The listeners, to learn their addresses.
    #[must_use]
    pub const fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// Serves until `shutdown`, then lets requests and sessions end within the grace period.
    ///
    /// # Errors
    /// A part that the server cannot do without stopped.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        // Three quarters of the grace period for the sessions, the rest for open requests.
        let last = self.config.shutdown_grace / 4;
        let grace = self.config.shutdown_grace - last;
        let tls = match &self.config.tls {
            Some(tls) => Some(tls_config(tls).map_err(RunError::Tls)?),
            None => None,
        };
        let ledger = self.records.ledger.clone();
        let metrics = Metrics::new();
        let stores = Stores::open(&self.config, ledger, &self.clock, &metrics)?;
        self.found_first_seller().await?;
        let provider = payments::open_provider(&self.config, &self.listeners).await?;
        let sandbox = provider.as_ref().and_then(|it| it.sandbox.clone());
        let (parts, mut tasks) = self.compose(&stores, provider.as_ref(), metrics, &shutdown)?;
        let media = parts.media.clone();
        let channel = parts.channel.clone();
        let routers =
            crate::http::routers(parts, provider.as_ref().map(|it| it.pay_origin.as_str()));
        // The public side stops when the sessions have gone, the ops side last of all: until then
        // it tells whoever routes traffic that this node is leaving.
        let (stop, stop_ops) = (CancellationToken::new(), CancellationToken::new());
        let mut servers = JoinSet::new();
        let mut start = |listener, router, tls, stop: &CancellationToken| {
            servers.spawn(serve(listener, router, tls, stop.clone(), last));
        };
        start(self.listeners.public, routers.public, tls.clone(), &stop);
        if let (Some(sandbox), Some(listener)) = (&sandbox, self.listeners.sandbox) {
            start(listener, sandbox.routes(), tls, &stop);
        }
        if let (Some(sandbox), Some(listener)) = (&sandbox, self.listeners.internal) {
            let routes = sandbox.routes();
            let webhooks = routers.webhooks.fallback_service(routes);
            start(listener, webhooks, None, &stop);
        }
        let ops = serve(
            self.listeners.ops,
            routers.ops,
            None,
            stop_ops.clone(),
            last,
        );
        let mut ops_server = JoinSet::from_iter([ops]);
        tracing::info!("the server is ready");
        let draining = tokio::spawn({
            let (shutdown, stop) = (shutdown.clone(), stop.clone());
            async move {
                shutdown.cancelled().await;
                channel.drain(grace).await;
                stop.cancel();
            }
        });
        let served = tokio::select! {
            served = until_done(&mut servers, &shutdown) => served,
            served = until_done(&mut ops_server, &shutdown) => served,
        };
        // One of them failed, or all public ones have ended: so `shutdown` is cancelled.
        if let Err(error) = draining.await {
            tracing::error!(%error, "the channel was not drained");
        }
        let served = served.and(until_done(&mut servers, &shutdown).await);
        media.shutdown().await;
        tasks.shutdown().await;
        stores.hot.shutdown().await;
        self.records.ledger.close().await;
        stop_ops.cancel();
        let served = served.and(until_done(&mut ops_server, &shutdown).await);
        tracing::info!("the server has stopped");
        served
    }

    /// A server without any seller could not make its first show.
    async fn found_first_seller(&self) -> Result<(), RunError> {
        let ledger = &self.records.ledger;
        if ledger.seller(FIRST_SELLER).await?.is_none() {
            let name = self.config.seller_name.clone();
            let seller = SellerRow {
                id: FIRST_SELLER,
                name,
            };
            ledger.put_seller(seller).await?;
        }
        Ok(())
    }

    fn compose(
        &self,
        stores: &Stores,
        provider: Option<&payments::OpenProvider>,
        metrics: Metrics,
        shutdown: &CancellationToken,
    ) -> Result<(Parts, JoinSet<()>), RunError> {
        let media = self.listeners.media.clone();
        let origins = stores.origins(&self.config, &self.listeners)?;
        let (ledger, hot) = (&stores.ledger, &stores.hot);
        let client = provider.map(|it| it.client.clone());
        let intents = client
            .clone()
            .map(|client| crate::payment::Intents::new(ledger.clone(), client));
        let shop = Shop::new(shop::Parts {
            hot: hot.clone(),
            ledger: ledger.clone(),
            shared: stores.shared.clone(),
            payments: intents.clone(),
            media: Arc::new(Frames(media.clone())),
            origins: origins.clone(),
            clock: self.clock.clone(),
            metrics: metrics.clone(),
        });
        let payments = match (client, intents) {
            (Some(client), Some(intents)) => Some(Arc::new(Payments::new(
                &self.config.node,
                ledger.clone(),
                client,
                intents,
                Arc::new(shop.clone()),
                self.clock.clone(),
            ))),
            _ => None,
        };
        let tokens = Arc::new(tokens(&self.config));
        let feed = Feed::new(Sources {
            node: self.config.node.clone(),
            metrics: metrics.clone(),
            media: media.clone(),
            ledger: ledger.clone(),
            hot: hot.clone(),
            clock: self.clock.clone(),
            takes_payments: payments.is_some(),
            sessions_max: self.config.limits.sessions_max,
        });
        let parts = Parts {
            config: self.config.clone(),
            clock: self.clock.clone(),
            channel: Channel::new(shop.clone(), tokens.clone(), channel_config(&self.config)),
            tokens,
            ledger: ledger.clone(),
            blobs: self.records.blobs.clone(),
            broadcasts: Broadcasts::new(
                media.clone(),
                shop.clone(),
                origins.clone(),
                metrics.clone(),
                shutdown.clone(),
            ),
            metrics,
            shop,
            media,
            origins,
            payments,
            guests: self.guests(stores),
            feed,
            health: Health::new(ledger.clone(), hot.clone(), shutdown.clone()),
            shutdown: shutdown.clone(),
        };
        let sandbox = provider.and_then(|it| it.sandbox.clone());
        let tasks = background(&parts, sandbox, shutdown);
        Ok((parts, tasks))
    }

    fn guests(&self, stores: &Stores) -> SharedRates<IpAddr> {
        let per_minute = self.config.limits.guests_per_minute;
        let rate = Rate {
            burst: per_minute,
            per_minute,
        };
        let (shared, clock) = (stores.shared.clone(), self.clock.clone());
        SharedRates::new("guests", rate, ADDRESSES_MAX, shared, clock)
    }
}

fn tokens(config: &Config) -> Tokens {
    let keys = &config.tokens;
    Tokens::new(&keys.issuer, &keys.signing, keys.previous.as_ref())
}

fn channel_config(config: &Config) -> ChannelConfig {
    let per_address = u32::try_from(config.limits.sessions_per_address).unwrap_or(u32::MAX);
    let origins = config.public_url.iter().chain(&config.allowed_origins);
    ChannelConfig {
        admission: AdmissionLimits {
            sessions_max: config.limits.sessions_max,
            sessions_per_address_max: per_address,
            // Everybody of an address may come (back) at once, and three times in a minute.
            opens_per_address: Rate {
                burst: per_address,
                per_minute: per_address.saturating_mul(3),
            },
        },
        allowed_origins: origins.map(ToString::to_string).collect(),
    }
}

/// What goes on beside requests.
fn background(
    parts: &Parts,
    sandbox: Option<Sandbox>,
    shutdown: &CancellationToken,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let (shop, feed) = (parts.shop.clone(), parts.feed.clone());
    let (house, samples) = (shutdown.clone(), shutdown.clone());
    tasks.spawn(async move { shop.keep_house(house).await });
    tasks.spawn(async move { feed.run(samples).await });
    let channel = parts.channel.clone();
    tasks.spawn(async move { channel.settle_rates().await });
    let guests = parts.guests.clone();
    tasks.spawn(async move { guests.run().await });
    if let Some(payments) = parts.payments.clone() {
        tasks.spawn(async move { payments.worker.run().await });
    }
    if let Some(sandbox) = sandbox {
        tasks.spawn(async move {
            if let Err(error) = sandbox.run().await {
                tracing::error!(%error, "the sandbox provider stopped sending webhooks");
            }
        });
    }
    tasks
}

/// Until all servers have ended: after `shutdown`, or because one failed, which ends the others.
async fn until_done(
    servers: &mut JoinSet<std::io::Result<()>>,
    shutdown: &CancellationToken,
) -> Result<(), RunError> {
    let mut outcome = Ok(());
    while let Some(ended) = servers.join_next().await {
        let ended = ended.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        if let Err(source) = ended {
            tracing::error!(%source, "a listener failed; the server stops");
            outcome = Err(RunError::Listener(source));
            shutdown.cancel();
        }
    }
    outcome
}

/// Runs the server on `listeners` until `shutdown` is cancelled, then drains.
///
/// # Errors
/// A part that the server cannot do without did not start, or stopped.
pub async fn run(
    config: Config,
    listeners: Listeners,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    App::open(config, listeners).await?.run(shutdown).await
}
