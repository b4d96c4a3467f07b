//! `POST /v1/tokens`: from nobody to somebody. Guests come freely (at a bounded rate), staff by a
//! one-use code, and whoever has a good token gets a fresh one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use vetrina_core::text::clean_name;
use vetrina_protocol::id::{ShowId, UserId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::rest::{Problem, TokenGrant, TokenRequest};
use vetrina_protocol::view::Role;

use super::Shared;
use super::body::JsonBody;
use super::caller::ClientAddress;
use super::error::HttpError;
use crate::auth::{Principal, Shows, TOKEN_LIFE_MS, codes};
use crate::rates::network;
use crate::refused::{Refused, invalid};

/// Longest display name, characters.
const NAME_CHARS_MAX: usize = 40;

/// Gets a token.
#[utoipa::path(
    post, path = "/v1/tokens", tag = "tokens", security(()),
    request_body = TokenRequest,
    responses(
        (status = 201, body = TokenGrant),
        (status = 401, description = "The code or token is no good any more", body = Problem),
        (status = 404, description = "No such show", body = Problem),
        (status = 429, description = "Too many guests from this address", body = Problem),
    ),
)]
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    ClientAddress(address): ClientAddress,
    body: JsonBody<TokenRequest>,
) -> Result<(StatusCode, Json<TokenGrant>), HttpError> {
    let now = shared.clock.now();
    let principal = match body.value {
        TokenRequest::Guest { show, name } => {
            let counted = shared.guests.take(network(address));
            counted.map_err(|wait_ms| {
                let message = "too many requests from this address; wait, then try again";
                Refused::for_now(RefusalCode::RateLimited, message, wait_ms)
            })?;
            guest(&shared, show, name.as_deref()).await?
        }
        TokenRequest::Code { code } => codes::redeem(&*shared.ledger, &code, now).await?,
        TokenRequest::Refresh { token } => Principal {
            expires_at_ms: now.plus_ms(TOKEN_LIFE_MS),
            ..shared.tokens.verify(&token, now)?
        },
    };
    Ok((StatusCode::CREATED, Json(grant(&shared, principal))))
}

/// The same on the ops listener, where guests have no business.
pub(super) async fn create_for_ops(
    State(shared): State<Arc<Shared>>,
    body: JsonBody<TokenRequest>,
) -> Result<(StatusCode, Json<TokenGrant>), HttpError> {
    let now = shared.clock.now();
    let principal = match body.value {
        TokenRequest::Guest { .. } => {
            return Err(crate::refused::forbidden("guests are not served here").into());
        }
        TokenRequest::Code { code } => codes::redeem(&*shared.ledger, &code, now).await?,
        TokenRequest::Refresh { token } => Principal {
            expires_at_ms: now.plus_ms(TOKEN_LIFE_MS),
            ..shared.tokens.verify(&token, now)?
        },
    };
    Ok((StatusCode::CREATED, Json(grant(&shared, principal))))
}

async fn guest(shared: &Shared, show: ShowId, name: Option<&str>) -> Result<Principal, HttpError> {
    let name = match name {
        Some(wanted) => {
            let name = clean_name(wanted, NAME_CHARS_MAX);
            if name.is_empty() || wanted.chars().count() > NAME_CHARS_MAX {
                return Err(invalid("name", "from 1 to 40 characters that can be seen").into());
            }
            name
        }
        None => made_up_name(rand::random()),
    };
    let show = shared.ledger.show(show).await?.ok_or_else(|| {
        Refused::new(
            RefusalCode::ShowUnknown,
            "there is no such show; check the link",
        )
    })?;
    Ok(Principal {
        user: UserId::now(),
        name,
        role: Role::Viewer,
        seller: Some(show.seller),
        shows: Shows::One(show.id),
        expires_at_ms: shared.clock.now().plus_ms(TOKEN_LIFE_MS),
    })
}

fn grant(shared: &Shared, principal: Principal) -> TokenGrant {
    TokenGrant {
        token: shared.tokens.mint(&principal, shared.clock.now()),
        user: principal.user,
        role: principal.role,
        show: principal.show(),
        expires_at_ms: principal.expires_at_ms,
        name: principal.name,
    }
}

/// Such as "Basilico 412": kind, short, the same in every language.
fn made_up_name(random: u32) -> String {
    const WORDS: [&str; 16] = [
        "Basilico",
        "Limone",
        "Rosmarino",
        "Girasole",
        "Lavanda",
        "Papavero",
        "Timo",
        "Salvia",
        "Mimosa",
        "Ginestra",
        "Alloro",
        "Menta",
        "Camelia",
        "Iris",
        "Cipresso",
        "Melograno",
    ];
    let word = WORDS[random as usize % WORDS.len()];
    format!("{word} {}", 100 + (random >> 8) % 900)
}
