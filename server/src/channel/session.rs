//! One WebSocket of one person. This file opens it: checks the request's Origin and sub-protocol,
//! takes a place at the door, answers the handshake, and says goodbye. `hello` finds out who it is,
//! `running` drives the socket until the session ends, `shopping` is what its messages mean.
//!
//! It refuses to know what commands do.

#[cfg(test)]
mod echo;
mod hello;
mod running;
mod shopping;

use std::net::IpAddr;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CONNECTION, HOST, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use vetrina_core::refused::Refused;
use vetrina_protocol::close::CloseCode;
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::id::ShowId;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::{SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK};

use super::Channel;
use super::admission::Place;
use super::limits::CLOSE_WITHIN;
use super::socket::Socket;
use crate::refused::{forbidden, invalid};
use hello::{NotWelcome, hello};

impl Channel {
    /// Answers a request to open a session of a show, from this (resolved) address.
    ///
    /// # Errors
    /// `forbidden` for a page of a foreign origin; `invalid` when it is no WebSocket request or
    /// offers none of our sub-protocols; `rate_limited`, `overloaded`.
    pub async fn open(
        &self,
        show: ShowId,
        address: IpAddr,
        request: Request,
    ) -> Result<Response, Refused> {
        let (response, accepted) = self.accept(address, request)?;
        let channel = self.clone();
        tokio::spawn(async move {
            let Some((mut socket, encoding, place)) = accepted.opened().await else {
                return;
            };
            let end = channel.serve(show, encoding, &mut socket).await;
            channel.say_goodbye(socket, place, end).await;
        });
        Ok(response)
    }

    /// The handshake: its answer, and what comes of it.
    fn accept(
        &self,
        address: IpAddr,
        mut request: Request,
    ) -> Result<(Response, Accepted), Refused> {
        self.check_origin(request.headers())?;
        let encoding = encoding(request.headers())?;
        let accept = accept_key(&request)?;
        if self
            .inner
            .leaving
            .load(std::sync::atomic::Ordering::Acquire)
        {
            let message = "this node is leaving; come back in a moment";
            return Err(Refused::for_now(RefusalCode::Overloaded, message, 1_000));
        }
        let place = self
            .inner
            .admission
            .enter(address, self.inner.shop.clock().now())?;
        let accepted = Accepted {
            upgrade: hyper::upgrade::on(&mut request),
            encoding,
            place,
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        let chosen = HeaderValue::from_static(encoding.subprotocol());
        headers.insert(SEC_WEBSOCKET_PROTOCOL, chosen);
        Ok((response, accepted))
    }

    /// One session from its first message to its end.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        show: ShowId,
        encoding: Encoding,
        socket: &mut Socket<S>,
    ) -> End {
        // In a box of its own: it asks the stores, which is large, and a session that runs keeps
        // nothing of it.
        match Box::pin(hello(&self.inner, show, encoding, socket)).await {
            Ok(session) => {
                let metrics = self.inner.shop.metrics();
                metrics.session_joined();
                let end = session.run(socket).await;
                metrics.session_ended(end.code() as u16);
                end
            }
            Err(NotWelcome(end)) => end,
        }
    }

    /// Ends the connection. The session is over and its room has let it go already, so that this
    /// may take as long as it likes.
    async fn say_goodbye<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut socket: Socket<S>,
        place: Place,
        end: End,
    ) {
        let goodbye = async {
            match end {
                End::Gone => socket.finish().await,
                End::Close(code) => socket.close(code, false).await,
                End::Fault(code) => socket.close(code, true).await,
            }
        };
        // Who does not take the goodbye in time is cut off.
        let _ = tokio::time::timeout(CLOSE_WITHIN, goodbye).await;
        drop(socket);
        drop(place);
        self.inner.session_ended.notify_waiters();
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refused> {
        // A browser always sends it. Whoever sends none is no page, and must show a token anyway:
        // nothing here goes by cookies.
        let Some(origin) = headers.get(ORIGIN) else {
            return Ok(());
        };
        let origin = origin.to_str().unwrap_or_default();
        let own = headers.get(HOST).and_then(|host| host.to_str().ok());
        if own.is_some_and(|host| is_of_host(origin, host))
            || self
                .inner
                .allowed_origins
                .iter()
                .any(|allowed| allowed == origin)
        {
            return Ok(());
        }
        Err(forbidden(
            "pages of this origin may not open the channel; the operator can allow it with \
             --allowed-origins",
        ))
    }
}

/// A handshake that was answered well.
struct Accepted {
    upgrade: OnUpgrade,
    encoding: Encoding,
    place: Place,
}

impl Accepted {
    /// The socket, once the answer was sent; `None` for a client that went away before: it needs
    /// none.
    async fn opened(self) -> Option<(Socket<TokioIo<Upgraded>>, Encoding, Place)> {
        let upgraded = self.upgrade.await.ok()?;
        let socket = Socket::new(TokioIo::new(upgraded));
        Some((socket, self.encoding, self.place))
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The peer closed or vanished.
    Gone,
    /// We close it.
    Close(CloseCode),
    /// The peer broke a rule of the protocol: what it sends from now on has no meaning.
    Fault(CloseCode),
}

impl End {
    const fn code(self) -> CloseCode {
        match self {
            Self::Gone => CloseCode::Normal,
            Self::Close(code) | Self::Fault(code) => code,
        }
    }
}

/// Whether `origin` (scheme, host, port) names the host that was asked.
fn is_of_host(origin: &str, host: &str) -> bool {
    let Ok(uri) = origin.parse::<Uri>() else {
        return false;
    };
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(authority)) => authority.as_str().eq_ignore_ascii_case(host),
        _ => false,
    }
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refused> {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL);
    let names = offered
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|l| l.split(','));
    names
        .map(str::trim)
        .find_map(Encoding::of_subprotocol)
        .ok_or_else(|| {
            let what = format_args!("offer {SUBPROTOCOL_MSGPACK} or {SUBPROTOCOL_JSON}");
            invalid("Sec-WebSocket-Protocol", what)
        })
}

/// The answer to the client's key (RFC 6455, section 4.2).
fn accept_key(request: &Request) -> Result<HeaderValue, Refused> {
    let headers = request.headers();
    let is = |name: &HeaderName, value: &str| {
        let lines = headers
            .get_all(name)
            .iter()
            .filter_map(|line| line.to_str().ok());
        lines
            .flat_map(|l| l.split(','))
            .any(|word| word.trim().eq_ignore_ascii_case(value))
    };
    if request.method() != Method::GET || !is(&CONNECTION, "upgrade") || !is(&UPGRADE, "websocket")
    {
        return Err(invalid(
            "Upgrade",
            "this is a WebSocket; open it with a WebSocket client",
        ));
    }
    if !is(&SEC_WEBSOCKET_VERSION, "13") {
        return Err(invalid(
            "Sec-WebSocket-Version",
            "only version 13 is spoken here",
        ));
    }
    let key = headers
        .get(SEC_WEBSOCKET_KEY)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    // Sixteen bytes in base64.
    if key.len() != 24 {
        return Err(invalid(
            "Sec-WebSocket-Key",
            "must be sixteen bytes in base64",
        ));
    }
    HeaderValue::from_str(&derive_accept_key(key)).map_err(|_| crate::refused::internal())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_compared_whole() {
        assert!(is_of_host("http://127.0.0.1:8080", "127.0.0.1:8080"));
        assert!(is_of_host("https://Live.example.org", "live.example.org"));
        for origin in [
            "null",
            "",
            "http://127.0.0.1:8081",
            "http://live.example.org.evil.org",
            "file://live.example.org",
            "live.example.org",
        ] {
            assert!(!is_of_host(origin, "live.example.org"), "{origin}");
            assert!(!is_of_host(origin, "127.0.0.1:8080"), "{origin}");
        }
    }

    #[test]
    fn the_first_sub_protocol_that_we_speak_is_chosen() {
        let offer = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(text));
            encoding(&headers)
        };
        assert_eq!(offer("chat, vetrina.v1.json"), Ok(Encoding::Json));
        assert_eq!(
            offer("vetrina.v1.msgpack,vetrina.v1.json"),
            Ok(Encoding::MessagePack)
        );
        assert_eq!(offer("chat").unwrap_err().code, RefusalCode::Invalid);
        assert!(encoding(&HeaderMap::new()).is_err());
    }
}
