//! Rules of the wire: each one broken on purpose, each with its close code; and nothing of it hurts
//! the others.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use vetrina_protocol::client::ClientMessage;
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::view::Role;
use vetrina_protocol::{FRAME_BYTES_MAX, MESSAGES_PER_FRAME_MAX};

use super::house::House;
use crate::harness::{Client, within};

const BOTH: [Encoding; 2] = [Encoding::MessagePack, Encoding::Json];

fn kind(encoding: Encoding, bytes: Vec<u8>) -> Message {
    match encoding {
        Encoding::MessagePack => Message::Binary(bytes.into()),
        Encoding::Json => Message::Text(String::from_utf8(bytes).expect("text").into()),
    }
}

/// A frame of pings in this encoding that is exactly so long.
fn padded_ping(encoding: Encoding, length: usize) -> Message {
    let frame = |padding: usize| {
        let ping = serde_json::json!({"type": "Ping", "id": 7, "padding": "x".repeat(padding)});
        encoding.encode(&[ping])
    };
    // Strings of this length have headers of one size, so the difference is exact.
    let missing = length - frame(length - 200).len();
    let bytes = frame(length - 200 + missing);
    assert_eq!(bytes.len(), length);
    kind(encoding, bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_have_a_size() {
    let house = House::open(&[(1, 1)]).await;
    for encoding in BOTH {
        let mut client = house.join(Role::Viewer, encoding).await;
        client
            .send_raw(padded_ping(encoding, FRAME_BYTES_MAX))
            .await;
        client.settle().await;
        client
            .send_raw(padded_ping(encoding, FRAME_BYTES_MAX + 1))
            .await;
        assert_eq!(client.closed().await, 1009);

        let mut client = house.join(Role::Viewer, encoding).await;
        let pings = vec![ClientMessage::Ping { id: 1 }; MESSAGES_PER_FRAME_MAX + 1];
        client.send(&pings).await;
        assert_eq!(client.closed().await, 1009);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_closes_with_its_reason() {
    let house = House::open(&[(1, 1)]).await;
    let bad_text = Frame::message(vec![0xc3, 0x28], OpCode::Data(Data::Text), true);
    let reserved = Frame::message(Vec::new(), OpCode::Data(Data::Reserved(5)), true);
    let stray = Frame::message(vec![1], OpCode::Data(Data::Continue), true);
    let cases = [
        (Encoding::Json, Message::Frame(bad_text), 1007),
        (Encoding::Json, Message::Text("{".into()), 1007),
        (Encoding::Json, Message::Text("{}".into()), 1007),
        (
            Encoding::MessagePack,
            Message::Binary(vec![0xc1].into()),
            1007,
        ),
        (
            Encoding::MessagePack,
            Message::Binary(vec![0xdd, 255, 255, 255, 255].into()),
            1007,
        ),
        (
            Encoding::MessagePack,
            Message::Binary(vec![0x91; 10_000].into()),
            1007,
        ),
        (Encoding::Json, Message::Binary(b"[]".to_vec().into()), 1003),
        (Encoding::MessagePack, Message::Text("[]".into()), 1003),
        (Encoding::Json, Message::Frame(reserved), 1002),
        (Encoding::Json, Message::Frame(stray), 1002),
    ];
    for (encoding, message, code) in cases {
        let mut client = house.join(Role::Viewer, encoding).await;
        let words = format!("{message:?}").chars().take(60).collect::<String>();
        client.send_raw(message).await;
        assert_eq!(client.closed().await, code, "{words}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hello_comes_first_once_and_in_time() {
    let house = House::open(&[(1, 1)]).await;
    let mut silent = Client::connect(house.address, house.show, Encoding::Json).await;
    let mut rude = Client::connect(house.address, house.show, Encoding::Json).await;
    rude.send(&[ClientMessage::Ping { id: 1 }]).await;
    assert_eq!(rude.closed().await, 4002);
    let anna = house.person(Role::Viewer);
    let mut twice = house.join_as(&anna, Encoding::Json).await;
    let hello = ClientMessage::Hello {
        token: house.token(&anna),
        resume: None,
    };
    twice.send(&[hello]).await;
    assert_eq!(twice.closed().await, 4002);
    assert_eq!(silent.closed().await, 4001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_unknown_message_does_not_end_a_session() {
    let house = House::open(&[(1, 1)]).await;
    let mut client = house.join(Role::Viewer, Encoding::Json).await;
    let frame = r#"[{"type":"Dance","id":41},{"type":"Ping","id":42},{"type":"Comment","id":43}]"#;
    client.send_raw(Message::Text(frame.into())).await;
    for id in [41, 43] {
        let refused = client.answer(id).await.unwrap_err();
        assert_eq!(refused.code, RefusalCode::Invalid);
        assert!(!refused.message.is_empty());
    }
    client.settle().await;
}

/// A header that claims a tebibyte is answered from the header alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claimed_tebibyte_is_too_big() {
    let house = House::open(&[(1, 1)]).await;
    let mut client = house.join(Role::Viewer, Encoding::Json).await;
    let MaybeTlsStream::Plain(stream) = client.socket.get_mut() else {
        panic!("a plain socket");
    };
    let mut header = vec![0x82, 0xff];
    header.extend_from_slice(&(1_u64 << 40).to_be_bytes());
    header.extend_from_slice(&[1, 2, 3, 4]);
    within(stream.write_all(&header)).await.expect("written");
    assert_eq!(client.closed().await, 1009);
}

/// An unmasked frame, sent past the client's library.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unmasked_frame_is_a_protocol_error() {
    let house = House::open(&[(1, 1)]).await;
    let mut client = house.join(Role::Viewer, Encoding::Json).await;
    let MaybeTlsStream::Plain(stream) = client.socket.get_mut() else {
        panic!("a plain socket");
    };
    within(stream.write_all(&[0x81, 2, b'[', b']']))
        .await
        .expect("written");
    assert_eq!(client.closed().await, 1002);
}

/// Garbage of every seed, before and after the handshake; an honest viewer goes on meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_hurts_nobody_else() {
    let house = House::open(&[(1, 1)]).await;
    let mut honest = house.join(Role::Viewer, Encoding::MessagePack).await;
    let mut seed = 7_u64;
    let mut next = move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as u8
    };
    for round in 0..60 {
        let garbage: Vec<u8> = (0..usize::from(next()) * 4).map(|_| next()).collect();
        let Ok(mut stream) = within(TcpStream::connect(house.address)).await else {
            panic!("the server still listens");
        };
        if round % 2 == 0 {
            let mut client = house.join(Role::Viewer, Encoding::MessagePack).await;
            client
                .send_raw(Message::Binary(garbage.clone().into()))
                .await;
            // Refused, closed, or answered: whatever it is, it ends or goes on; it does not hang.
            let _ = within(client.receive()).await;
        } else {
            // The server may hang up in the middle of it.
            let _ = within(stream.write_all(&garbage)).await;
            let _ = within(stream.shutdown()).await;
            let mut answer = Vec::new();
            let _ = within(stream.read_to_end(&mut answer)).await;
        }
    }
    honest.settle().await;
}
