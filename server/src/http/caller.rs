//! Who asks and from where: the bearer token and the client's address, as handlers take them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use vetrina_protocol::id::{SellerId, ShowId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::view::Role;

use super::Shared;
use super::error::HttpError;
use crate::auth::Principal;
use crate::config::Network;
use crate::refused::{Refused, forbidden};

/// Somebody with a good token. Without one: 401.
pub(super) struct Caller(pub(super) Principal);

impl Caller {
    /// The caller as one of the seller's people with one of `roles`, with the seller.
    ///
    /// # Errors
    /// `forbidden`.
    pub(super) fn staff(&self, roles: &[Role]) -> Result<SellerId, Refused> {
        match self.0.seller {
            Some(seller) if roles.contains(&self.0.role) => Ok(seller),
            _ => Err(forbidden("this token's role may not do that")),
        }
    }

    /// The caller as one of `roles` for this show of this seller.
    ///
    /// # Errors
    /// `forbidden`.
    pub(super) fn staff_of(
        &self,
        seller: SellerId,
        show: ShowId,
        roles: &[Role],
    ) -> Result<(), Refused> {
        self.staff(roles)?;
        if self.0.may_enter(seller, show) {
            Ok(())
        } else {
            Err(forbidden("this token is not for this show"))
        }
    }
}

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = HttpError;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Arc<Shared>,
    ) -> Result<Self, HttpError> {
        let token = bearer(&parts.headers)?;
        let principal = shared.tokens.verify(token, shared.clock.now())?;
        Ok(Self(principal))
    }
}

/// Somebody with a good token, or nobody. A bad token is still 401.
pub(super) struct MaybeCaller(pub(super) Option<Principal>);

impl FromRequestParts<Arc<Shared>> for MaybeCaller {
    type Rejection = HttpError;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Arc<Shared>,
    ) -> Result<Self, HttpError> {
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(Self(None));
        }
        let Caller(principal) = Caller::from_request_parts(parts, shared).await?;
        Ok(Self(Some(principal)))
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Refused> {
    let missing = || {
        Refused::new(
            RefusalCode::Unauthenticated,
            "send Authorization: Bearer with a token from POST /v1/tokens",
        )
    };
    let value = headers.get(AUTHORIZATION).ok_or_else(missing)?;
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(token.trim())
    } else {
        Err(missing())
    }
}

/// The client's address: the peer's, or what trusted proxies say about it.
pub(super) struct ClientAddress(pub(super) IpAddr);

impl FromRequestParts<Arc<Shared>> for ClientAddress {
    type Rejection = HttpError;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Arc<Shared>,
    ) -> Result<Self, HttpError> {
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip())
            .ok_or_else(crate::refused::internal)?;
        let forwarded = parts.headers.get_all("x-forwarded-for");
        let forwarded: Vec<_> = forwarded
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        Ok(Self(client_address(
            peer,
            &forwarded,
            &shared.config.trusted_proxies,
        )))
    }
}

/// From the right: the first address that is none of our proxies. What stands left of it anybody
/// may have written.
fn client_address(peer: IpAddr, forwarded: &[&str], trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut nearest = peer.to_canonical();
    let hops = forwarded.iter().flat_map(|line| line.split(','));
    for hop in hops.collect::<Vec<_>>().into_iter().rev() {
        if !is_trusted(nearest) {
            break;
        }
        match hop.trim().parse::<IpAddr>() {
            Ok(address) => nearest = address.to_canonical(),
            Err(_) => break,
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_addresses_are_believed_from_trusted_proxies_only() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("reads");
        let trusted = ["10.0.0.0/8".parse().expect("reads")];
        let from = |peer, forwarded: &[&str]| client_address(ip(peer), forwarded, &trusted);
        assert_eq!(from("203.0.113.9", &["1.1.1.1"]), ip("203.0.113.9"));
        assert_eq!(from("10.0.0.1", &["1.1.1.1"]), ip("1.1.1.1"));
        assert_eq!(
            from("10.0.0.1", &["6.6.6.6, 1.1.1.1, 10.0.0.2"]),
            ip("1.1.1.1")
        );
        assert_eq!(from("10.0.0.1", &["6.6.6.6", "1.1.1.1"]), ip("1.1.1.1"));
        assert_eq!(from("10.0.0.1", &["nonsense"]), ip("10.0.0.1"));
        assert_eq!(from("::ffff:10.0.0.1", &["1.1.1.1"]), ip("1.1.1.1"));
        assert_eq!(
            client_address(ip("127.0.0.1"), &["1.1.1.1"], &[]),
            ip("127.0.0.1")
        );
    }
}
