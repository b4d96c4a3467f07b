//! [`Codes`]: kept as hashes, taken out when used, in one transaction.

use async_trait::async_trait;
use vetrina_core::refused::Refused;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::time::UnixMs;

use super::db::{Db, query, query_either};
use super::locks::Locks;
use super::rows::hex;
use super::writer::Failure;
use super::{Dialect, SqlLedger};
use crate::StoreError;
use crate::ledger::{CodeHash, Codes};

/// Longest grant: an account, a role and a show fit many times.
const GRANT_BYTES_MAX: usize = 4_096;

#[async_trait]
impl<D: Dialect> Codes for SqlLedger<D> {
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
        let input = (code, grant, now, expires_at);
        self.write(
            Locks::none(),
            input,
            |db, (code, grant, now, expires_at)| Box::pin(put(db, *code, grant, *now, *expires_at)),
        )
        .await
    }

    async fn use_code(&self, code: CodeHash, now: UnixMs) -> Result<Option<String>, StoreError> {
        self.write(Locks::none(), (code, now), |db, (code, now)| {
            Box::pin(take(db, *code, *now))
        })
        .await
    }
}

async fn put(
    db: &mut Db<'_>,
    code: CodeHash,
    grant: &str,
    now: UnixMs,
    expires_at: UnixMs,
) -> Result<(), Failure> {
    query_either(
        "DELETE FROM codes WHERE expires_at <= $1",
        // Those that another node is forgetting now are its own business.
        "DELETE FROM codes WHERE hash IN
           (SELECT hash FROM codes WHERE expires_at <= $1 FOR UPDATE SKIP LOCKED)",
    )
    .bind(now)
    .execute(db)
    .await?;
    query(
        "INSERT INTO codes (hash, good_for, expires_at) VALUES ($1, $2, $3)
         ON CONFLICT (hash) DO NOTHING",
    )
    .bind(hex(&code.0))
    .bind(grant)
    .bind(expires_at.0)
    .execute(db)
    .await?;
    Ok(())
}

async fn take(db: &mut Db<'_>, code: CodeHash, now: UnixMs) -> Result<Option<String>, Failure> {
    let row = query("DELETE FROM codes WHERE hash = $1 RETURNING good_for, expires_at")
        .bind(hex(&code.0))
        .fetch_optional(db)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let good = row.at("expires_at")? > now;
    Ok(good.then_some(row.text("good_for")?))
}
