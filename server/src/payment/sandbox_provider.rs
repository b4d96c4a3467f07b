//! The `sandbox` provider as the server sees it: HTTP calls to its API and signed webhooks from it.
//! It shares the body types with the sandbox itself and nothing else, so that what is proven with
//! it holds for a provider across the network.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::HeaderMap;
use standardwebhooks::Webhook;
use vetrina_protocol::id::OrderId;

use super::provider::{
    Intent, IntentRequest, IntentState, PaymentProvider, ProviderError, ProviderEvent,
    ProviderEventKind, RefundState, WebhookError,
};
use super::sandbox::api::{
    IntentBody, IntentStatus, NewIntentBody, NewRefundBody, RefundBody, RefundStatus, WebhookBody,
    WebhookKind,
};

/// The provider answers in this time or its answer is unknown.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of one sandbox.
pub struct SandboxProvider {
    http: reqwest::Client,
    api_url: String,
    api_key: String,
    webhook: Webhook,
}

impl SandboxProvider {
    /// Of the sandbox whose API is at `api_url` (no trailing slash), for the account of `api_key`;
    /// its webhooks are signed with `webhook_secret`.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(api_url: &str, api_key: &str, webhook_secret: &[u8]) -> Result<Self, ProviderError> {
        let http = reqwest::Client::builder()
            .timeout(ANSWER_TIMEOUT)
            .no_proxy()
            .build()
            .map_err(|error| ProviderError::Rejected(error.to_string()))?;
        let webhook = Webhook::from_bytes(webhook_secret.to_vec())
            .map_err(|error| ProviderError::Rejected(error.to_string()))?;
        Ok(Self {
            http,
            api_url: api_url.trim_end_matches('/').to_owned(),
            api_key: api_key.to_owned(),
            webhook,
        })
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, ProviderError> {
        let answer = request
            .bearer_auth(&self.api_key)
            .send()
            .await
            .map_err(|error| ProviderError::Unknown(error.without_url().to_string()))?;
        let status = answer.status();
        if status.is_client_error() {
            let text = answer.text().await.unwrap_or_default();
            return Err(ProviderError::Rejected(format!("{status}: {text}")));
        }
        if !status.is_success() {
            return Err(ProviderError::Unknown(status.to_string()));
        }
        answer
            .json()
            .await
            .map_err(|error| ProviderError::Unknown(error.without_url().to_string()))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.api_url)
    }
}

#[async_trait]
impl PaymentProvider for SandboxProvider {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    async fn create_intent(&self, request: &IntentRequest) -> Result<Intent, ProviderError> {
        let body = NewIntentBody {
            order: request.order,
            amount: request.amount,
            description: request.description.clone(),
            pay_by_ms: request.pay_by,
        };
        let intent: IntentBody = self
            .ask(self.http.post(self.url("/api/intents")).json(&body))
            .await?;
        Ok(Intent {
            id: intent.id,
            pay_url: intent.pay_url,
        })
    }

    async fn cancel_intent(&self, intent: &str) -> Result<IntentState, ProviderError> {
        let path = format!("/api/intents/{intent}/cancel");
        let intent: IntentBody = self.ask(self.http.post(self.url(&path))).await?;
        Ok(state(intent.status))
    }

    async fn intent_state(&self, intent: &str) -> Result<IntentState, ProviderError> {
        let path = format!("/api/intents/{intent}");
        let intent: IntentBody = self.ask(self.http.get(self.url(&path))).await?;
        Ok(state(intent.status))
    }

    async fn refund(&self, order: OrderId, intent: &str) -> Result<RefundState, ProviderError> {
        let body = NewRefundBody {
            order,
            intent: intent.to_owned(),
        };
        let refund: RefundBody = self
            .ask(self.http.post(self.url("/api/refunds")).json(&body))
            .await?;
        Ok(match refund.status {
            RefundStatus::Pending => RefundState::Pending,
            RefundStatus::Succeeded => RefundState::Succeeded,
        })
    }

    fn verify_webhook(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Option<ProviderEvent>, WebhookError> {
        self.webhook
            .verify(body, headers)
            .map_err(|error| WebhookError::Signature(error.to_string()))?;
        let event: WebhookBody =
            serde_json::from_slice(body).map_err(|error| WebhookError::Body(error.to_string()))?;
        let kind = match event.kind {
            WebhookKind::PaymentSucceeded => ProviderEventKind::Succeeded,
            WebhookKind::PaymentDeclined => ProviderEventKind::Declined,
            WebhookKind::PaymentCanceled => ProviderEventKind::Canceled,
            WebhookKind::RefundSucceeded => ProviderEventKind::Refunded,
            WebhookKind::Other => return Ok(None),
        };
        Ok(Some(ProviderEvent {
            id: event.id,
            order: event.order,
            intent: event.intent,
            kind,
            amount: event.amount,
            at: event.at_ms,
        }))
    }
}

fn state(status: IntentStatus) -> IntentState {
    match status {
        IntentStatus::Open => IntentState::Open,
        IntentStatus::Declined => IntentState::Declined,
        IntentStatus::Processing => IntentState::Processing,
        IntentStatus::Succeeded => IntentState::Succeeded,
        IntentStatus::Canceled => IntentState::Canceled,
    }
}
