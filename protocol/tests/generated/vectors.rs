//! Golden vectors: messages with their exact MessagePack bytes and JSON. A TypeScript test decodes
//! the same file. A change here is a change of the wire.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use vetrina_protocol::client::{ClientMessage, Delivery, Reaction, Resume};
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::event::{Event, LoggedEvent, PrivateEvent};
use vetrina_protocol::id::{
    CommentId, ListingId, OrderId, ProductId, ReservationId, SellerId, SessionId, ShowId, SkuId,
    UserId,
};
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::server::{Done, Mine, ReactionCount, ServerMessage, Snapshot, Welcome};
use vetrina_protocol::time::{Epoch, MediaTime, Offset, UnixMs};
use vetrina_protocol::view::{
    Author, Comment, Listing, Order, OrderLine, OrderState, PaymentPage, Pin, Reservation,
    ReservationState, Role, Show, ShowState, Stock, WaitlistPlace,
};

use crate::{REGENERATE, generated, root};

const FILE: &str = "protocol/tests/golden/vectors.json";
const AT: UnixMs = UnixMs(1_795_330_800_123);

fn id(n: u128) -> u128 {
    0x0190_b3c4_7a2e_7c31_9f00_0000_0000_0000 + n
}

fn euros(amount_minor: i64) -> Money {
    Money::new(amount_minor, Currency::EUR)
}

fn reservation() -> Reservation {
    Reservation {
        id: ReservationId(id(7)),
        listing: ListingId(id(4)),
        quantity: 1,
        unit_price: euros(2_400),
        state: ReservationState::Reserved,
        expires_at_ms: AT.plus_ms(120_000),
        extensions_left: 10,
        from_waitlist: false,
        order: None,
        media_time: Some(MediaTime(8_589_934_592 + 90_000)),
    }
}

fn order() -> Order {
    Order {
        id: OrderId(id(8)),
        number: "V-1042".into(),
        show: ShowId(id(1)),
        state: OrderState::Pending,
        lines: vec![OrderLine {
            reservation: ReservationId(id(7)),
            listing: ListingId(id(4)),
            title: "Vaso blu".into(),
            variant: Some("grande".into()),
            quantity: 1,
            unit_price: euros(2_400),
            total: euros(2_400),
        }],
        total: euros(2_400),
        created_at_ms: AT,
        pay_by_ms: AT.plus_ms(600_000),
        paid_at_ms: None,
        payment: Some(PaymentPage {
            provider: "sandbox".into(),
            url: "http://127.0.0.1:8081/pay/pi_1".into(),
        }),
        delivery: None,
        version: 2,
    }
}

fn stock() -> Stock {
    Stock {
        total: 10,
        reserved: 1,
        claimed: 6,
        paid: 5,
        available: 3,
        waiting: 0,
    }
}

fn welcome() -> Welcome {
    let show = Show {
        id: ShowId(id(1)),
        seller: SellerId(id(2)),
        seller_name: "Bottega Azzurra".into(),
        title: "Ceramiche del giovedì".into(),
        state: ShowState::Live,
        currency: Currency::EUR,
        starts_at_ms: None,
        live_at_ms: Some(AT),
        ended_at_ms: None,
        poster_url: None,
        reservation_ttl_s: 120,
        order_deadline_s: 600,
        whep_url: format!("/v1/shows/{}/whep", ShowId(id(1))),
        whip_url: format!("/v1/shows/{}/whip", ShowId(id(1))),
    };
    let listing = Listing {
        id: ListingId(id(4)),
        product: ProductId(id(5)),
        sku: SkuId(id(6)),
        title: "Vaso blu".into(),
        variant: Some("grande".into()),
        description: None,
        picture_url: Some("/v1/pictures/x".into()),
        price: euros(2_400),
        per_buyer: 2,
        position: 0,
        stock: stock(),
    };
    let pin = Pin {
        listing: listing.id,
        pinned_at_ms: AT,
        media_time: Some(MediaTime(90_000)),
    };
    Welcome {
        session: SessionId(id(9)),
        user: UserId(id(3)),
        name: "Anna".into(),
        role: Role::Viewer,
        epoch: Epoch(3),
        offset: Offset(41),
        snapshot: Some(Snapshot {
            show,
            listings: vec![listing],
            pin: Some(pin),
            comments: vec![comment()],
            slow_mode_s: 0,
            muted: vec![],
            viewers: 1_204,
        }),
        resumed: false,
        reset: None,
        server_time_ms: AT,
        mine: Mine {
            reservations: vec![reservation()],
            orders: vec![order()],
            waitlist: vec![WaitlistPlace {
                listing: ListingId(id(4)),
                quantity: 2,
                position: 4,
            }],
            version: 1_795_330_800_123,
        },
        desk: None,
    }
}

fn comment() -> Comment {
    Comment {
        id: CommentId(id(10)),
        author: Author {
            id: UserId(id(3)),
            name: "Anna 🏺".into(),
            role: Role::Viewer,
        },
        text: "bellissimo <b>blu</b>".into(),
        at_ms: AT,
        media_time: None,
    }
}

#[expect(clippy::too_many_lines, reason = "a list")]
pub(crate) fn from_client() -> Vec<(&'static str, Vec<ClientMessage>)> {
    let key = || "k-1".to_owned();
    let listing = ListingId(id(4));
    let delivery = Delivery {
        name: "Anna Rossi".into(),
        email: None,
        lines: vec!["Via Roma 1".into()],
        postcode: "36061".into(),
        city: "Bassano".into(),
        country: "IT".into(),
    };
    let resume = Some(Resume {
        epoch: Epoch(3),
        offset: Offset(41),
    });
    vec![
        (
            "hello",
            vec![ClientMessage::Hello {
                token: "a.b.c".into(),
                resume: None,
            }],
        ),
        (
            "hello with resume",
            vec![ClientMessage::Hello {
                token: "a.b.c".into(),
                resume,
            }],
        ),
        (
            "reserve and ping in one frame",
            vec![
                ClientMessage::Reserve {
                    id: 1,
                    key: key(),
                    listing,
                    quantity: 1,
                    media_time: Some(MediaTime(8_589_934_592)),
                },
                ClientMessage::Ping { id: 2 },
            ],
        ),
        (
            "checkout",
            vec![ClientMessage::Checkout {
                id: 3,
                key: key(),
                reservations: vec![ReservationId(id(7))],
                delivery: Some(delivery),
            }],
        ),
        (
            "set price",
            vec![ClientMessage::SetPrice {
                id: 4,
                key: key(),
                listing,
                price: euros(1_990),
            }],
        ),
        (
            "react",
            vec![ClientMessage::React {
                id: 5,
                reaction: Reaction::Heart,
            }],
        ),
        (
            "mute",
            vec![ClientMessage::MuteViewer {
                id: 6,
                key: key(),
                viewer: UserId(id(3)),
                muted: true,
            }],
        ),
    ]
}

fn from_server() -> Vec<(&'static str, Vec<ServerMessage>)> {
    let logged = |offset, event| LoggedEvent {
        offset: Offset(offset),
        at_ms: AT,
        event,
    };
    let events = vec![
        logged(42, Event::Commented { comment: comment() }),
        logged(
            45,
            Event::StockChanged {
                listing: ListingId(id(4)),
                stock: stock(),
            },
        ),
        logged(46, Event::Unpinned { media_time: None }),
    ];
    vec![
        ("welcome", vec![ServerMessage::Welcome(Box::new(welcome()))]),
        (
            "events with two conflated away",
            vec![ServerMessage::Events {
                from: Offset(42),
                to: Offset(46),
                events,
            }],
        ),
        (
            "done",
            vec![ServerMessage::Ok(Box::new(Done {
                id: 1,
                reservation: Some(reservation()),
                ..Done::default()
            }))],
        ),
        (
            "refused",
            vec![ServerMessage::Refused {
                id: Some(1),
                code: RefusalCode::SoldOut,
                message: "No unit is free. Join the waitlist.".into(),
                retry_after_ms: None,
            }],
        ),
        (
            "private",
            vec![ServerMessage::Private {
                version: 1_795_330_800_124,
                event: PrivateEvent::OrderChanged { order: order() },
            }],
        ),
        (
            "audience and pong",
            vec![
                ServerMessage::Audience {
                    viewers: 1_205,
                    reactions: vec![ReactionCount {
                        reaction: Reaction::Heart,
                        count: 12,
                    }],
                },
                ServerMessage::Pong {
                    id: 2,
                    server_time_ms: AT,
                },
            ],
        ),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn vector<T: Serialize>(from: &str, name: &str, messages: &[T]) -> Value {
    json!({
        "from": from,
        "name": name,
        "msgpack_hex": hex(&Encoding::MessagePack.encode(messages)),
        "json": serde_json::to_value(messages).unwrap(),
    })
}

#[test]
fn golden_vectors_are_up_to_date() {
    let client = from_client();
    let server = from_server();
    let all: Vec<Value> = client
        .iter()
        .map(|(name, messages)| vector("client", name, messages))
        .chain(
            server
                .iter()
                .map(|(name, messages)| vector("server", name, messages)),
        )
        .collect();
    let text = serde_json::to_string_pretty(&all).unwrap() + "\n";
    let late = generated(FILE, text.as_bytes());
    assert!(
        late.is_none(),
        "the wire has changed against {late:?}; if that is meant, {REGENERATE}"
    );
}

#[test]
fn golden_bytes_decode_to_the_golden_messages() {
    let text = std::fs::read_to_string(root().join(FILE)).unwrap();
    let vectors: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(vectors.len() >= 13, "{} vectors", vectors.len());
    for vector in vectors {
        match vector["from"].as_str() {
            Some("client") => both_ways::<ClientMessage>(&vector),
            _ => both_ways::<ServerMessage>(&vector),
        }
    }
}

fn both_ways<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(vector: &Value) {
    let name = &vector["name"];
    let bytes = unhex(vector["msgpack_hex"].as_str().unwrap());
    let of_bytes: Vec<T> = Encoding::MessagePack.decode(&bytes).unwrap();
    let of_json: Vec<T> = Encoding::Json
        .decode(vector["json"].to_string().as_bytes())
        .unwrap();
    assert_eq!(of_bytes, of_json, "{name}");
    assert_eq!(
        hex(&Encoding::MessagePack.encode(&of_bytes)),
        hex(&bytes),
        "{name}"
    );
}
