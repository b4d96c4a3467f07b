//! `GET /v1/shows/{show}/channel`: hands the request over to the channel, with the address that it
//! came from.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use vetrina_protocol::id::ShowId;

use super::Shared;
use super::body::Ids;
use super::caller::ClientAddress;
use super::error::HttpError;

/// Opens a session. Who it is, the session's first message says.
pub(super) async fn open(
    State(shared): State<Arc<Shared>>,
    Ids(show): Ids<ShowId>,
    ClientAddress(address): ClientAddress,
    request: Request,
) -> Result<Response, HttpError> {
    Ok(shared.channel.open(show, address, request).await?)
}

/// A session of the same kind that sends back what it hears: what Autobahn's fuzzing client tests.
#[cfg(test)]
pub(super) async fn echo(
    State(shared): State<Arc<Shared>>,
    ClientAddress(address): ClientAddress,
    request: Request,
) -> Result<Response, HttpError> {
    Ok(shared.channel.echo(address, request)?)
}
