//! A client as a stranger would write it from `protocol/README.md`. It checks on every message what
//! the server promises: positions without gaps, versions that grow.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use vetrina_protocol::client::{ClientMessage, CommandId, Resume};
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::event::{DeskEvent, Event, LoggedEvent, PrivateEvent};
use vetrina_protocol::id::ShowId;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::server::{Done, ServerMessage, Welcome};
use vetrina_protocol::time::{Epoch, Offset};

use super::within;

/// A refusal, as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: RefusalCode,
    pub(crate) message: String,
    pub(crate) retry_after_ms: Option<u64>,
}

/// One session.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) encoding: Encoding,
    pub(crate) epoch: Epoch,
    pub(crate) offset: Offset,
    pub(crate) events: Vec<LoggedEvent>,
    pub(crate) private: Vec<PrivateEvent>,
    pub(crate) desk: Vec<DeskEvent>,
    pub(crate) others: Vec<ServerMessage>,
    answers: Vec<(Option<CommandId>, Result<Done, Refusal>)>,
    versions: (u64, u64),
    next_id: CommandId,
}

impl Client {
    /// A socket that has not said anything yet.
    pub(crate) async fn connect(address: SocketAddr, show: ShowId, encoding: Encoding) -> Self {
        let offered = Some(encoding.subprotocol());
        Self::try_connect(address, show, offered, None)
            .await
            .expect("the socket opens")
    }

    /// The same with a choice of headers; the answer when it is not a WebSocket.
    pub(crate) async fn try_connect(
        address: SocketAddr,
        show: ShowId,
        protocol: Option<&str>,
        origin: Option<&str>,
    ) -> Result<Self, Response<Option<Vec<u8>>>> {
        let url = format!("ws://{address}/v1/shows/{show}/channel");
        let mut request = url.into_client_request().expect("a good URL");
        let headers = request.headers_mut();
        for (name, value) in [("sec-websocket-protocol", protocol), ("origin", origin)] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_str(value).expect("a header"));
            }
        }
        let config = WebSocketConfig::default().read_buffer_size(16 << 10);
        let opened = tokio_tungstenite::connect_async_with_config(request, Some(config), true);
        let (socket, response) = match within(opened).await {
            Ok(opened) => opened,
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => return Err(*response),
            Err(error) => panic!("the socket does not open: {error}"),
        };
        let chosen = response.headers().get("sec-websocket-protocol");
        let chosen = chosen
            .expect("a sub-protocol was chosen")
            .to_str()
            .expect("as text");
        Ok(Self {
            socket,
            encoding: Encoding::of_subprotocol(chosen).expect("one of ours"),
            epoch: Epoch(0),
            offset: Offset(0),
            events: Vec::new(),
            private: Vec::new(),
            desk: Vec::new(),
            others: Vec::new(),
            answers: Vec::new(),
            versions: (0, 0),
            next_id: 1,
        })
    }

    /// Says hello and takes the welcome.
    pub(crate) async fn hello(&mut self, token: &str, resume: Option<Resume>) -> Welcome {
        let token = token.to_owned();
        self.send(&[ClientMessage::Hello { token, resume }]).await;
        match self.receive().await.expect("an answer to Hello").remove(0) {
            ServerMessage::Welcome(welcome) => {
                self.epoch = welcome.epoch;
                self.offset = welcome.offset;
                self.versions = (
                    welcome.mine.version,
                    welcome.desk.as_ref().map_or(0, |desk| desk.version),
                );
                *welcome
            }
            other => panic!("not welcome: {other:?}"),
        }
    }

    /// Where this client is, to come back to it.
    pub(crate) const fn position(&self) -> Resume {
        Resume {
            epoch: self.epoch,
            offset: self.offset,
        }
    }

    pub(crate) async fn send(&mut self, messages: &[ClientMessage]) {
        let bytes = self.encoding.encode(messages);
        self.send_raw(match self.encoding {
            Encoding::MessagePack => Message::Binary(bytes.into()),
            Encoding::Json => Message::Text(String::from_utf8(bytes).expect("JSON is text").into()),
        })
        .await;
    }

    pub(crate) async fn send_raw(&mut self, message: Message) {
        within(self.socket.send(message))
            .await
            .expect("the socket takes it");
    }

    /// Sends a command with a new id and key, and waits for its answer.
    pub(crate) async fn command(
        &mut self,
        make: impl FnOnce(CommandId, String) -> ClientMessage,
    ) -> Result<Done, Refusal> {
        let key = format!("key {} {:x}", self.next_id, rand::random::<u64>());
        self.command_as(&key, make).await
    }

    /// The same with this key.
    pub(crate) async fn command_as(
        &mut self,
        key: &str,
        make: impl FnOnce(CommandId, String) -> ClientMessage,
    ) -> Result<Done, Refusal> {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&[make(id, key.to_owned())]).await;
        self.answer(id).await
    }

    /// Waits for the answer to the command with this id.
    pub(crate) async fn answer(&mut self, id: CommandId) -> Result<Done, Refusal> {
        loop {
            if let Some(at) = self.answers.iter().position(|(of, _)| *of == Some(id)) {
                return self.answers.remove(at).1;
            }
            self.turn()
                .await
                .unwrap_or_else(|code| panic!("closed with {code:?}"));
        }
    }

    /// Waits until something is so.
    pub(crate) async fn until<T>(&mut self, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            self.turn()
                .await
                .unwrap_or_else(|code| panic!("closed with {code:?}"));
        }
    }

    /// Waits until an event is there.
    pub(crate) async fn until_event<T>(&mut self, mut find: impl FnMut(&Event) -> Option<T>) -> T {
        self.until(|client| client.events.iter().find_map(|logged| find(&logged.event)))
            .await
    }

    /// Units available when the log says that so many are reserved.
    pub(crate) async fn available_at(&mut self, reserved: u32) -> u32 {
        self.until_event(|event| match event {
            Event::StockChanged { stock, .. } if stock.reserved == reserved => {
                Some(stock.available)
            }
            _ => None,
        })
        .await
    }

    /// Waits until a private event is there.
    pub(crate) async fn until_private<T>(
        &mut self,
        mut find: impl FnMut(&PrivateEvent) -> Option<T>,
    ) -> T {
        self.until(|client| client.private.iter().find_map(&mut find))
            .await
    }

    /// Takes everything that was sent before the answer to a `Ping`.
    pub(crate) async fn settle(&mut self) {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&[ClientMessage::Ping { id }]).await;
        let answer_to = |message: &ServerMessage| match message {
            ServerMessage::Pong { id, .. } => Some(*id),
            _ => None,
        };
        self.until(|client| {
            client
                .others
                .iter()
                .rev()
                .find_map(answer_to)
                .filter(|of| *of == id)
        })
        .await;
    }

    /// Reads until the server closes, and gives its code.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.turn().await {
                return code.expect("a close frame");
            }
        }
    }

    /// One frame; its messages are filed, and checked against what the server promises.
    pub(crate) async fn turn(&mut self) -> Result<(), Option<u16>> {
        for message in self.receive().await? {
            match message {
                ServerMessage::Events { from, to, events } => {
                    assert_eq!(from, self.offset.next(), "no gap, no repetition");
                    assert!(from <= to);
                    let offsets: Vec<_> = events.iter().map(|event| event.offset).collect();
                    assert!(offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
                    assert!(offsets.iter().all(|offset| (from..=to).contains(offset)));
                    self.offset = to;
                    self.events.extend(events);
                }
                ServerMessage::Private { version, event } => {
                    assert!(version > self.versions.0, "private versions grow");
                    self.versions.0 = version;
                    self.private.push(event);
                }
                ServerMessage::Desk { version, event } => {
                    assert!(version > self.versions.1, "desk versions grow");
                    self.versions.1 = version;
                    self.desk.push(event);
                }
                ServerMessage::Ok(done) => self.answers.push((Some(done.id), Ok(*done))),
                ServerMessage::Refused {
                    id,
                    code,
                    message,
                    retry_after_ms,
                } => {
                    let refusal = Refusal {
                        code,
                        message,
                        retry_after_ms,
                    };
                    self.answers.push((id, Err(refusal)));
                }
                other => self.others.push(other),
            }
        }
        Ok(())
    }

    /// One frame of messages, or the code of the close frame (none: the socket just ended).
    pub(crate) async fn receive(&mut self) -> Result<Vec<ServerMessage>, Option<u16>> {
        loop {
            return match within(self.socket.next()).await {
                Some(Ok(Message::Text(text))) => {
                    assert_eq!(self.encoding, Encoding::Json);
                    Ok(self
                        .encoding
                        .decode(text.as_bytes())
                        .expect("a frame of ours"))
                }
                Some(Ok(Message::Binary(bytes))) => {
                    assert_eq!(self.encoding, Encoding::MessagePack);
                    Ok(self.encoding.decode(&bytes).expect("a frame of ours"))
                }
                Some(Ok(Message::Close(frame))) => Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => Err(None),
            };
        }
    }
}
