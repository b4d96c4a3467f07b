//! WHIP (RFC 9725) and WHEP: offers in, answers out, and the life of their sessions. SDP and ICE
//! are the media engine's; who may do what is decided here.

use std::sync::Arc;

use axum::extract::{FromRequest as _, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CONTENT_TYPE, ETAG, IF_MATCH,
    LOCATION,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use vetrina_media::{BroadcastId, Patched, SessionId, SessionKind};
use vetrina_protocol::id::ShowId;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::view::Role;

use super::Shared;
use super::body::{Ids, content_type, unread};
use super::caller::Caller;
use super::error::HttpError;
use crate::broadcasts::Owner;
use crate::origins::{Holder, whep_path};
use crate::refused::{Refused, forbidden, invalid};

/// An offer of a browser with every codec is about 8 KB.
pub(super) const SDP_BYTES_MAX: usize = 64 * 1024;

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
static ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
static ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// `POST /v1/shows/{show}/whip`: a host publishes.
pub(super) async fn publish(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Ids(show): Ids<ShowId>,
    request: Request,
) -> Result<Response, HttpError> {
    let show = super::shows::find(&shared, show).await?;
    caller.staff_of(show.seller, show.id, &[Role::Host])?;
    vetrina_core::show::refuse_if_over(show.state)?;
    let offer = sdp(request, SDP).await?;
    let answer = shared.media.publish(BroadcastId(show.id.0), &offer).await?;
    shared
        .broadcasts
        .opened(answer.session, owner(&caller, show.id));
    shared.broadcasts.follow(show.id)?;
    created(
        &format!("/v1/whip/{}", answer.session),
        &answer.etag,
        answer.sdp,
    )
}

/// `POST /v1/shows/{show}/whep`: whoever may watch the show, watches.
pub(super) async fn subscribe(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Ids(show): Ids<ShowId>,
    request: Request,
) -> Result<Response, HttpError> {
    let show = super::shows::find(&shared, show).await?;
    if !caller.0.may_enter(show.seller, show.id) {
        return Err(forbidden("this token is not for this show").into());
    }
    // A page asks the show for its address instead: on their way to another origin browsers drop
    // the token.
    let holder = shared.origins.holder(show.id).await;
    // When nobody answers who has it, it may be here.
    if let Ok(Holder::There(origin)) = holder {
        let location = format!("{origin}{}", whep_path(show.id));
        return Ok((StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location)]).into_response());
    }
    let offer = sdp(request, SDP).await?;
    let answer = shared
        .media
        .subscribe(BroadcastId(show.id.0), &offer)
        .await?;
    shared
        .broadcasts
        .opened(answer.session, owner(&caller, show.id));
    created(
        &format!("/v1/whep/{}", answer.session),
        &answer.etag,
        answer.sdp,
    )
}

/// `GET` and `HEAD` of an endpoint: it is there.
pub(super) async fn endpoint(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Ids(show): Ids<ShowId>,
) -> Result<Response, HttpError> {
    let show = super::shows::find(&shared, show).await?;
    if !caller.0.may_enter(show.seller, show.id) {
        return Err(forbidden("this token is not for this show").into());
    }
    Ok([(CONTENT_TYPE, SDP), (ACCEPT_POST.clone(), SDP)].into_response())
}

/// `OPTIONS` of an endpoint: a CORS preflight carries no token and needs none.
pub(super) async fn endpoint_options() -> Response {
    let headers = [
        (ALLOW, "GET, HEAD, POST, OPTIONS"),
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST, OPTIONS"),
        (ACCEPT_POST.clone(), SDP),
    ];
    (StatusCode::NO_CONTENT, preflight(), headers).into_response()
}

/// `OPTIONS` of a session.
pub(super) async fn session_options() -> Response {
    let headers = [
        (ALLOW, "GET, HEAD, PATCH, DELETE, OPTIONS"),
        (
            ACCESS_CONTROL_ALLOW_METHODS,
            "GET, HEAD, PATCH, DELETE, OPTIONS",
        ),
        (ACCEPT_PATCH.clone(), FRAGMENT),
    ];
    (StatusCode::NO_CONTENT, preflight(), headers).into_response()
}

fn preflight() -> [(HeaderName, &'static str); 2] {
    [
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, if-match",
        ),
        (ACCESS_CONTROL_MAX_AGE, "600"),
    ]
}

/// Which of the two kinds of session an address names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Whip,
    Whep,
}

/// `GET` and `HEAD` of a session.
pub(super) async fn session(
    shared: &Shared,
    side: Side,
    caller: &Caller,
    session: &str,
) -> Result<Response, HttpError> {
    let (_, etag) = own_session(shared, side, caller, session)?;
    Ok(([(CONTENT_TYPE, SDP.to_owned()), (ETAG, etag)]).into_response())
}

/// `PATCH` of a session: trickled candidates, or an ICE restart.
pub(super) async fn patch(
    shared: &Shared,
    side: Side,
    caller: &Caller,
    session: &str,
    request: Request,
) -> Result<Response, HttpError> {
    let (session, _) = own_session(shared, side, caller, session)?;
    let if_match = if_match(request.headers())?;
    let fragment = sdp(request, FRAGMENT).await?;
    match shared
        .media
        .patch(session, &fragment, if_match.as_deref())
        .await?
    {
        Patched::Accepted => Ok(StatusCode::NO_CONTENT.into_response()),
        Patched::Restarted { fragment, etag } => {
            let headers = [(CONTENT_TYPE, FRAGMENT.to_owned()), (ETAG, etag)];
            Ok((headers, fragment).into_response())
        }
    }
}

/// `DELETE` of a session: over, whatever `If-Match` says.
pub(super) async fn close(
    shared: &Shared,
    side: Side,
    caller: &Caller,
    session: &str,
) -> Result<Response, HttpError> {
    let (session, _) = own_session(shared, side, caller, session)?;
    shared.media.close(session).await?;
    shared.broadcasts.closed(session);
    Ok(StatusCode::OK.into_response())
}

/// Every answer of WHIP and WHEP may be read by any page: there are no cookies to be misused.
pub(super) fn open_to_pages(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("Location, ETag, Link, Retry-After"),
    );
    response
}

/// The session, if it lives, is of this kind, and was made by this caller. To others it does not
/// exist, or they learn that it is not theirs: nothing more.
fn own_session(
    shared: &Shared,
    side: Side,
    caller: &Caller,
    session: &str,
) -> Result<(SessionId, String), HttpError> {
    let unknown = || Refused::new(RefusalCode::NotFound, "there is no such session");
    let session: SessionId = session.parse().map_err(|_| unknown())?;
    let info = shared.media.session(session).ok_or_else(unknown)?;
    let wanted = match side {
        Side::Whip => SessionKind::Publisher,
        Side::Whep => SessionKind::Subscriber,
    };
    if info.kind != wanted {
        return Err(unknown().into());
    }
    match shared.broadcasts.owner(session) {
        Some(owner) if owner.user == caller.0.user => Ok((session, info.etag)),
        Some(_) => Err(forbidden("this session was made by somebody else").into()),
        None => Err(unknown().into()),
    }
}

fn owner(caller: &Caller, show: ShowId) -> Owner {
    Owner {
        user: caller.0.user,
        show,
    }
}

async fn sdp(request: Request, wanted: &str) -> Result<String, HttpError> {
    if !content_type(&request).is_some_and(|kind| kind.eq_ignore_ascii_case(wanted)) {
        return Err(HttpError::unsupported_media_type(wanted));
    }
    let bytes = Bytes::from_request(request, &())
        .await
        .map_err(|rejection| unread(&rejection, SDP_BYTES_MAX))?;
    String::from_utf8(bytes.into()).map_err(|_| invalid("body", "SDP is UTF-8").into())
}

fn if_match(headers: &HeaderMap) -> Result<Option<String>, HttpError> {
    match headers.get(IF_MATCH) {
        None => Ok(None),
        Some(value) => match value.to_str() {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(invalid("If-Match", "an entity tag of ours, or *").into()),
        },
    }
}

fn created(location: &str, etag: &str, sdp: String) -> Result<Response, HttpError> {
    let headers = [
        (CONTENT_TYPE, SDP.to_owned()),
        (LOCATION, location.to_owned()),
        (ETAG, etag.to_owned()),
        (ACCEPT_PATCH.clone(), FRAGMENT.to_owned()),
    ];
    Ok((StatusCode::CREATED, headers, sdp).into_response())
}
