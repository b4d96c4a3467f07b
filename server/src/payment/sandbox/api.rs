//! The sandbox's API, for the shop's server and for tests: intents, refunds, the audit list of
//! charges, and the switches of what goes wrong. These bodies are all that the shop shares with it.

use std::sync::PoisonError;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use vetrina_protocol::id::OrderId;
use vetrina_protocol::money::Money;
use vetrina_protocol::time::UnixMs;

use super::Sandbox;
use super::book::IntentRow;

/// `POST /api/intents`: opens the payment of an order; again for the same order: the same intent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewIntentBody {
    /// The shop's order; the idempotency key.
    pub order: OrderId,
    /// To pay.
    pub amount: Money,
    /// For the buyer's eyes.
    pub description: String,
    /// When the shop stops waiting.
    pub pay_by_ms: UnixMs,
}

/// An intent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IntentBody {
    /// Id.
    pub id: String,
    /// Whose.
    pub order: OrderId,
    /// State.
    pub status: IntentStatus,
    /// To pay.
    pub amount: Money,
    /// The buyer's page.
    pub pay_url: String,
}

/// What an intent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentStatus {
    /// May be paid.
    Open,
    /// The last try was declined; may be paid.
    Declined,
    /// Under way; neither payable nor cancelable.
    Processing,
    /// Paid.
    Succeeded,
    /// Not payable any more.
    Canceled,
}

/// `POST /api/refunds`: gives the whole charge of an intent back, once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewRefundBody {
    /// The shop's order.
    pub order: OrderId,
    /// Whose charge.
    pub intent: String,
}

/// A refund.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefundBody {
    /// Whose charge.
    pub intent: String,
    /// State.
    pub status: RefundStatus,
}

/// What a refund is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// On its way.
    Pending,
    /// Done.
    Succeeded,
}

/// A charge in the audit list `GET /api/charges`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChargeBody {
    /// Whose.
    pub order: OrderId,
    /// Whose.
    pub intent: String,
    /// How much.
    pub amount: Money,
    /// Given back.
    pub refunded: bool,
    /// When charged.
    pub at_ms: UnixMs,
}

/// A webhook's body.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WebhookBody {
    /// The event; a repeated delivery has the same.
    pub id: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: WebhookKind,
    /// Whose.
    pub order: OrderId,
    /// Whose.
    pub intent: String,
    /// How much.
    pub amount: Money,
    /// When.
    pub at_ms: UnixMs,
}

/// What a webhook tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WebhookKind {
    /// Paid.
    #[serde(rename = "payment.succeeded")]
    PaymentSucceeded,
    /// A try was declined.
    #[serde(rename = "payment.declined")]
    PaymentDeclined,
    /// Not payable any more.
    #[serde(rename = "payment.canceled")]
    PaymentCanceled,
    /// Money is back.
    #[serde(rename = "refund.succeeded")]
    RefundSucceeded,
    /// Something newer than the reader.
    #[serde(other, rename = "other")]
    Other,
}

/// `PUT /api/faults`: what goes wrong from now on. Everything off is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Every API call answers 503.
    pub down: bool,
    /// Calls that change something answer 500 after they have done it.
    pub fail_after_effect: bool,
    /// API calls take this much longer.
    pub delay_ms: u64,
    /// Every webhook is sent this many times more.
    pub webhook_copies: u32,
    /// Webhooks of one batch are sent last first.
    pub webhook_reverse: bool,
    /// Webhooks are not sent at all (they stay due).
    pub webhook_mute: bool,
}

/// Longest fault delay, so that a wrong number cannot park requests for ever.
const DELAY_MS_MAX: u64 = 60_000;

pub(super) fn routes(sandbox: Sandbox) -> Router {
    let changing = Router::new()
        .route("/api/intents", post(create))
        .route("/api/intents/{id}/cancel", post(cancel))
        .route("/api/refunds", post(refund))
        .layer(middleware::from_fn_with_state(
            sandbox.clone(),
            fail_after_effect,
        ));
    let troubled = Router::new()
        .merge(changing)
        .route("/api/intents/{id}", get(intent))
        .layer(middleware::from_fn_with_state(sandbox.clone(), trouble));
    Router::new()
        .merge(troubled)
        .route("/api/charges", get(charges))
        .route("/api/faults", put(set_faults))
        .layer(middleware::from_fn_with_state(sandbox.clone(), authorize))
        .with_state(sandbox)
}

async fn authorize(State(sandbox): State<Sandbox>, request: Request, next: Next) -> Response {
    let expected = format!("Bearer {}", sandbox.inner.config.api_key);
    if same(bearer(request.headers()).as_bytes(), expected.as_bytes()) {
        next.run(request).await
    } else {
        (
            StatusCode::UNAUTHORIZED,
            "send Authorization: Bearer <api key>",
        )
            .into_response()
    }
}

fn bearer(headers: &HeaderMap) -> &str {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Compares without telling by its duration where two texts differ.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

async fn trouble(State(sandbox): State<Sandbox>, request: Request, next: Next) -> Response {
    let faults = sandbox.faults();
    if faults.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(faults.delay_ms.min(DELAY_MS_MAX))).await;
    }
    if faults.down {
        return (StatusCode::SERVICE_UNAVAILABLE, "down, as asked for").into_response();
    }
    next.run(request).await
}

async fn fail_after_effect(
    State(sandbox): State<Sandbox>,
    request: Request,
    next: Next,
) -> Response {
    let answer = next.run(request).await;
    if sandbox.faults().fail_after_effect {
        return (
            StatusCode::INTERNAL_SERVER_ERROR,
            "done, and failed as asked for",
        )
            .into_response();
    }
    answer
}

async fn create(
    State(sandbox): State<Sandbox>,
    Json(new): Json<NewIntentBody>,
) -> Result<Json<IntentBody>, Failure> {
    if new.amount.amount_minor <= 0 {
        return Err(Failure::Rejected("an amount is greater than zero"));
    }
    let row = sandbox.inner.book.create(&new).await?;
    if row.amount != new.amount {
        return Err(Failure::Rejected(
            "this order has an intent of another amount",
        ));
    }
    Ok(Json(sandbox.body(row)))
}

async fn intent(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
) -> Result<Json<IntentBody>, Failure> {
    let row = sandbox
        .inner
        .book
        .intent(&id)
        .await?
        .ok_or(Failure::Unknown)?;
    Ok(Json(sandbox.body(row)))
}

async fn cancel(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
) -> Result<Json<IntentBody>, Failure> {
    let row = sandbox
        .inner
        .book
        .cancel(&id)
        .await?
        .ok_or(Failure::Unknown)?;
    sandbox.inner.due.notify_one();
    Ok(Json(sandbox.body(row)))
}

async fn refund(
    State(sandbox): State<Sandbox>,
    Json(new): Json<NewRefundBody>,
) -> Result<Json<RefundBody>, Failure> {
    let refund = sandbox
        .inner
        .book
        .refund(&new.intent)
        .await?
        .ok_or(Failure::Unknown)?;
    sandbox.inner.due.notify_one();
    Ok(Json(refund))
}

async fn charges(State(sandbox): State<Sandbox>) -> Result<Json<Vec<ChargeBody>>, Failure> {
    Ok(Json(sandbox.inner.book.charges().await?))
}

async fn set_faults(State(sandbox): State<Sandbox>, Json(faults): Json<Faults>) -> Json<Faults> {
    *sandbox
        .inner
        .faults
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = faults.clone();
    sandbox.inner.due.notify_one();
    Json(faults)
}

impl Sandbox {
    fn body(&self, row: IntentRow) -> IntentBody {
        IntentBody {
            pay_url: format!("{}/pay/{}", self.inner.config.public_url, row.id),
            id: row.id,
            order: row.order,
            status: row.status,
            amount: row.amount,
        }
    }
}

pub(super) enum Failure {
    Unknown,
    Rejected(&'static str),
    File(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::File(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Unknown => (StatusCode::NOT_FOUND, "no such payment").into_response(),
            Self::Rejected(why) => (StatusCode::UNPROCESSABLE_ENTITY, why).into_response(),
            Self::File(error) => {
                tracing::error!(%error, "the sandbox cannot use its file");
                (StatusCode::INTERNAL_SERVER_ERROR, "the sandbox's file").into_response()
            }
        }
    }
}
