//! Pictures in the ledger's database, so that every node serves them.

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::postgres::{PgPool, PgPoolOptions};
use vetrina_protocol::id::PictureId;

use super::{OpenError, READER_WAIT, SETTINGS, url};
use crate::StoreError;
use crate::blob::BlobStore;

/// Pictures are asked for once by every browser and then kept there.
const CONNECTIONS_MAX: u32 = 2;

/// [`BlobStore`] in the table `picture_bytes`. The ledger makes the table when it opens.
#[derive(Debug, Clone)]
pub struct PostgresBlobs {
    pool: PgPool,
}

impl PostgresBlobs {
    /// In the database at `url`, where the ledger is.
    ///
    /// # Errors
    /// The URL cannot be used. The server is asked when a picture is.
    pub fn at(url: &str) -> Result<Self, OpenError> {
        let options = url::options(url)?.options(SETTINGS);
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(READER_WAIT)
            .connect_lazy_with(options);
        Ok(Self { pool })
    }
}

#[async_trait]
impl BlobStore for PostgresBlobs {
    async fn put(&self, id: PictureId, bytes: Bytes) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO picture_bytes (id, bytes) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(uuid::Uuid::from_u128(id.0))
            .bind(&*bytes)
            .execute(&self.pool)
            .await
            .map_err(|error| unavailable(&error))?;
        Ok(())
    }

    async fn get(&self, id: PictureId) -> Result<Option<Bytes>, StoreError> {
        let found: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT bytes FROM picture_bytes WHERE id = $1")
                .bind(uuid::Uuid::from_u128(id.0))
                .fetch_optional(&self.pool)
                .await
                .map_err(|error| unavailable(&error))?;
        Ok(found.map(Bytes::from))
    }

    async fn delete(&self, id: PictureId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM picture_bytes WHERE id = $1")
            .bind(uuid::Uuid::from_u128(id.0))
            .execute(&self.pool)
            .await
            .map_err(|error| unavailable(&error))?;
        Ok(())
    }
}

fn unavailable(error: &sqlx::Error) -> StoreError {
    tracing::warn!(%error, "PostgreSQL did not keep or give a picture");
    StoreError::Unavailable("the pictures' database did not answer".into())
}
