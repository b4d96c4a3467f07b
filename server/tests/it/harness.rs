//! Starts the server in this process on free ports with a folder of its own, and speaks to it as
//! clients do. Nothing of the server's insides is touched, except the clock that a test may move.

mod client;
mod demo;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vetrina::app::{App, FIRST_SELLER, RunError};
use vetrina::auth::{Principal, Shows, Tokens};
use vetrina::clock::Clock;
use vetrina::config::{Config, Gathered};
use vetrina::{Listeners, app};
use vetrina_protocol::id::{SellerId, ShowId, UserId};
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::rest::{
    NewListing, NewProduct, NewShow, NewSku, Problem, Product, TokenGrant, TokenRequest,
};
use vetrina_protocol::view::{Listing, Role, Show};
use vetrina_store::ledger::SellerRow;

pub(crate) use client::{Client, Refusal};
pub(crate) use demo::Demo;

/// Whatever is waited for, comes within this time or never: long enough for a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// Good enough for `serve`.
pub(crate) const SECRET: &str = "Qm9zY28sIG1hcmUsIG1vbnRhZ25hOiB0ZXN0cyBvbmx5";
/// A second tenant, made by [`Server::start`].
pub(crate) const OTHER_SELLER: SellerId = SellerId(0x7665_7472_696e_8000_8000_0000_0000_0002);

/// A running server.
pub(crate) struct Server {
    pub(crate) public: SocketAddr,
    pub(crate) ops: SocketAddr,
    pub(crate) sandbox: Option<SocketAddr>,
    pub(crate) clock: Clock,
    http: reqwest::Client,
    tokens: Tokens,
    options: Gathered,
    folder: TempDir,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

impl Server {
    /// With the defaults and the sandbox provider.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With these options on top.
    pub(crate) async fn start_with(options: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut gathered = Gathered::new(false)
            .with("listen", "127.0.0.1:0")
            .with("ops-listen", "127.0.0.1:0")
            .with("sandbox-listen", "127.0.0.1:0")
            .with("udp-bind", "127.0.0.1")
            .with("udp-port", "0")
            .with("payment", "sandbox")
            .with("token-secret", SECRET)
            .with("guests-per-minute", "1000000")
            .with("sessions-per-address", "5000")
            .with("shutdown-grace", "5")
            .with("log", "warn")
            .with("data-dir", folder.path().display().to_string());
        for (name, value) in options {
            gathered = gathered.with(name, *value);
        }
        Self::run(gathered, folder).await
    }

    /// Ends it as SIGTERM does and starts it again on the same folder (and other ports).
    pub(crate) async fn restart(self) -> Self {
        let (options, folder) = self.end().await;
        Self::run(options, folder).await
    }

    /// Ends it as SIGTERM does; it must end cleanly and in time.
    pub(crate) async fn stop(self) {
        self.end().await;
    }

    /// Asks it to end, without waiting for it.
    pub(crate) fn begin_shutdown(&self) {
        self.shutdown.cancel();
    }

    async fn end(self) -> (Gathered, TempDir) {
        self.shutdown.cancel();
        let ended = within(self.task).await;
        ended
            .expect("the server does not panic")
            .expect("the server ends cleanly");
        (self.options, self.folder)
    }

    async fn run(options: Gathered, folder: TempDir) -> Self {
        let config = Config::from_gathered(&options).expect("a good configuration");
        vetrina::ops::log::start(&config.log);
        let keys = &config.tokens;
        let tokens = Tokens::new(&keys.issuer, &keys.signing, keys.previous.as_ref());
        let listeners = Listeners::bind(&config).expect("free ports");
        let public = listeners.public_address().expect("bound");
        let ops = listeners.ops_address().expect("bound");
        let sandbox = listeners.sandbox_address().expect("bound");
        let app = App::open(config, listeners).await.expect("opens");
        for (id, name) in [(FIRST_SELLER, "Bottega Uno"), (OTHER_SELLER, "Bottega Due")] {
            let seller = SellerRow {
                id,
                name: name.into(),
            };
            app.records().ledger.put_seller(seller).await.expect("kept");
        }
        let clock = app.clock().clone();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(app.run(shutdown.clone()));
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(DEADLINE)
            .build()
            .expect("a client");
        Self {
            public,
            ops,
            sandbox,
            clock,
            http,
            tokens,
            options,
            folder,
            shutdown,
            task,
        }
    }

    /// The folder with its records.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A token for this role of this seller, for one show or all.
    pub(crate) fn token(&self, role: Role, seller: SellerId, shows: Shows) -> String {
        self.token_of(UserId::now(), role, seller, shows)
    }

    /// The same for somebody in particular.
    pub(crate) fn token_of(
        &self,
        user: UserId,
        role: Role,
        seller: SellerId,
        shows: Shows,
    ) -> String {
        self.token_for(&Principal {
            user,
            name: format!("{role:?}"),
            role,
            seller: (role != Role::Ops).then_some(seller),
            shows,
            expires_at_ms: self.clock.now().plus_ms(3_600_000),
        })
    }

    /// The same for what a token says in full.
    pub(crate) fn token_for(&self, principal: &Principal) -> String {
        self.tokens.mint(principal, self.clock.now())
    }

    /// A host of the first seller, for all shows.
    pub(crate) fn host(&self) -> String {
        self.token(Role::Host, FIRST_SELLER, Shows::All)
    }

    /// A new guest of a show.
    pub(crate) async fn guest(&self, show: ShowId) -> TokenGrant {
        let request = TokenRequest::Guest { show, name: None };
        self.post("/v1/tokens").json(&request).send().await.made()
    }

    /// A request to the public listener.
    pub(crate) fn request(&self, method: Method, path: &str) -> Request {
        let url = format!("http://{}{path}", self.public);
        Request(self.http.request(method, url))
    }

    /// A request to the ops listener.
    pub(crate) fn ops_request(&self, method: Method, path: &str) -> Request {
        let url = format!("http://{}{path}", self.ops);
        Request(self.http.request(method, url))
    }

    pub(crate) fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> Request {
        self.request(Method::POST, path)
    }

    pub(crate) fn patch(&self, path: &str) -> Request {
        self.request(Method::PATCH, path)
    }

    /// Makes a show of the first seller.
    pub(crate) async fn new_show(&self) -> Show {
        let body = NewShow {
            title: "Una sera d’autunno".into(),
            currency: Currency::EUR,
            starts_at_ms: None,
            reservation_ttl_s: None,
            order_deadline_s: None,
            poster: None,
        };
        self.post("/v1/shows")
            .bearer(&self.host())
            .json(&body)
            .send()
            .await
            .made()
    }

    /// Makes a product with one sku of `inventory` units.
    pub(crate) async fn new_product(&self, code: &str, inventory: u32) -> Product {
        let body = NewProduct {
            title: format!("Vaso {code}"),
            description: None,
            picture: None,
            skus: vec![NewSku {
                code: code.into(),
                variant: None,
                price: Money::new(2_400, Currency::EUR),
                inventory,
            }],
        };
        self.post("/v1/products")
            .bearer(&self.host())
            .json(&body)
            .send()
            .await
            .made()
    }

    /// Offers all units of a product's first sku in a show.
    pub(crate) async fn new_listing(
        &self,
        show: ShowId,
        product: &Product,
        per_buyer: u32,
    ) -> Listing {
        let body = NewListing {
            sku: product.skus[0].id,
            price: None,
            total: product.skus[0].inventory,
            per_buyer: Some(per_buyer),
        };
        let path = format!("/v1/shows/{show}/listings");
        self.post(&path)
            .bearer(&self.host())
            .json(&body)
            .send()
            .await
            .made()
    }

    /// A live show with one listing of `total` units.
    pub(crate) async fn live_show(&self, total: u32, per_buyer: u32) -> (Show, Listing) {
        let show = self.new_show().await;
        let product = self.new_product(&format!("C-{}", show.id), total).await;
        let listing = self.new_listing(show.id, &product, per_buyer).await;
        (self.go_live(show.id).await, listing)
    }

    /// The show is on, without video.
    pub(crate) async fn go_live(&self, show: ShowId) -> Show {
        let body = serde_json::json!({"state": "live"});
        let path = format!("/v1/shows/{show}");
        let patch = self.patch(&path).bearer(&self.host()).json(&body);
        patch.send().await.ok()
    }
}

/// A request being made.
pub(crate) struct Request(reqwest::RequestBuilder);

impl Request {
    pub(crate) fn bearer(self, token: &str) -> Self {
        Self(self.0.bearer_auth(token))
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub(crate) fn json(self, body: &impl Serialize) -> Self {
        Self(self.0.json(body))
    }

    pub(crate) fn body(self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self(
            self.0
                .header("content-type", content_type)
                .body(body.into()),
        )
    }

    pub(crate) async fn send(self) -> Answer {
        let response = self.0.send().await.expect("an answer");
        Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await.expect("a whole body"),
        }
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body of a 200.
    #[track_caller]
    pub(crate) fn ok<T: DeserializeOwned>(self) -> T {
        self.body_of(StatusCode::OK)
    }

    /// The body of a 201.
    #[track_caller]
    pub(crate) fn made<T: DeserializeOwned>(self) -> T {
        self.body_of(StatusCode::CREATED)
    }

    #[track_caller]
    fn body_of<T: DeserializeOwned>(self, status: StatusCode) -> T {
        assert_eq!(self.status, status, "{}", self.text());
        match serde_json::from_slice(&self.body) {
            Ok(body) => body,
            Err(error) => panic!("{error} in {}", self.text()),
        }
    }

    /// The problem, which must be well formed and of this status.
    #[track_caller]
    pub(crate) fn problem(self, status: u16) -> Problem {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem: Problem = serde_json::from_slice(&self.body).expect("a problem document");
        assert_eq!(problem.status, status);
        assert_eq!(
            problem.kind,
            format!("/docs/problems#{}", problem.code.as_str())
        );
        let id = self.headers["x-request-id"].to_str().expect("plain text");
        assert_eq!(problem.request_id.as_deref(), Some(id));
        assert!(!problem.detail.is_empty() && !problem.title.is_empty());
        problem
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self
            .headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {self:?}"));
        value.to_str().expect("plain text")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Waits for something, not longer than [`DEADLINE`].
pub(crate) async fn within<T>(something: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, something)
        .await
        .expect("in time")
}

/// Why a server with these options does not start.
pub(crate) async fn refused_start(options: &[(&str, &str)]) -> String {
    let mut gathered = Gathered::new(false).with("token-secret", SECRET);
    for (name, value) in options {
        gathered = gathered.with(name, *value);
    }
    let config = match Config::from_gathered(&gathered) {
        Ok(config) => config,
        Err(error) => return error.to_string(),
    };
    let listeners = match Listeners::bind(&config) {
        Ok(listeners) => listeners,
        Err(error) => return error.to_string(),
    };
    let started = app::run(config, listeners, CancellationToken::new());
    within(started).await.expect_err("is refused").to_string()
}
