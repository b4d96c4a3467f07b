//! `POST /v1/webhooks/{provider}`: what a payment provider tells. Body and headers go on as they
//! came, because the signature is over them; nothing is believed here.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use vetrina_protocol::refusal::RefusalCode;

use super::Shared;
use super::body::Ids;
use super::error::HttpError;
use crate::payment::WebhookAnswer;
use crate::refused::{Refused, invalid};

/// One webhook. The provider repeats it until it gets 204.
pub(super) async fn receive(
    State(shared): State<Arc<Shared>>,
    Ids(provider): Ids<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, HttpError> {
    let Some(payments) = shared
        .payments
        .as_ref()
        .filter(|ours| ours.provider == provider)
    else {
        return Err(HttpError::not_found());
    };
    let answer = payments.worker.webhook(&headers, &body).await;
    shared.metrics.webhook(answer == WebhookAnswer::Taken);
    match answer {
        WebhookAnswer::Taken => Ok(StatusCode::NO_CONTENT),
        WebhookAnswer::NotBelieved => {
            Err(invalid("signature", "this webhook is not believed").into())
        }
        WebhookAnswer::UnknownOrder => {
            Err(Refused::new(RefusalCode::OrderUnknown, "there is no such order here").into())
        }
        WebhookAnswer::TryAgain => {
            let message = "it could not be written down; send it again";
            Err(Refused::for_now(RefusalCode::TryAgain, message, 1_000).into())
        }
    }
}
