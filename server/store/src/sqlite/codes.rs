//! [`Codes`]: kept as hashes, taken out when used, in one transaction.

use async_trait::async_trait;
use sqlx::{SqliteConnection, query};
use vetrina_core::refused::Refused;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::time::UnixMs;

use super::SqliteLedger;
use super::rows::{Columns, hex};
use super::writer::Failure;
use crate::StoreError;
use crate::ledger::{CodeHash, Codes};

/// Longest grant: an account, a role and a show fit many times.
const GRANT_BYTES_MAX: usize = 4_096;

#[async_trait]
impl Codes for SqliteLedger {
    async fn put_code(
        &self,
        code: CodeHash,
        grant: String,
        now: UnixMs,
        expires_at: UnixMs,
    ) -> Result<(), StoreError> {
        if grant.len() > GRANT_BYTES_MAX {
            return Err(StoreError::Refused(Refused::new(
                RefusalCode::Invalid,
                "code: what it is good for is longer than 4096 bytes",
            )));
        }
        self.writer
            .write(move |db| Box::pin(async move { put(db, code, &grant, now, expires_at).await }))
            .await
    }

    async fn use_code(&self, code: CodeHash, now: UnixMs) -> Result<Option<String>, StoreError> {
        self.writer
            .write(move |db| Box::pin(async move { take(db, code, now).await }))
            .await
    }
}

async fn put(
    db: &mut SqliteConnection,
    code: CodeHash,
    grant: &str,
    now: UnixMs,
    expires_at: UnixMs,
) -> Result<(), Failure> {
    query("DELETE FROM codes WHERE expires_at <= ?1")
        .bind(now.0)
        .execute(&mut *db)
        .await?;
    query(
        "INSERT INTO codes (hash, good_for, expires_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (hash) DO NOTHING",
    )
    .bind(hex(&code.0))
    .bind(grant)
    .bind(expires_at.0)
    .execute(db)
    .await?;
    Ok(())
}

async fn take(
    db: &mut SqliteConnection,
    code: CodeHash,
    now: UnixMs,
) -> Result<Option<String>, Failure> {
    let row = query("DELETE FROM codes WHERE hash = ?1 RETURNING good_for, expires_at")
        .bind(hex(&code.0))
        .fetch_optional(db)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let good = row.at("expires_at")? > now;
    Ok(good.then_some(row.text("good_for")?))
}
