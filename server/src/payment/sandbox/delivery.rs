//! Sends the sandbox's webhooks (Standard Webhooks signatures, retries with growing pauses) and
//! ends the payments that are under way. One loop that sleeps until something is due.

use std::time::Duration;

use standardwebhooks::Webhook;

use super::book::WebhookRow;
use super::{Sandbox, SandboxError, now};

/// A receiver has this long to answer.
const RECEIVER_TIMEOUT: Duration = Duration::from_secs(5);
/// Tries before a webhook is given up: with the pauses below, two hours and a half.
const ATTEMPTS_MAX: u32 = 16;
/// Pause after the first failed try; it doubles, to at most [`PAUSE_MS_MAX`].
const PAUSE_MS: i64 = 250;
const PAUSE_MS_MAX: i64 = 15 * 60 * 1000;
/// The loop looks again at least this often.
const LOOK_MS_MAX: i64 = 5_000;

pub(super) async fn run(sandbox: &Sandbox) -> Result<(), SandboxError> {
    let failed = |error: &dyn std::error::Error| SandboxError::Webhooks(error.to_string());
    let webhook = Webhook::from_bytes(sandbox.inner.config.webhook_secret.clone())
        .map_err(|error| failed(&error))?;
    let http = reqwest::Client::builder()
        .timeout(RECEIVER_TIMEOUT)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| failed(&error))?;
    loop {
        let pause_ms = match round(sandbox, &http, &webhook).await {
            Ok(pause_ms) => pause_ms,
            Err(error) => {
                tracing::error!(%error, "the sandbox cannot use its file; trying again");
                LOOK_MS_MAX
            }
        };
        let pause = Duration::from_millis(u64::try_from(pause_ms).unwrap_or(0));
        // The time-out is the point: something becomes due by the clock.
        let _ = tokio::time::timeout(pause, sandbox.inner.due.notified()).await;
    }
}

/// Does what is due; returns how long nothing will be.
async fn round(
    sandbox: &Sandbox,
    http: &reqwest::Client,
    webhook: &Webhook,
) -> Result<i64, sqlx::Error> {
    let book = &sandbox.inner.book;
    book.finish_due().await?;
    let faults = sandbox.faults();
    if faults.webhook_mute {
        return Ok(LOOK_MS_MAX.min(200));
    }
    let mut due = book.webhooks_due().await?;
    if faults.webhook_reverse {
        due.reverse();
    }
    for row in due {
        let mut taken = false;
        for _ in 0..=faults.webhook_copies {
            taken = send(sandbox, http, webhook, &row).await;
        }
        let again = (!taken && row.attempts + 1 < ATTEMPTS_MAX)
            .then(|| now().plus_ms((PAUSE_MS << row.attempts.min(12)).min(PAUSE_MS_MAX)));
        book.webhook_tried(row.seq, again).await?;
    }
    let due_in_ms = book
        .next_due()
        .await?
        .map_or(LOOK_MS_MAX, |due| due.since(now()));
    Ok(due_in_ms.clamp(0, LOOK_MS_MAX))
}

/// Sends one webhook; `true` when the receiver took it.
async fn send(
    sandbox: &Sandbox,
    http: &reqwest::Client,
    webhook: &Webhook,
    row: &WebhookRow,
) -> bool {
    let seconds = now().0 / 1000;
    let Ok(signature) = webhook.sign(&row.id, seconds, row.body.as_bytes()) else {
        return false;
    };
    let urls = &sandbox.inner.config.webhook_urls;
    let Some(url) = urls.get(row.attempts as usize % urls.len().max(1)) else {
        return false;
    };
    let answer = http
        .post(url)
        .header("content-type", "application/json")
        .header("webhook-id", &row.id)
        .header("webhook-timestamp", seconds.to_string())
        .header("webhook-signature", signature)
        .body(row.body.clone())
        .send()
        .await;
    answer.is_ok_and(|answer| answer.status().is_success())
}
