//! The sandbox against the provider's client over real HTTP: its pay page, webhooks and faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::sync::mpsc;
use vetrina_protocol::id::OrderId;
use vetrina_protocol::money::{Currency, Money};

use super::api::{ChargeBody, Faults};
use super::{Sandbox, SandboxConfig, now};
use crate::payment::provider::{
    Intent, IntentRequest, IntentState, PaymentProvider, ProviderError, ProviderEvent,
    ProviderEventKind, RefundState, WebhookError,
};
use crate::payment::sandbox_provider::SandboxProvider;

const KEY: &str = "sk_sandbox_test";
const SECRET: &[u8] = b"webhook secret of these tests only";
const PATIENCE: Duration = Duration::from_secs(20);

struct Bench {
    url: String,
    provider: Arc<SandboxProvider>,
    webhooks: mpsc::UnboundedReceiver<(HeaderMap, Bytes)>,
    http: reqwest::Client,
    folder: tempfile::TempDir,
}

#[derive(Clone)]
struct Receiver {
    to: mpsc::UnboundedSender<(HeaderMap, Bytes)>,
    /// So many are answered with 500 before one is taken.
    refused_first: Arc<AtomicU32>,
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    receiver.to.send((headers, body)).unwrap();
    let left = receiver
        .refused_first
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        });
    if left.is_ok() {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::NO_CONTENT
    }
}

async fn serve(routes: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

async fn bench(refused_first: u32) -> Bench {
    let (to, webhooks) = mpsc::unbounded_channel();
    let receiver = Receiver {
        to,
        refused_first: Arc::new(AtomicU32::new(refused_first)),
    };
    let hook = serve(
        Router::new()
            .route("/hook", post(receive))
            .with_state(receiver),
    )
    .await;
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::open(SandboxConfig {
        file: folder.path().join("sandbox.db"),
        public_url: "http://pay.test".into(),
        webhook_urls: vec![format!("{hook}/hook")],
        api_key: KEY.into(),
        webhook_secret: SECRET.to_vec(),
    })
    .await
    .unwrap();
    let url = serve(sandbox.routes()).await;
    tokio::spawn(async move { sandbox.run().await });
    let provider = Arc::new(SandboxProvider::new(&url, KEY, SECRET).unwrap());
    let no_redirect = reqwest::redirect::Policy::none();
    let http = reqwest::Client::builder()
        .redirect(no_redirect)
        .no_proxy()
        .build()
        .unwrap();
    Bench {
        url,
        provider,
        webhooks,
        http,
        folder,
    }
}

impl Bench {
    async fn open(&self, order: u128) -> Intent {
        self.provider
            .create_intent(&request(order, 2_400))
            .await
            .unwrap()
    }

    /// Presses a button of the pay page; gives the status.
    async fn press(&self, intent: &Intent, form: &'static str) -> u16 {
        let page = format!("{}/pay/{}", self.url, intent.id);
        self.http
            .post(page)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    }

    async fn page(&self, intent: &Intent, language: &str) -> String {
        let page = format!("{}/pay/{}", self.url, intent.id);
        let answer = self
            .http
            .get(page)
            .header("accept-language", language)
            .send()
            .await
            .unwrap();
        answer.text().await.unwrap()
    }

    async fn webhook(&mut self) -> (HeaderMap, Bytes) {
        tokio::time::timeout(PATIENCE, self.webhooks.recv())
            .await
            .unwrap()
            .unwrap()
    }

    async fn event(&mut self) -> ProviderEvent {
        let (headers, body) = self.webhook().await;
        self.provider
            .verify_webhook(&headers, &body)
            .unwrap()
            .unwrap()
    }

    async fn charges(&self) -> Vec<ChargeBody> {
        let url = format!("{}/api/charges", self.url);
        self.http
            .get(url)
            .bearer_auth(KEY)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    async fn faults(&self, faults: Faults) {
        let url = format!("{}/api/faults", self.url);
        let answer = self
            .http
            .put(url)
            .bearer_auth(KEY)
            .json(&faults)
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success());
    }
}

fn request(order: u128, amount_minor: i64) -> IntentRequest {
    IntentRequest {
        order: OrderId(order),
        amount: Money::new(amount_minor, Currency::EUR),
        description: "V-1042 <b>".into(),
        pay_by: now().plus_ms(600_000),
    }
}

#[tokio::test]
async fn an_order_has_one_intent_and_is_charged_once() {
    let mut bench = bench(0).await;
    let intent = bench.open(1).await;
    assert_eq!(bench.open(1).await, intent, "again for the same order");
    let other = bench.provider.create_intent(&request(1, 99)).await;
    assert!(
        matches!(other, Err(ProviderError::Rejected(_))),
        "{other:?}"
    );

    assert_eq!(bench.press(&intent, "choice=approve").await, 303);
    assert_eq!(bench.press(&intent, "choice=approve").await, 303);
    let event = bench.event().await;
    assert_eq!(
        (event.kind, event.order),
        (ProviderEventKind::Succeeded, OrderId(1))
    );
    assert_eq!(bench.charges().await.len(), 1);
    let cancel = bench.provider.cancel_intent(&intent.id).await.unwrap();
    assert_eq!(
        cancel,
        IntentState::Succeeded,
        "a paid intent cannot be cancelled"
    );

    let refund = bench.provider.refund(OrderId(1), &intent.id).await.unwrap();
    assert_eq!(refund, RefundState::Succeeded);
    bench.provider.refund(OrderId(1), &intent.id).await.unwrap();
    assert_eq!(bench.event().await.kind, ProviderEventKind::Refunded);
    assert!(bench.charges().await[0].refunded);
    assert!(bench.webhooks.try_recv().is_err(), "one refund, one event");
}

#[tokio::test]
async fn a_decline_may_be_tried_again_and_the_bank_may_ask_for_a_code() {
    let mut bench = bench(0).await;
    let intent = bench.open(2).await;
    bench.press(&intent, "choice=decline").await;
    assert_eq!(bench.event().await.kind, ProviderEventKind::Declined);
    bench.press(&intent, "choice=verify").await;
    let page = bench.page(&intent, "en").await;
    assert!(page.contains("name=\"code\""), "{page}");
    bench.press(&intent, "choice=code&code=000000").await;
    assert_eq!(bench.event().await.kind, ProviderEventKind::Declined);
    bench.press(&intent, "choice=verify").await;
    bench.press(&intent, "choice=code&code=246810").await;
    assert_eq!(bench.event().await.kind, ProviderEventKind::Succeeded);
}

#[tokio::test]
async fn a_cancelled_intent_is_not_charged_unless_late() {
    let mut bench = bench(0).await;
    let intent = bench.open(3).await;
    let canceled = bench.provider.cancel_intent(&intent.id).await.unwrap();
    assert_eq!(canceled, IntentState::Canceled);
    assert_eq!(bench.press(&intent, "choice=approve").await, 409);
    assert_eq!(bench.event().await.kind, ProviderEventKind::Canceled);
    assert!(bench.charges().await.is_empty());

    let late = bench.open(4).await;
    bench.press(&late, "choice=late").await;
    let canceled = bench.provider.cancel_intent(&late.id).await.unwrap();
    assert_eq!(canceled, IntentState::Canceled);
    assert_eq!(bench.event().await.kind, ProviderEventKind::Canceled);
    assert_eq!(
        bench.event().await.kind,
        ProviderEventKind::Succeeded,
        "and charged all the same"
    );
}

#[tokio::test]
async fn webhooks_come_until_they_are_taken_and_cannot_be_forged() {
    let mut bench = bench(2).await;
    let intent = bench.open(5).await;
    bench.press(&intent, "choice=approve").await;
    let first = bench.event().await;
    assert_eq!(bench.event().await.id, first.id, "refused once, sent again");
    let (headers, body) = bench.webhook().await;
    assert_eq!(
        bench
            .provider
            .verify_webhook(&headers, &body)
            .unwrap()
            .unwrap()
            .id,
        first.id
    );

    let altered = String::from_utf8(body.to_vec())
        .unwrap()
        .replace("2400", "2401");
    let altered = bench.provider.verify_webhook(&headers, altered.as_bytes());
    assert!(
        matches!(altered, Err(WebhookError::Signature(_))),
        "{altered:?}"
    );
    let mut unsigned = headers.clone();
    unsigned.remove("webhook-signature");
    assert!(bench.provider.verify_webhook(&unsigned, &body).is_err());
    let mut old = headers.clone();
    old.insert(
        "webhook-timestamp",
        (now().0 / 1000 - 301).to_string().parse().unwrap(),
    );
    assert!(bench.provider.verify_webhook(&old, &body).is_err());
}

#[tokio::test]
async fn faults_do_what_they_say() {
    let mut bench = bench(0).await;
    bench
        .faults(Faults {
            fail_after_effect: true,
            ..Faults::default()
        })
        .await;
    let failed = bench.provider.create_intent(&request(6, 2_400)).await;
    assert!(
        matches!(failed, Err(ProviderError::Unknown(_))),
        "{failed:?}"
    );
    bench
        .faults(Faults {
            webhook_copies: 2,
            ..Faults::default()
        })
        .await;
    let intent = bench.open(6).await;
    bench.press(&intent, "choice=approve").await;
    let ids = [
        bench.event().await.id,
        bench.event().await.id,
        bench.event().await.id,
    ];
    assert!(
        ids.iter().all(|id| *id == ids[0]),
        "three copies of one event: {ids:?}"
    );
    bench
        .faults(Faults {
            down: true,
            ..Faults::default()
        })
        .await;
    let down = bench.provider.intent_state(&intent.id).await;
    assert!(matches!(down, Err(ProviderError::Unknown(_))), "{down:?}");
}

#[tokio::test]
async fn the_page_speaks_two_languages_and_escapes() {
    let bench = bench(0).await;
    let intent = bench.open(7).await;
    let english = bench.page(&intent, "en-GB,en").await;
    assert!(
        english.contains("lang=\"en\"") && english.contains("24,00 EUR"),
        "{english}"
    );
    assert!(english.contains("V-1042 &lt;b&gt;"), "{english}");
    assert!(
        bench
            .page(&intent, "it-IT,it;q=0.9")
            .await
            .contains("Approva")
    );
    let stranger = Intent {
        id: "pi_nobody".into(),
        pay_url: String::new(),
    };
    assert_eq!(bench.press(&stranger, "choice=approve").await, 404);
    assert_eq!(bench.press(&intent, "choice=steal").await, 422);
}

#[tokio::test]
async fn its_books_survive_a_crash() {
    let bench = bench(0).await;
    let intent = bench.open(8).await;
    bench.press(&intent, "choice=approve").await;
    // A second sandbox on the same file is what a restart after a kill finds.
    let again = Sandbox::open(SandboxConfig {
        file: bench.folder.path().join("sandbox.db"),
        public_url: "http://pay.test".into(),
        webhook_urls: vec!["http://127.0.0.1:9/hook".into()],
        api_key: KEY.into(),
        webhook_secret: SECRET.to_vec(),
    })
    .await
    .unwrap();
    let url = serve(again.routes()).await;
    let provider = SandboxProvider::new(&url, KEY, SECRET).unwrap();
    assert_eq!(
        provider.intent_state(&intent.id).await.unwrap(),
        IntentState::Succeeded
    );
}

#[tokio::test]
async fn its_api_needs_the_key() {
    let bench = bench(0).await;
    let stranger = SandboxProvider::new(&bench.url, "sk_wrong", SECRET).unwrap();
    let answer = stranger.create_intent(&request(9, 2_400)).await;
    assert!(
        matches!(answer, Err(ProviderError::Rejected(_))),
        "{answer:?}"
    );
}
