//! Who somebody is: JSON Web Tokens (RFC 7519), HS256 and nothing else. This file mints and checks
//! them; what a role may do is decided where it does it. Two keys may be live, for rotation.

pub mod codes;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use vetrina_protocol::id::{SellerId, ShowId, UserId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::Role;

use crate::refused::Refused;

/// Guests and everybody who came by a code: one long show and the evening after it.
pub const TOKEN_LIFE_MS: i64 = 12 * 3_600_000;
/// Longest token read. Ours have about 450 bytes.
const TOKEN_BYTES_MAX: usize = 4_096;
/// Clocks of several nodes may differ by this much.
const LEEWAY_S: i64 = 5;
/// Shortest secret that HS256 is any good with (RFC 7518, section 3.2).
pub const SECRET_BYTES_MIN: usize = 32;

/// Somebody whose token was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The person.
    pub user: UserId,
    /// Display name.
    pub name: String,
    /// What the token allows.
    pub role: Role,
    /// The tenant it is good for; none for ops, who see machines and not shops.
    pub seller: Option<SellerId>,
    /// Which of the seller's shows.
    pub shows: Shows,
    /// When it runs out.
    pub expires_at_ms: UnixMs,
}

/// The shows of its seller that a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shows {
    /// Every one.
    #[serde(rename = "all")]
    All,
    /// This one.
    #[serde(rename = "one")]
    One(ShowId),
}

impl Principal {
    /// Whether the token is good for this show of this seller.
    #[must_use]
    pub fn may_enter(&self, seller: SellerId, show: ShowId) -> bool {
        let in_scope = match self.shows {
            Shows::All => true,
            Shows::One(one) => one == show,
        };
        in_scope && self.seller == Some(seller)
    }

    /// Whether this is one of the seller's people.
    #[must_use]
    pub const fn is_staff(&self) -> bool {
        matches!(self.role, Role::Host | Role::Moderator | Role::Fulfilment)
    }

    /// The one show, if the token is for one.
    #[must_use]
    pub const fn show(&self) -> Option<ShowId> {
        match self.shows {
            Shows::All => None,
            Shows::One(show) => Some(show),
        }
    }
}

/// A secret that no log or debug output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one who uses it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(withheld)")
    }
}

/// What is in a token. Seconds, as RFC 7519 wants.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    name: String,
    role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seller: Option<SellerId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    show: Option<ShowId>,
    iat: i64,
    nbf: i64,
    exp: i64,
}

struct Key {
    kid: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl Key {
    fn new(secret: &Secret) -> Self {
        let bytes = secret.expose().as_bytes();
        let mut hash = Sha256::new();
        hash.update(b"vetrina key id");
        hash.update(bytes);
        Self {
            kid: URL_SAFE_NO_PAD.encode(&hash.finalize()[..6]),
            encoding: EncodingKey::from_secret(bytes),
            decoding: DecodingKey::from_secret(bytes),
        }
    }
}

/// Mints and checks tokens.
pub struct Tokens {
    issuer: String,
    signing: Key,
    previous: Option<Key>,
    validation: Validation,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Tokens(issuer {}, key {})",
            self.issuer, self.signing.kid
        )
    }
}

impl Tokens {
    /// Mints with `signing`; checks with `signing` and, while keys are rotated, with `previous`.
    /// `issuer` is both the issuer and the audience: a token is good for the servers that share it.
    #[must_use]
    pub fn new(issuer: &str, signing: &Secret, previous: Option<&Secret>) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Times are compared below, by the server's own clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self {
            issuer: issuer.to_owned(),
            signing: Key::new(signing),
            previous: previous.map(Key::new),
            validation,
        }
    }

    /// A token for `principal`, good from `now` until its `expires_at_ms`.
    ///
    /// # Panics
    /// Never: plain values always become JSON.
    #[must_use]
    pub fn mint(&self, principal: &Principal, now: UnixMs) -> String {
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.issuer.clone(),
            sub: principal.user,
            name: principal.name.clone(),
            role: principal.role,
            seller: principal.seller,
            show: principal.show(),
            iat: now.0.div_euclid(1_000),
            nbf: now.0.div_euclid(1_000),
            exp: principal.expires_at_ms.0.div_euclid(1_000),
        };
        let header = Header {
            kid: Some(self.signing.kid.clone()),
            ..Header::new(Algorithm::HS256)
        };
        jsonwebtoken::encode(&header, &claims, &self.signing.encoding)
            .expect("plain claims always become JSON, and HS256 takes any key")
    }

    /// Who the token says this is.
    ///
    /// # Errors
    /// [`RefusalCode::Unauthenticated`] when the token is not ours, not for this server, altered,
    /// not valid yet or expired. The message never quotes it.
    pub fn verify(&self, token: &str, now: UnixMs) -> Result<Principal, Refused> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(not_ours());
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| not_ours())?;
        let key = self.key(header.kid.as_deref()).ok_or_else(not_ours)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &self.validation)
            .map_err(|_| not_ours())?
            .claims;
        let now_s = now.0.div_euclid(1_000);
        if claims.exp <= now_s {
            return Err(Refused::new(
                RefusalCode::Unauthenticated,
                "the token has expired: get a new one at POST /v1/tokens",
            ));
        }
        if claims.nbf > now_s + LEEWAY_S {
            return Err(not_ours());
        }
        if claims.seller.is_none() && claims.role != Role::Ops {
            return Err(not_ours());
        }
        Ok(Principal {
            user: claims.sub,
            name: claims.name,
            role: claims.role,
            seller: claims.seller,
            shows: claims.show.map_or(Shows::All, Shows::One),
            expires_at_ms: UnixMs(claims.exp.saturating_mul(1_000)),
        })
    }

    fn key(&self, kid: Option<&str>) -> Option<&Key> {
        let kid = kid?;
        [Some(&self.signing), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .find(|key| key.kid == kid)
    }
}

fn not_ours() -> Refused {
    Refused::new(
        RefusalCode::Unauthenticated,
        "the token is not valid here: get one at POST /v1/tokens",
    )
}

#[cfg(test)]
mod tests;
