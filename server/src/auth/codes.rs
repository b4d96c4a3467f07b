//! One-use codes: how staff get from a printed link to a token without a token in the link. The
//! ledger keeps the hash of a code and what it is good for; the code itself is nowhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use vetrina_protocol::id::{SellerId, UserId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::Role;

use super::{Principal, Shows, TOKEN_LIFE_MS};
use crate::refused::Refused;
use vetrina_store::StoreError;
use vetrina_store::ledger::{CodeHash, Codes};

/// A link with a code in it may lie in a terminal or a chat: it is good for a minute, once.
pub const CODE_LIFE_MS: i64 = 60_000;
/// Longer than any of ours.
const CODE_BYTES_MAX: usize = 64;

/// What a code is good for: a token of this person and role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeGrant {
    /// Who.
    pub user: UserId,
    /// Display name.
    pub name: String,
    /// What it will allow.
    pub role: Role,
    /// For which tenant.
    pub seller: Option<SellerId>,
    /// For which shows.
    pub shows: Shows,
}

/// Makes a code: 128 random bits, safe in a URL's fragment.
///
/// # Errors
/// The ledger did not keep it.
pub async fn issue<L: Codes + ?Sized>(
    ledger: &L,
    grant: &CodeGrant,
    now: UnixMs,
) -> Result<String, StoreError> {
    let code = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
    let grant = serde_json::to_string(grant).expect("plain values always become JSON");
    ledger
        .put_code(hash(&code), grant, now, now.plus_ms(CODE_LIFE_MS))
        .await?;
    Ok(code)
}

/// Takes a code, once.
///
/// # Errors
/// It is unknown, used or too old; or the ledger does not answer.
pub async fn redeem<L: Codes + ?Sized>(
    ledger: &L,
    code: &str,
    now: UnixMs,
) -> Result<Principal, StoreError> {
    let refused = || {
        Refused::new(
            RefusalCode::Unauthenticated,
            "this code was used before or is older than a minute: ask for a fresh link",
        )
    };
    if code.len() > CODE_BYTES_MAX {
        return Err(refused().into());
    }
    let grant = ledger
        .use_code(hash(code), now)
        .await?
        .ok_or_else(refused)?;
    let grant: CodeGrant = serde_json::from_str(&grant).map_err(|error| {
        tracing::error!(%error, "a code in the ledger cannot be read");
        crate::refused::internal()
    })?;
    Ok(Principal {
        user: grant.user,
        name: grant.name,
        role: grant.role,
        seller: grant.seller,
        shows: grant.shows,
        expires_at_ms: now.plus_ms(TOKEN_LIFE_MS),
    })
}

fn hash(code: &str) -> CodeHash {
    CodeHash(Sha256::digest(code.as_bytes()).into())
}
