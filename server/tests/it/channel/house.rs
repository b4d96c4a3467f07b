//! A server of its own per test: free ports, a folder of its own, one seller with one live show.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vetrina::Listeners;
use vetrina::app::App;
use vetrina::auth::{Principal, Shows, Tokens};
use vetrina::clock::Clock;
use vetrina::config::{Config, Gathered};
use vetrina_core::checkout::BodyDigest;
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::id::{ListingId, ProductId, SellerId, ShowId, SkuId, UserId};
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::view::{Role, ShowState};
use vetrina_store::ledger::{
    Catalogue, NewListingRow, NewSkuRow, Once, ProductRow, SellerRow, ShowRow,
};
use vetrina_store::sqlite::SqliteLedger;

use super::client::Client;

/// Long enough for a busy machine, short enough to notice a hang.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// Longer than any test moves the clock, but for those that mean to.
pub(super) const TOKEN_LIFE_MS: i64 = 7 * 86_400_000;

/// A running server.
pub(super) struct House {
    pub(super) address: SocketAddr,
    pub(super) clock: Clock,
    pub(super) show: ShowId,
    pub(super) seller: SellerId,
    pub(super) listings: Vec<ListingId>,
    tokens: Tokens,
    people: AtomicU64,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
    folder: Arc<TempDir>,
}

pub(super) fn eur(amount_minor: i64) -> Money {
    Money::new(amount_minor, Currency::EUR)
}

impl House {
    /// With one listing of 24.00 EUR per entry: units, and most units per buyer. The show is live.
    pub(super) async fn open(listings: &[(u32, u32)]) -> Self {
        Self::open_with(listings, |gathered| gathered).await
    }

    /// The same with other options.
    pub(super) async fn open_with(
        listings: &[(u32, u32)],
        options: impl FnOnce(Gathered) -> Gathered,
    ) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        let (app, config) = prepare(&folder, options).await;
        let ledger = app.records().ledger.clone();
        let seller = SellerId::now();
        let show = ShowId::now();
        seed_show(&ledger, seller, show).await;
        let mut ids = Vec::new();
        for (place, (total, per_buyer)) in listings.iter().enumerate() {
            ids.push(seed_listing(&ledger, seller, show, place, *total, *per_buyer).await);
        }
        let house = Self::start(app, &config, folder, (seller, show, ids));
        let mut host = house.join(Role::Host, Encoding::MessagePack).await;
        host.command(|id, key| vetrina_protocol::client::ClientMessage::StartShow { id, key })
            .await
            .expect("the show starts");
        house
    }

    fn start(
        app: App,
        config: &Config,
        folder: Arc<TempDir>,
        (seller, show, listings): (SellerId, ShowId, Vec<ListingId>),
    ) -> Self {
        let address = app.listeners().public_address().expect("a bound address");
        let clock = app.clock().clone();
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let running = tokio::spawn(async move {
            app.run(stop).await.expect("the server runs");
        });
        Self {
            address,
            clock,
            show,
            seller,
            listings,
            tokens: Tokens::new(&config.tokens.issuer, &config.tokens.signing, None),
            people: AtomicU64::new(1),
            shutdown,
            running,
            folder,
        }
    }

    /// Stops the server as an operator would, and starts another one on the same records.
    pub(super) async fn restart(self) -> Self {
        let people = self.people.load(Ordering::Relaxed);
        self.shutdown.cancel();
        tokio::time::timeout(DEADLINE, self.running)
            .await
            .expect("in time")
            .expect("ends well");
        let (app, config) = prepare(&self.folder, |gathered| gathered).await;
        let facts = (self.seller, self.show, self.listings);
        let house = Self::start(app, &config, self.folder, facts);
        house.people.store(people, Ordering::Relaxed);
        house
    }

    /// Asks the server to end, without waiting for it.
    pub(super) fn begin_shutdown(&self) {
        self.shutdown.cancel();
    }

    /// Somebody new with this role.
    pub(super) fn person(&self, role: Role) -> Principal {
        let number = self.people.fetch_add(1, Ordering::Relaxed);
        Principal {
            user: UserId::now(),
            name: format!("{role:?} {number}"),
            role,
            seller: Some(self.seller),
            shows: Shows::One(self.show),
            expires_at_ms: self.clock.now().plus_ms(TOKEN_LIFE_MS),
        }
    }

    /// A token of this person.
    pub(super) fn token(&self, person: &Principal) -> String {
        self.tokens.mint(person, self.clock.now())
    }

    /// A new person's session.
    pub(super) async fn join(&self, role: Role, encoding: Encoding) -> Client {
        self.join_as(&self.person(role), encoding).await
    }

    /// A session of this person.
    pub(super) async fn join_as(&self, person: &Principal, encoding: Encoding) -> Client {
        let mut client = Client::connect(self.address, self.show, encoding).await;
        client.hello(&self.token(person), None).await;
        client
    }
}

async fn prepare(folder: &TempDir, options: impl FnOnce(Gathered) -> Gathered) -> (App, Config) {
    let gathered = Gathered::new(true)
        .with("data-dir", folder.path().display().to_string())
        .with("listen", "127.0.0.1:0")
        .with("ops-listen", "127.0.0.1:0")
        .with("sandbox-listen", "127.0.0.1:0")
        .with("udp-port", "0")
        .with("shutdown-grace", "5")
        .with("sessions-per-address", "5000");
    let config = Config::from_gathered(&options(gathered)).expect("a good configuration");
    let listeners = Listeners::bind(&config).expect("free ports");
    let app = App::open(config.clone(), listeners)
        .await
        .expect("the records open");
    (app, config)
}

async fn seed_show(ledger: &SqliteLedger, seller: SellerId, show: ShowId) {
    let name = "Ceramiche Rossi".to_owned();
    let row = SellerRow {
        id: seller,
        name: name.clone(),
    };
    ledger.put_seller(row).await.expect("a seller");
    let row = ShowRow {
        id: show,
        seller,
        seller_name: name,
        title: "Fatto a mano".into(),
        state: ShowState::Scheduled,
        currency: Currency::EUR,
        starts_at: None,
        live_at: None,
        ended_at: None,
        poster: None,
        reservation_ttl_s: 120,
        order_deadline_s: 600,
        created_at: vetrina_protocol::time::UnixMs(1),
    };
    ledger
        .create_show(once(seller, "show"), row)
        .await
        .expect("a show");
}

async fn seed_listing(
    ledger: &SqliteLedger,
    seller: SellerId,
    show: ShowId,
    place: usize,
    total: u32,
    per_buyer: u32,
) -> ListingId {
    let (product, sku, listing) = (ProductId::now(), SkuId::now(), ListingId::now());
    let row = ProductRow {
        id: product,
        seller,
        title: format!("Vaso {place}"),
        description: None,
        picture: None,
        skus: Vec::new(),
        created_at: vetrina_protocol::time::UnixMs(1),
    };
    let new_sku = NewSkuRow {
        id: sku,
        code: format!("VASO-{place}"),
        variant: None,
        price: eur(2_400),
        inventory: total,
    };
    let key = format!("product {place}");
    ledger
        .create_product(once(seller, &key), row, vec![new_sku])
        .await
        .expect("a product");
    let row = NewListingRow {
        id: listing,
        show,
        sku,
        price: None,
        total,
        per_buyer,
    };
    ledger
        .create_listing(once(seller, &format!("listing {place}")), row)
        .await
        .expect("listed");
    listing
}

fn once(seller: SellerId, key: &str) -> vetrina_store::ledger::Once {
    Once {
        seller,
        key: key.to_owned(),
        body: BodyDigest([1; 32]),
    }
}
