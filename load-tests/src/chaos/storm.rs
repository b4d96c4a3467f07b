//! The webhook storm: what a provider, a broken network and a forger can do to the one place where
//! money is believed. Every answer is looked at here; what came of it is seen in the books.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt, stream};
use serde_json::json;
use standardwebhooks::Webhook;
use vetrina_protocol::id::OrderId;

use super::faults::{Saboteur, Seen};
use super::ledger::Books;
use super::shopper::now_ms;
use crate::stack::sandbox::{Charge, Faults};
use crate::stack::{SECRET, StackError};

/// Copies of one webhook.
const COPIES: usize = 1_000;
/// Forgeries, and webhooks of long ago.
const FORGED: usize = 50;
/// Webhooks older than five minutes are not believed.
const OLD_S: i64 = 301;
/// Posts at a time.
const AT_ONCE: usize = 32;
/// Copies that the provider itself sends of each, last first, for some time.
const PROVIDER_COPIES: u32 = 5;
/// For so long each: copies in the wrong order, and silence.
const FOR: Duration = Duration::from_millis(2_500);

/// One webhook that we send ourselves.
struct Post {
    id: String,
    body: String,
    signature: String,
    seconds: i64,
}

pub(super) async fn webhooks(saboteur: &mut Saboteur<'_>) -> Result<Seen, StackError> {
    let sandbox = saboteur.stack.sandbox.as_ref();
    let provider = &sandbox
        .ok_or(StackError::Silent("the sandbox: there is none"))?
        .1;
    let out_of_order = Faults {
        webhook_copies: PROVIDER_COPIES,
        webhook_reverse: true,
        webhook_mute: false,
    };
    provider.set(&out_of_order).await?;
    let (copies, forged) = our_own(saboteur, provider.charges().await?.first()).await?;
    tokio::time::sleep(FOR).await;
    let before = provider.charges().await?.len();
    let silent = Faults {
        webhook_mute: true,
        ..Faults::default()
    };
    provider.set(&silent).await?;
    tokio::time::sleep(FOR).await;
    let untold = provider.charges().await?.len() - before;
    provider.set(&Faults::default()).await?;
    let text = format!(
        "{copies} of {COPIES} copies of one webhook taken, {forged} of {} forged and old ones \
         refused, {untold} charges without a webhook for a while",
        2 * FORGED
    );
    Ok(Seen::new(
        copies > 0 && forged == 2 * FORGED && untold > 0,
        text,
    ))
}

/// Posts that we make ourselves: copies of a true one; forged and old ones of an order that nobody
/// paid. Gives how many copies were taken and how many of the others were refused.
async fn our_own(
    saboteur: &Saboteur<'_>,
    charge: Option<&Charge>,
) -> Result<(usize, usize), StackError> {
    let now = now_s();
    let mut copies = 0;
    if let Some(charge) = charge {
        let money = charge.amount.amount_minor;
        let id = format!("storm-copy-{now}");
        let body = body(&id, charge.order, &charge.intent, money);
        let post = signed(&id, body, now, SECRET.as_bytes());
        copies = send(saboteur, &post, COPIES, 204).await;
    }
    let Some(postgres) = &saboteur.stack.postgres else {
        return Ok((copies, 0));
    };
    let books = Books::read(&postgres.url, saboteur.show).await?;
    let unpaid = books.orders.iter().find(|(_, order)| !order.is_paid());
    let Some((order, row)) = unpaid else {
        return Ok((copies, 0));
    };
    let body = body("storm-forged", *order, "pi_forged", row.total_minor);
    let wrong_key = b"a key that is not the shop's, of some length";
    let forged = signed("storm-forged", body.clone(), now, wrong_key);
    let old = signed("storm-old", body, now - OLD_S, SECRET.as_bytes());
    let mut refused = send(saboteur, &forged, FORGED, 400).await;
    refused += send(saboteur, &old, FORGED, 400).await;
    Ok((copies, refused))
}

/// Sends it to the nodes in turn; gives how many times it was answered with `wanted`.
async fn send(saboteur: &Saboteur<'_>, post: &Post, times: usize, wanted: u16) -> usize {
    let nodes: Vec<String> = saboteur
        .stack
        .nodes
        .iter()
        .map(|node| format!("http://{}/v1/webhooks/sandbox", node.address))
        .collect();
    let one = |n: usize| {
        let url = &nodes[n % nodes.len()];
        let request = saboteur
            .stack
            .http
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", &post.id)
            .header("webhook-timestamp", post.seconds.to_string())
            .header("webhook-signature", &post.signature)
            .body(post.body.clone());
        async move { request.send().await.map(|answer| answer.status().as_u16()) }
    };
    stream::iter(0..times)
        .map(one)
        .buffer_unordered(AT_ONCE)
        .filter(|status| std::future::ready(matches!(status, Ok(status) if *status == wanted)))
        .count()
        .await
}

fn body(id: &str, order: OrderId, intent: &str, minor: i64) -> String {
    json!({
        "id": id,
        "type": "payment.succeeded",
        "order": order,
        "intent": intent,
        "amount": {"amount_minor": minor, "currency": "EUR"},
        "at_ms": now_ms(),
    })
    .to_string()
}

fn signed(id: &str, body: String, seconds: i64, key: &[u8]) -> Post {
    let signature = Webhook::from_bytes(key.to_vec())
        .and_then(|webhook| webhook.sign(id, seconds, body.as_bytes()))
        .unwrap_or_default();
    Post {
        id: id.to_owned(),
        body,
        signature,
        seconds,
    }
}

fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}
