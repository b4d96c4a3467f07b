//! A client of the channel: one session, JSON, every message looked at in order.

use std::collections::VecDeque;
use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use vetrina_protocol::SUBPROTOCOL_JSON;
use vetrina_protocol::client::{ClientMessage, CommandId, Resume};
use vetrina_protocol::event::Event;
use vetrina_protocol::id::ShowId;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::server::{Done, ServerMessage, Welcome};

use super::within;

/// An open session.
pub(crate) struct ChannelClient {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Messages of a frame that were not looked at yet.
    waiting: VecDeque<ServerMessage>,
    /// What the server said first.
    pub(crate) welcome: Welcome,
}

/// What ended a wait.
#[derive(Debug)]
pub(crate) enum Heard {
    Message(Box<ServerMessage>),
    /// With its code.
    Closed(Option<u16>),
}

impl ChannelClient {
    pub(crate) async fn welcomed(server: SocketAddr, show: ShowId, token: &str) -> Self {
        Self::resumed(server, show, token, None).await
    }

    /// Says hello, continuing from a position.
    pub(crate) async fn resumed(
        server: SocketAddr,
        show: ShowId,
        token: &str,
        resume: Option<Resume>,
    ) -> Self {
        let mut opened = Opened::at(server, show).await;
        opened.say(&ClientMessage::Hello {
            token: token.to_owned(),
            resume,
        });
        opened.flush().await;
        match opened.next().await {
            Heard::Message(message) => match *message {
                ServerMessage::Welcome(welcome) => Self {
                    socket: opened.socket,
                    waiting: opened.waiting,
                    welcome: *welcome,
                },
                other => panic!("no welcome but {other:?}"),
            },
            Heard::Closed(code) => panic!("no welcome but a close: {code:?}"),
        }
    }

    /// Sends one command and gives its answer; other messages on the way are dropped.
    pub(crate) async fn ask(
        &mut self,
        id: CommandId,
        command: &ClientMessage,
    ) -> Result<Done, (RefusalCode, String)> {
        send(&mut self.socket, command).await;
        loop {
            match self.next().await {
                ServerMessage::Ok(done) if done.id == id => return Ok(*done),
                ServerMessage::Refused {
                    id: Some(refused),
                    code,
                    message,
                    ..
                } if refused == id => return Err((code, message)),
                _ => {}
            }
        }
    }

    /// The next message that `wanted` makes something of.
    pub(crate) async fn until<T>(
        &mut self,
        mut wanted: impl FnMut(ServerMessage) -> Option<T>,
    ) -> T {
        loop {
            if let Some(found) = wanted(self.next().await) {
                return found;
            }
        }
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> ServerMessage {
        match hear(&mut self.socket, &mut self.waiting).await {
            Heard::Message(message) => *message,
            Heard::Closed(code) => panic!("the session was closed: {code:?}"),
        }
    }

    /// Units available when the log says that so many are reserved.
    pub(crate) async fn available_at(&mut self, reserved: u32) -> u32 {
        self.until(|message| match message {
            ServerMessage::Events { events, .. } => {
                events.into_iter().find_map(|logged| match logged.event {
                    Event::StockChanged { stock, .. } if stock.reserved == reserved => {
                        Some(stock.available)
                    }
                    _ => None,
                })
            }
            _ => None,
        })
        .await
    }

    /// The close code with which the server ends the session.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Heard::Closed(code) = hear(&mut self.socket, &mut self.waiting).await {
                return code;
            }
        }
    }
}

/// A socket on which nothing was said yet.
pub(crate) struct Opened {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    waiting: VecDeque<ServerMessage>,
    outgoing: Vec<ClientMessage>,
}

impl Opened {
    pub(crate) async fn at(server: SocketAddr, show: ShowId) -> Self {
        let url = format!("ws://{server}/v1/shows/{show}/channel");
        let mut request = url.into_client_request().expect("a request");
        let protocol = SUBPROTOCOL_JSON.parse().expect("plain text");
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        let opened = within(tokio_tungstenite::connect_async(request)).await;
        Self {
            socket: opened.expect("an upgrade").0,
            waiting: VecDeque::new(),
            outgoing: Vec::new(),
        }
    }

    pub(crate) fn say(&mut self, message: &ClientMessage) {
        self.outgoing.push(message.clone());
    }

    pub(crate) async fn flush(&mut self) {
        let text = serde_json::to_string(&self.outgoing).expect("JSON");
        self.outgoing.clear();
        self.socket.send(Message::text(text)).await.expect("sent");
    }

    pub(crate) async fn next(&mut self) -> Heard {
        hear(&mut self.socket, &mut self.waiting).await
    }
}

async fn send(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>, message: &ClientMessage) {
    let text = serde_json::to_string(&[message]).expect("JSON");
    socket.send(Message::text(text)).await.expect("sent");
}

async fn hear(
    socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>,
    waiting: &mut VecDeque<ServerMessage>,
) -> Heard {
    loop {
        if let Some(message) = waiting.pop_front() {
            return Heard::Message(Box::new(message));
        }
        match within(socket.next()).await {
            Some(Ok(Message::Text(text))) => {
                let messages: Vec<ServerMessage> =
                    serde_json::from_str(&text).expect("an array of messages");
                waiting.extend(messages);
            }
            Some(Ok(Message::Close(frame))) => {
                return Heard::Closed(frame.map(|frame| frame.code.into()));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Heard::Closed(None),
        }
    }
}
