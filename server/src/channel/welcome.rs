//! The first frame of a session. The snapshot is by far its largest part and the same for all who
//! join at one position: it is encoded once and put into each `Welcome` as bytes.

use std::sync::OnceLock;

use bytes::Bytes;
use serde::Serialize;
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::server::{ServerMessage, Snapshot, Welcome};

use super::socket::frame;

/// A snapshot, encoded at most once per encoding.
#[derive(Debug)]
pub(crate) struct SharedSnapshot {
    snapshot: Snapshot,
    msgpack: OnceLock<Bytes>,
    json: OnceLock<Bytes>,
}

impl SharedSnapshot {
    /// For everybody who joins at its position.
    pub(crate) const fn new(snapshot: Snapshot) -> Self {
        Self {
            snapshot,
            msgpack: OnceLock::new(),
            json: OnceLock::new(),
        }
    }

    fn bytes(&self, encoding: Encoding) -> &Bytes {
        let slot = match encoding {
            Encoding::MessagePack => &self.msgpack,
            Encoding::Json => &self.json,
        };
        slot.get_or_init(|| element(encoding, &self.snapshot).into())
    }
}

/// The frame of a `Welcome`, which must not carry a snapshot itself, with this one in it.
pub(crate) fn welcome_frame(
    encoding: Encoding,
    welcome: Welcome,
    snapshot: Option<&SharedSnapshot>,
) -> Bytes {
    debug_assert!(welcome.snapshot.is_none(), "it is passed beside");
    let message = ServerMessage::Welcome(Box::new(welcome));
    let mut payload = encoding.encode(&[message]);
    if let Some(snapshot) = snapshot {
        let bytes = snapshot.bytes(encoding);
        match encoding {
            Encoding::MessagePack => {
                // An array of one, then a map of less than fifteen entries: one more fits into the
                // same byte of length, and the last entry is where the frame ends.
                debug_assert!(payload[0] == 0x91 && (0x80..0x8f).contains(&payload[1]));
                payload[1] += 1;
                payload.push(0xa0 | KEY.len() as u8);
                payload.extend_from_slice(KEY.as_bytes());
                payload.extend_from_slice(bytes);
            }
            Encoding::Json => {
                payload.truncate(payload.len() - "}]".len());
                payload.extend_from_slice(format!(",\"{KEY}\":").as_bytes());
                payload.extend_from_slice(bytes);
                payload.extend_from_slice(b"}]");
            }
        }
    }
    frame(encoding, &payload)
}

const KEY: &str = "snapshot";

/// One value as it stands inside an array.
fn element<T: Serialize>(encoding: Encoding, value: &T) -> Vec<u8> {
    let mut bytes = encoding.encode(&[value]);
    bytes.remove(0);
    if encoding == Encoding::Json {
        bytes.pop();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use vetrina_protocol::id::{SellerId, SessionId, ShowId, UserId};
    use vetrina_protocol::money::Currency;
    use vetrina_protocol::server::{Desk, Mine, ResetReason};
    use vetrina_protocol::time::{Epoch, Offset, UnixMs};
    use vetrina_protocol::view::{Role, Show, ShowState};

    use super::*;

    fn snapshot() -> Snapshot {
        Snapshot {
            show: Show {
                id: ShowId(1),
                seller: SellerId(2),
                seller_name: "Bottega".into(),
                title: "Ceramiche".into(),
                state: ShowState::Live,
                currency: Currency::EUR,
                starts_at_ms: None,
                live_at_ms: Some(UnixMs(5)),
                ended_at_ms: None,
                poster_url: None,
                reservation_ttl_s: 120,
                order_deadline_s: 600,
                whep_url: "/w".into(),
                whip_url: "/i".into(),
            },
            listings: Vec::new(),
            pin: None,
            comments: Vec::new(),
            slow_mode_s: 0,
            muted: vec![UserId(9)],
            viewers: 3,
        }
    }

    fn welcome(reset: Option<ResetReason>, desk: Option<Desk>) -> Welcome {
        Welcome {
            session: SessionId(1),
            user: UserId(2),
            name: "Anna".into(),
            role: Role::Viewer,
            epoch: Epoch(3),
            offset: Offset(4),
            snapshot: None,
            resumed: false,
            reset,
            server_time_ms: UnixMs(6),
            mine: Mine::default(),
            desk,
        }
    }

    #[test]
    fn a_spliced_welcome_reads_like_a_whole_one() {
        for encoding in [Encoding::MessagePack, Encoding::Json] {
            for (reset, desk) in [
                (None, None),
                (Some(ResetReason::Lost), Some(Desk::default())),
            ] {
                let shared = SharedSnapshot::new(snapshot());
                let bytes = welcome_frame(encoding, welcome(reset, desk.clone()), Some(&shared));
                // The payload has between 126 and 65,535 bytes: four bytes of header.
                let read: Vec<ServerMessage> = encoding.decode(&bytes[4..]).unwrap();
                let whole = Welcome {
                    snapshot: Some(snapshot()),
                    ..welcome(reset, desk)
                };
                assert_eq!(read, [ServerMessage::Welcome(Box::new(whole))]);
            }
        }
    }
}
