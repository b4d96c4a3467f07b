//! The sandbox's books: intents, charges, refunds and webhooks to be delivered, in one SQLite file.
//! Each change and the webhook that tells of it are one transaction.

use std::path::Path;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteRow, SqliteSynchronous,
};
use sqlx::{Connection as _, Row as _};
use vetrina_protocol::id::OrderId;
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::time::UnixMs;

use super::api::{
    ChargeBody, IntentStatus, NewIntentBody, RefundBody, RefundStatus, WebhookBody, WebhookKind,
};
use super::now;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS intents(
  id TEXT PRIMARY KEY, order_id TEXT NOT NULL UNIQUE, amount_minor INTEGER NOT NULL,
  currency TEXT NOT NULL, description TEXT NOT NULL, pay_by_ms INTEGER NOT NULL,
  status TEXT NOT NULL, ending TEXT, due_ms INTEGER) STRICT;
CREATE INDEX IF NOT EXISTS intents_due ON intents(due_ms) WHERE due_ms IS NOT NULL;
CREATE TABLE IF NOT EXISTS charges(
  seq INTEGER PRIMARY KEY, intent TEXT NOT NULL REFERENCES intents(id),
  amount_minor INTEGER NOT NULL,
  refunded INTEGER NOT NULL DEFAULT 0, at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS webhooks(
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL, attempts INTEGER NOT NULL,
  due_ms INTEGER) STRICT;
CREATE INDEX IF NOT EXISTS webhooks_due ON webhooks(due_ms) WHERE due_ms IS NOT NULL;
";

/// An intent as the books have it.
#[derive(Debug, Clone)]
pub(super) struct IntentRow {
    pub id: String,
    pub order: OrderId,
    pub amount: Money,
    pub description: String,
    pub status: IntentStatus,
    /// How a payment that is under way will end.
    pub ending: Option<Ending>,
}

/// How a payment that is under way ends when it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The charge succeeds.
    Charge,
    /// The bank never answers; the try counts as declined.
    Decline,
    /// The charge succeeds after a cancellation was confirmed, as happens with some methods.
    ChargeAfterCancel,
    /// The buyer must enter the code first.
    Verify,
}

/// A webhook to send.
#[derive(Debug, Clone)]
pub(super) struct WebhookRow {
    pub seq: i64,
    pub id: String,
    pub body: String,
    pub attempts: u32,
}

pub(super) struct Book {
    pool: SqlitePool,
}

impl Book {
    pub(super) async fn open(file: &Path) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_with(options)
            .await?;
        sqlx::raw_sql(SCHEMA).execute(&pool).await?;
        Ok(Self { pool })
    }

    /// Opens the intent of an order, or finds the one that is there.
    pub(super) async fn create(&self, new: &NewIntentBody) -> Result<IntentRow, sqlx::Error> {
        sqlx::query(
            "INSERT INTO
               intents(id, order_id, amount_minor, currency, description, pay_by_ms, status)
             VALUES(?, ?, ?, ?, ?, ?, 'open') ON CONFLICT(order_id) DO NOTHING",
        )
        .bind(format!("pi_{}", uuid::Uuid::new_v4().simple()))
        .bind(new.order.to_string())
        .bind(new.amount.amount_minor)
        .bind(new.amount.currency.as_str())
        .bind(&new.description)
        .bind(new.pay_by_ms.0)
        .execute(&self.pool)
        .await?;
        let row = sqlx::query("SELECT * FROM intents WHERE order_id = ?")
            .bind(new.order.to_string())
            .fetch_one(&self.pool)
            .await?;
        intent_row(&row)
    }

    pub(super) async fn intent(&self, id: &str) -> Result<Option<IntentRow>, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        find(&mut connection, id).await
    }

    /// A try of the buyer. Returns the intent as it is afterwards; one that is past paying stays.
    pub(super) async fn attempt(
        &self,
        id: &str,
        attempt: Attempt,
    ) -> Result<Option<IntentRow>, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
        let Some(intent) = find(&mut tx, id).await? else {
            return Ok(None);
        };
        if !matches!(intent.status, IntentStatus::Open | IntentStatus::Declined) {
            return Ok(Some(intent));
        }
        match attempt {
            Attempt::Approve => charge(&mut tx, &intent).await?,
            Attempt::Decline => decline(&mut tx, &intent).await?,
            Attempt::Under { ending, for_ms } => {
                let status = match ending {
                    Ending::Charge | Ending::Decline => "processing",
                    // Still open, so that the shop can cancel it, or the buyer go on.
                    Ending::ChargeAfterCancel | Ending::Verify => "open",
                };
                sqlx::query("UPDATE intents SET status = ?, ending = ?, due_ms = ? WHERE id = ?")
                    .bind(status)
                    .bind(ending_name(ending))
                    .bind(for_ms.map(|ms| now().plus_ms(ms).0))
                    .bind(id)
                    .execute(&mut *tx)
                    .await?;
            }
        }
        let intent = find(&mut tx, id).await?;
        tx.commit().await?;
        Ok(intent)
    }

    /// Makes an intent unpayable where that is possible; returns what it is then.
    pub(super) async fn cancel(&self, id: &str) -> Result<Option<IntentRow>, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
        let Some(intent) = find(&mut tx, id).await? else {
            return Ok(None);
        };
        if matches!(intent.status, IntentStatus::Open | IntentStatus::Declined) {
            let late = intent.ending == Some(Ending::ChargeAfterCancel);
            sqlx::query("UPDATE intents SET status = 'canceled', due_ms = ? WHERE id = ?")
                .bind(late.then(|| now().plus_ms(LATE_CHARGE_MS).0))
                .bind(id)
                .execute(&mut *tx)
                .await?;
            tell(&mut tx, &intent, WebhookKind::PaymentCanceled).await?;
        }
        let intent = find(&mut tx, id).await?;
        tx.commit().await?;
        Ok(intent)
    }

    /// Gives a charge back, once. `None`: there is no charge to give back.
    pub(super) async fn refund(&self, id: &str) -> Result<Option<RefundBody>, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
        let Some(intent) = find(&mut tx, id).await? else {
            return Ok(None);
        };
        let refunded: Option<i64> =
            sqlx::query_scalar("SELECT refunded FROM charges WHERE intent = ?")
                .bind(id)
                .fetch_optional(&mut *tx)
                .await?;
        let Some(refunded) = refunded else {
            return Ok(None);
        };
        if refunded == 0 {
            sqlx::query("UPDATE charges SET refunded = 1 WHERE intent = ?")
                .bind(id)
                .execute(&mut *tx)
                .await?;
            tell(&mut tx, &intent, WebhookKind::RefundSucceeded).await?;
        }
        tx.commit().await?;
        Ok(Some(RefundBody {
            intent: id.to_owned(),
            status: RefundStatus::Succeeded,
        }))
    }

    /// The audit list: every charge ever made.
    pub(super) async fn charges(&self) -> Result<Vec<ChargeBody>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT i.order_id, i.currency, c.intent, c.amount_minor, c.refunded, c.at_ms
             FROM charges c JOIN intents i ON i.id = c.intent ORDER BY c.seq",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(ChargeBody {
                    order: parse(row.try_get("order_id")?)?,
                    intent: row.try_get("intent")?,
                    amount: Money::new(
                        row.try_get("amount_minor")?,
                        parse(row.try_get("currency")?)?,
                    ),
                    refunded: row.try_get::<i64, _>("refunded")? != 0,
                    at_ms: UnixMs(row.try_get("at_ms")?),
                })
            })
            .collect()
    }

    /// Ends the payments that are due.
    pub(super) async fn finish_due(&self) -> Result<(), sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
        let rows = sqlx::query("SELECT * FROM intents WHERE due_ms <= ? LIMIT 100")
            .bind(now().0)
            .fetch_all(&mut *tx)
            .await?;
        for row in &rows {
            let intent = intent_row(row)?;
            match intent.ending {
                Some(Ending::Charge | Ending::ChargeAfterCancel) => {
                    charge(&mut tx, &intent).await?;
                }
                Some(Ending::Decline | Ending::Verify) | None => decline(&mut tx, &intent).await?,
            }
        }
        tx.commit().await
    }

    /// Webhooks that are due, oldest first.
    pub(super) async fn webhooks_due(&self) -> Result<Vec<WebhookRow>, sqlx::Error> {
        let rows = sqlx::query("SELECT * FROM webhooks WHERE due_ms <= ? ORDER BY seq LIMIT 64")
            .bind(now().0)
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(WebhookRow {
                    seq: row.try_get("seq")?,
                    id: row.try_get("id")?,
                    body: row.try_get("body")?,
                    attempts: row.try_get("attempts")?,
                })
            })
            .collect()
    }

    /// Records a try: `again` is when to try again, `None` that it is done or given up.
    pub(super) async fn webhook_tried(
        &self,
        seq: i64,
        again: Option<UnixMs>,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE webhooks SET attempts = attempts + 1, due_ms = ? WHERE seq = ?")
            .bind(again.map(|at| at.0))
            .bind(seq)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The next moment something is due.
    pub(super) async fn next_due(&self) -> Result<Option<UnixMs>, sqlx::Error> {
        let due: Option<i64> = sqlx::query_scalar(
            "SELECT min(due_ms) FROM (SELECT min(due_ms) AS due_ms FROM webhooks
             UNION ALL SELECT min(due_ms) FROM intents)",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(due.map(UnixMs))
    }
}

/// What the buyer does on the pay page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// Pays at once.
    Approve,
    /// Is declined at once.
    Decline,
    /// Starts something that ends later.
    Under {
        /// How.
        ending: Ending,
        /// After how long; `None`: when something else happens.
        for_ms: Option<i64>,
    },
}

/// A late charge comes this long after the cancellation was confirmed.
const LATE_CHARGE_MS: i64 = 1_500;

async fn find(
    connection: &mut SqliteConnection,
    id: &str,
) -> Result<Option<IntentRow>, sqlx::Error> {
    let row = sqlx::query("SELECT * FROM intents WHERE id = ?")
        .bind(id)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(intent_row).transpose()
}

async fn charge(tx: &mut SqliteConnection, intent: &IntentRow) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO charges(intent, amount_minor, at_ms) VALUES(?, ?, ?)")
        .bind(&intent.id)
        .bind(intent.amount.amount_minor)
        .bind(now().0)
        .execute(&mut *tx)
        .await?;
    set_ended(tx, intent, "succeeded").await?;
    tell(tx, intent, WebhookKind::PaymentSucceeded).await
}

async fn decline(tx: &mut SqliteConnection, intent: &IntentRow) -> Result<(), sqlx::Error> {
    set_ended(tx, intent, "declined").await?;
    tell(tx, intent, WebhookKind::PaymentDeclined).await
}

async fn set_ended(
    tx: &mut SqliteConnection,
    intent: &IntentRow,
    status: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE intents SET status = ?, ending = NULL, due_ms = NULL WHERE id = ?")
        .bind(status)
        .bind(&intent.id)
        .execute(tx)
        .await?;
    Ok(())
}

async fn tell(
    tx: &mut SqliteConnection,
    intent: &IntentRow,
    kind: WebhookKind,
) -> Result<(), sqlx::Error> {
    let id = format!("evt_{}", uuid::Uuid::new_v4().simple());
    let body = WebhookBody {
        id: id.clone(),
        kind,
        order: intent.order,
        intent: intent.id.clone(),
        amount: intent.amount,
        at_ms: now(),
    };
    let body = serde_json::to_string(&body).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query("INSERT INTO webhooks(id, body, attempts, due_ms) VALUES(?, ?, 0, ?)")
        .bind(id)
        .bind(body)
        .bind(now().0)
        .execute(tx)
        .await?;
    Ok(())
}

fn intent_row(row: &SqliteRow) -> Result<IntentRow, sqlx::Error> {
    let status: String = row.try_get("status")?;
    let currency: Currency = parse(row.try_get("currency")?)?;
    Ok(IntentRow {
        id: row.try_get("id")?,
        order: parse(row.try_get("order_id")?)?,
        amount: Money::new(row.try_get("amount_minor")?, currency),
        description: row.try_get("description")?,
        status: match status.as_str() {
            "declined" => IntentStatus::Declined,
            "processing" => IntentStatus::Processing,
            "succeeded" => IntentStatus::Succeeded,
            "canceled" => IntentStatus::Canceled,
            _ => IntentStatus::Open,
        },
        ending: match row.try_get::<Option<String>, _>("ending")?.as_deref() {
            Some("charge") => Some(Ending::Charge),
            Some("decline") => Some(Ending::Decline),
            Some("charge_after_cancel") => Some(Ending::ChargeAfterCancel),
            Some("verify") => Some(Ending::Verify),
            _ => None,
        },
    })
}

fn ending_name(ending: Ending) -> &'static str {
    match ending {
        Ending::Charge => "charge",
        Ending::Decline => "decline",
        Ending::ChargeAfterCancel => "charge_after_cancel",
        Ending::Verify => "verify",
    }
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, sqlx::Error>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse()
        .map_err(|error: T::Err| sqlx::Error::Decode(error.into()))
}
