//! One-use codes: printed or sent, good once and for a short time. Only their hashes are kept.

use async_trait::async_trait;
use vetrina_protocol::time::UnixMs;

use crate::StoreError;

/// SHA-256 of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeHash(pub [u8; 32]);

/// See the module's words.
#[async_trait]
pub trait Codes: Send + Sync {
    /// Keeps a code until `expires_at`. `grant` is what it is good for, in the caller's words
    /// (at most 4 kB). Codes that have run out are forgotten on the way.
    async fn put_code(
        &self,
        code: CodeHash,
        grant: String,
        now: UnixMs,
        expires_at: UnixMs,
    ) -> Result<(), StoreError>;

    /// Gives the grant once; `None` when it is unknown, used or has run out.
    async fn use_code(&self, code: CodeHash, now: UnixMs) -> Result<Option<String>, StoreError>;
}
