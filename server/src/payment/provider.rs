//! What the server needs of a payment provider. An implementation refuses to know orders, stock and
//! buyers: it knows intents (one per order), amounts and its own ids.
//!
//! Every call may be repeated with the same order id without a second effect, because an answer may
//! get lost: a silent provider is *unknown*, never *refused*.

use async_trait::async_trait;
use reqwest::header::HeaderMap;
use vetrina_protocol::id::OrderId;
use vetrina_protocol::money::Money;
use vetrina_protocol::time::UnixMs;

/// A payment to be opened for one order.
#[derive(Debug, Clone)]
pub struct IntentRequest {
    /// The order; also the idempotency key at the provider.
    pub order: OrderId,
    /// What to pay.
    pub amount: Money,
    /// What the buyer reads on the provider's page, such as the order's number.
    pub description: String,
    /// The provider may stop taking payment then; the server cancels anyway.
    pub pay_by: UnixMs,
}

/// A payment that is open at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The provider's id.
    pub id: String,
    /// The provider's page for the buyer.
    pub pay_url: String,
}

/// What the provider says of an intent when asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentState {
    /// May still be paid.
    Open,
    /// The last try was declined; may still be paid.
    Declined,
    /// The buyer has acted and the provider is not done: it can be neither paid nor canceled now.
    Processing,
    /// Paid.
    Succeeded,
    /// Can not be paid any more.
    Canceled,
}

/// What the provider says of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundState {
    /// Accepted; an event will tell the end.
    Pending,
    /// The money is back.
    Succeeded,
}

/// Something the provider tells on its own account, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderEvent {
    /// The provider's id of the event: the same event may come many times.
    pub id: String,
    /// Of which order.
    pub order: OrderId,
    /// Of which intent.
    pub intent: String,
    /// What.
    pub kind: ProviderEventKind,
    /// Paid or refunded.
    pub amount: Money,
    /// When, by the provider's clock.
    pub at: UnixMs,
}

/// What may happen at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderEventKind {
    /// The buyer has paid.
    Succeeded,
    /// A try was declined; the intent is still open.
    Declined,
    /// The intent can not be paid any more.
    Canceled,
    /// A refund is done.
    Refunded,
}

/// Why a call to the provider brought no answer to act on.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// No answer, or one that says nothing: the effect is unknown. Ask again with the same order.
    #[error("the payment provider does not answer: {0}")]
    Unknown(String),
    /// The provider understood and will never do it: a mistake in configuration or a bug.
    #[error("the payment provider rejects the request: {0}")]
    Rejected(String),
}

/// Why a webhook was not believed. The reason goes to the log, the caller learns only "400".
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Unsigned, altered, or older than five minutes.
    #[error("signature: {0}")]
    Signature(String),
    /// Signed by the provider, but not what its documentation says.
    #[error("body: {0}")]
    Body(String),
}

/// A payment provider.
#[async_trait]
pub trait PaymentProvider: Send + Sync {
    /// The name in orders, in metrics and in the webhook's path.
    fn name(&self) -> &'static str;

    /// Opens the payment of an order, or returns the one that is open already.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn create_intent(&self, request: &IntentRequest) -> Result<Intent, ProviderError>;

    /// Asks that an intent be made unpayable; the state that answers is the truth: it may be
    /// `Succeeded`, or `Processing` (ask again later).
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn cancel_intent(&self, intent: &str) -> Result<IntentState, ProviderError>;

    /// The reconciliation query: what an intent is now.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn intent_state(&self, intent: &str) -> Result<IntentState, ProviderError>;

    /// Gives the whole amount of a paid intent back, once, however often it is asked.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn refund(&self, order: OrderId, intent: &str) -> Result<RefundState, ProviderError>;

    /// Verifies the signature over the raw body and reads the event.
    ///
    /// # Errors
    /// See [`WebhookError`]; an event of a kind that we do not use is `Ok(None)`.
    fn verify_webhook(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Option<ProviderEvent>, WebhookError>;
}
