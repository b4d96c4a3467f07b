//! WHIP (RFC 9725) and WHEP over HTTP, as any client speaks them: an offer is answered, the session
//! is a resource that is patched and deleted. Judges the answers' form; knows SDP only as text.

use std::time::{Duration, Instant};

use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, IF_MATCH, LOCATION, RETRY_AFTER,
};
use reqwest::{Client, Response, StatusCode, Url};

/// A show that is not live yet answers with `Retry-After`; this long it is asked again.
const RETRY_WITHIN: Duration = Duration::from_secs(15);
/// The longest pause that is obeyed between two tries.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(2);

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// Why an exchange did not come about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("{what} was answered {status}: {text}")]
    Refused {
        what: &'static str,
        status: StatusCode,
        text: String,
    },
    #[error("the answer to {0} {1}")]
    Malformed(&'static str, &'static str),
}

/// A session of the server.
pub(crate) struct Resource {
    http: Client,
    url: Url,
    token: String,
    etag: Option<String>,
    /// The SDP answer.
    pub(crate) answer: String,
    /// When the offer went out that was accepted.
    pub(crate) asked: Instant,
}

/// Sends an offer until it is accepted.
pub(crate) async fn offer(
    http: &Client,
    endpoint: &str,
    token: &str,
    sdp: &str,
) -> Result<Resource, ExchangeError> {
    let deadline = Instant::now() + RETRY_WITHIN;
    loop {
        let asked = Instant::now();
        let request = http.post(endpoint).header(CONTENT_TYPE, SDP);
        let request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        let response = request.body(sdp.to_owned()).send().await?;
        match retry_after(&response) {
            Some(pause) if asked + pause < deadline => tokio::time::sleep(pause).await,
            _ => return accepted(http, token, response, asked).await,
        }
    }
}

/// The pause, if the server says to come back.
fn retry_after(response: &Response) -> Option<Duration> {
    let busy = matches!(
        response.status(),
        StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE
    );
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let pause = Duration::from_secs(text.parse().ok()?);
    busy.then(|| pause.min(RETRY_AFTER_MAX))
}

async fn accepted(
    http: &Client,
    token: &str,
    response: Response,
    asked: Instant,
) -> Result<Resource, ExchangeError> {
    let malformed = |why| ExchangeError::Malformed("an offer", why);
    let response = successful("an offer", response).await?;
    if response.status() != StatusCode::CREATED {
        return Err(malformed("is not 201 Created"));
    }
    if !is_of(response.headers(), SDP) {
        return Err(malformed("is not application/sdp"));
    }
    let location = response.headers().get(LOCATION);
    let url = location
        .and_then(|location| location.to_str().ok())
        .and_then(|location| response.url().join(location).ok())
        .ok_or_else(|| malformed("has no usable Location"))?;
    Ok(Resource {
        http: http.clone(),
        url,
        token: token.to_owned(),
        etag: etag(response.headers()),
        answer: response.text().await?,
        asked,
    })
}

impl Resource {
    /// Asks for an ICE restart; gives the server's fragment.
    pub(crate) async fn restart(&mut self, fragment: String) -> Result<String, ExchangeError> {
        let request = self.http.patch(self.url.clone()).bearer_auth(&self.token);
        let request = request.header(CONTENT_TYPE, FRAGMENT).header(IF_MATCH, "*");
        let response = request.body(fragment).send().await?;
        let response = successful("an ICE restart", response).await?;
        if response.status() != StatusCode::OK || !is_of(response.headers(), FRAGMENT) {
            return Err(ExchangeError::Malformed(
                "an ICE restart",
                "has no fragment",
            ));
        }
        let fresh = etag(response.headers());
        if fresh.is_none() || fresh == self.etag {
            let why = "has no new entity tag (RFC 9725, 4.3.3)";
            return Err(ExchangeError::Malformed("an ICE restart", why));
        }
        self.etag = fresh;
        Ok(response.text().await?)
    }

    /// Ends the session. A second time it must be gone.
    pub(crate) async fn delete(self) -> Result<(), ExchangeError> {
        successful("DELETE", self.delete_once().await?).await?;
        match self.delete_once().await?.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(()),
            _ => Err(ExchangeError::Malformed(
                "a second DELETE",
                "is not 404 or 410",
            )),
        }
    }

    async fn delete_once(&self) -> Result<Response, reqwest::Error> {
        let request = self.http.delete(self.url.clone());
        request.bearer_auth(&self.token).send().await
    }
}

async fn successful(what: &'static str, response: Response) -> Result<Response, ExchangeError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = response.text().await.unwrap_or_default();
    Err(ExchangeError::Refused { what, status, text })
}

fn is_of(headers: &HeaderMap, kind: &str) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.split(';').next().unwrap_or("").trim() == kind)
}

fn etag(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(ETAG)?.to_str().ok()?.to_owned())
}
