//! One buyer on the channel: a guest's token by REST, a socket with small buffers from one of many
//! loopback addresses, `Hello`, and then one command after the other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use vetrina_protocol::SUBPROTOCOL_MSGPACK;
use vetrina_protocol::client::{ClientMessage, Resume};
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::id::ShowId;
use vetrina_protocol::rest::{TokenGrant, TokenRequest};
use vetrina_protocol::server::{ServerMessage, Welcome};

/// Why a buyer could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuyerError {
    #[error("REST: {0}")]
    Rest(#[from] reqwest::Error),
    #[error("REST answered {0}: {1}")]
    Answer(reqwest::StatusCode, String),
    #[error("socket: {0}")]
    Socket(#[from] std::io::Error),
    #[error("WebSocket: {0}")]
    WebSocket(#[from] Box<tokio_tungstenite::tungstenite::Error>),
    #[error("the server closed the session: {0}")]
    Closed(String),
    #[error("not the protocol: {0}")]
    Protocol(String),
}

impl From<tokio_tungstenite::tungstenite::Error> for BuyerError {
    fn from(error: tokio_tungstenite::tungstenite::Error) -> Self {
        Self::WebSocket(Box::new(error))
    }
}

/// Ten thousand sockets with default buffers would be the load themselves.
const BUFFER_BYTES: usize = 4 * 1024;

/// The loopback address of the n-th buyer: limits per address are meant for real addresses, of
/// which each buyer would have its own.
pub(crate) fn source_address(n: usize) -> IpAddr {
    let part = |value: usize| u8::try_from(value % 250).unwrap_or(0);
    IpAddr::V4(Ipv4Addr::new(127, 0, part(n / 250), part(n) + 1))
}

/// A new guest of a show.
pub(crate) async fn guest(
    http: &reqwest::Client,
    base: &str,
    show: ShowId,
) -> Result<TokenGrant, BuyerError> {
    let request = TokenRequest::Guest { show, name: None };
    let answer = http
        .post(format!("{base}/v1/tokens"))
        .json(&request)
        .send()
        .await?;
    let status = answer.status();
    if !status.is_success() {
        return Err(BuyerError::Answer(
            status,
            answer.text().await.unwrap_or_default(),
        ));
    }
    Ok(answer.json().await?)
}

/// An open session.
pub(crate) struct Session {
    socket: WebSocketStream<TcpStream>,
    waiting: std::collections::VecDeque<ServerMessage>,
}

impl Session {
    /// Connects from `source` and says `Hello`.
    pub(crate) async fn open(
        server: SocketAddr,
        source: IpAddr,
        show: ShowId,
        token: &str,
    ) -> Result<(Self, Box<Welcome>), BuyerError> {
        Self::resume(server, source, show, token, None).await
    }

    /// The same, continuing from where an earlier session was.
    pub(crate) async fn resume(
        server: SocketAddr,
        source: IpAddr,
        show: ShowId,
        token: &str,
        resume: Option<Resume>,
    ) -> Result<(Self, Box<Welcome>), BuyerError> {
        let socket = TcpSocket::new_v4()?;
        if source.is_loopback() && server.ip().is_loopback() {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(server).await?;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{server}/v1/shows/{show}/channel").into_client_request()?;
        request.headers_mut().insert(
            "sec-websocket-protocol",
            HeaderValue::from_static(SUBPROTOCOL_MSGPACK),
        );
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(1 << 20);
        let (socket, _) =
            tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
        let mut session = Self {
            socket,
            waiting: std::collections::VecDeque::new(),
        };
        session
            .send(&ClientMessage::Hello {
                token: token.to_owned(),
                resume,
            })
            .await?;
        match session.next().await? {
            ServerMessage::Welcome(welcome) => Ok((session, welcome)),
            other => Err(BuyerError::Protocol(format!(
                "{other:?} instead of Welcome"
            ))),
        }
    }

    /// Sends one message in a frame of its own.
    pub(crate) async fn send(&mut self, message: &ClientMessage) -> Result<(), BuyerError> {
        let frame = Encoding::MessagePack.encode(std::slice::from_ref(message));
        Ok(self.socket.send(Message::binary(frame)).await?)
    }

    /// The next message from the server.
    pub(crate) async fn next(&mut self) -> Result<ServerMessage, BuyerError> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Ok(message);
            }
            match self.socket.next().await {
                Some(Ok(Message::Binary(bytes))) => {
                    let messages = Encoding::MessagePack
                        .decode(&bytes)
                        .map_err(|error| BuyerError::Protocol(error.to_string()))?;
                    self.waiting.extend::<Vec<ServerMessage>>(messages);
                }
                Some(Ok(Message::Close(frame))) => {
                    let reason = frame.map_or_else(String::new, |frame| frame.to_string());
                    return Err(BuyerError::Closed(reason));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(BuyerError::Closed("without a close frame".into())),
            }
        }
    }

    /// The answer to the command `id`, passing over everything else.
    pub(crate) async fn answer(&mut self, id: u32) -> Result<ServerMessage, BuyerError> {
        loop {
            let message = self.next().await?;
            match &message {
                ServerMessage::Ok(done) if done.id == id => return Ok(message),
                ServerMessage::Refused { id: Some(of), .. } if *of == id => return Ok(message),
                _ => {}
            }
        }
    }
}
