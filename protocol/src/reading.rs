//! Frames from clients, read with suspicion: at most so many messages and values, no repeated keys,
//! no deep nesting; and one message that cannot be read does not cost the others their answers.
//!
//! It refuses to know what the messages ask for.

use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::client::{ClientMessage, CommandId};
use crate::close::CloseCode;
use crate::encoding::Encoding;
use crate::{MESSAGES_PER_FRAME_MAX, VALUES_PER_FRAME_MAX};

/// A message that is not one of ours, or has wrong fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its id, if that much could be read.
    pub id: Option<CommandId>,
    /// What is wrong, for people.
    pub why: String,
}

/// Reads one frame.
///
/// # Errors
/// [`CloseCode::Malformed`] when the bytes are not an array, [`CloseCode::TooBig`] when it has more
/// messages or values than allowed.
pub fn read_frame(
    encoding: Encoding,
    payload: &[u8],
) -> Result<Vec<Result<ClientMessage, Unreadable>>, CloseCode> {
    let frame = match encoding {
        Encoding::MessagePack => {
            let mut decoder = rmp_serde::Deserializer::new(payload);
            decoder.set_max_depth(DEPTH_MAX);
            let frame = Frame::deserialize(&mut decoder).map_err(|error| unreadable(&error))?;
            if !decoder.get_ref().is_empty() {
                return Err(CloseCode::Malformed);
            }
            frame
        }
        // serde_json bounds the depth itself.
        Encoding::Json => serde_json::from_slice(payload).map_err(|error| unreadable(&error))?,
    };
    Ok(frame.0.into_iter().map(read_message).collect())
}

/// Neither library's error has a place for a code of ours but its words.
fn unreadable(error: &dyn fmt::Display) -> CloseCode {
    if error.to_string().starts_with(TOO_MANY) {
        CloseCode::TooBig
    } else {
        CloseCode::Malformed
    }
}

/// Deepest nesting of a frame that is still ours, with room for fields of a later version.
const DEPTH_MAX: usize = 32;
const TOO_MANY: &str = "too many messages or values";

fn read_message(value: Value) -> Result<ClientMessage, Unreadable> {
    let id = value
        .get("id")
        .and_then(Value::as_u64)
        .and_then(|id| CommandId::try_from(id).ok());
    serde_json::from_value(value).map_err(|error| Unreadable {
        id,
        // The error may quote what the client sent, which is no longer than a frame.
        why: error.to_string().chars().take(WHY_CHARS_MAX).collect(),
    })
}

/// Of what serde says about a message.
const WHY_CHARS_MAX: usize = 200;

struct Frame(Vec<Value>);

impl<'de> Deserialize<'de> for Frame {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FrameVisitor)
    }
}

struct FrameVisitor;

impl<'de> Visitor<'de> for FrameVisitor {
    type Value = Frame;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of messages")
    }

    /// Nothing is reserved ahead: a header may claim four thousand million messages.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Frame, A::Error> {
        let mut messages = Vec::new();
        let left = Cell::new(VALUES_PER_FRAME_MAX);
        while let Some(message) = seq.next_element_seed(Plain { left: &left })? {
            if messages.len() == MESSAGES_PER_FRAME_MAX {
                return Err(A::Error::custom(TOO_MANY));
            }
            messages.push(message);
        }
        Ok(Frame(messages))
    }
}

/// A value without repeated keys, read without reserving ahead.
#[derive(Clone, Copy)]
struct Plain<'a> {
    /// Values that the frame may still have. What is small on the wire may be large in memory.
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Plain<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Some(left) = self.left.get().checked_sub(1) else {
            return Err(D::Error::custom(TOO_MANY));
        };
        self.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Plain<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    /// No field of ours is binary; one of a later version is passed over.
    fn visit_bytes<E>(self, _: &[u8]) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(self)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if values.insert(key, map.next_value_seed(self)?).is_some() {
                return Err(A::Error::custom("a key is repeated"));
            }
        }
        Ok(values.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FRAME_BYTES_MAX;

    const BOTH: [Encoding; 2] = [Encoding::MessagePack, Encoding::Json];

    #[test]
    fn one_wrong_message_does_not_spoil_the_others() {
        let frame = serde_json::json!([
            {"type": "Ping", "id": 1},
            {"type": "Dance", "id": 2},
            {"type": "Reserve", "id": 3, "key": "k", "listing": "x", "quantity": -1},
            {"type": "Ping", "id": 4, "new": {"field": [1.5, null, true]}},
            7,
        ]);
        for encoding in BOTH {
            let bytes = encoding.encode(frame.as_array().unwrap());
            let read = read_frame(encoding, &bytes).unwrap();
            let ids: Vec<_> = read
                .iter()
                .map(|message| match message {
                    Ok(message) => (true, message.id()),
                    Err(unreadable) => (false, unreadable.id),
                })
                .collect();
            let expected = [
                (true, Some(1)),
                (false, Some(2)),
                (false, Some(3)),
                (true, Some(4)),
                (false, None),
            ];
            assert_eq!(ids, expected);
        }
    }

    #[test]
    fn bombs_are_refused() {
        // An array, and a map, of 2^32 - 1; strings and extensions that are not there; too deep.
        let bombs: [&[u8]; 6] = [
            &[0xdd, 0xff, 0xff, 0xff, 0xff],
            &[0x91, 0xdf, 0xff, 0xff, 0xff, 0xff],
            &[0x91, 0xdb, 0xff, 0xff, 0xff, 0xff],
            &[0x91, 0xc6, 0xff, 0xff, 0xff, 0xff],
            &[0x91; 10_000],
            &[0x91, 0xc9, 0xff, 0xff, 0xff, 0xff, 1],
        ];
        for bomb in bombs {
            assert_eq!(
                read_frame(Encoding::MessagePack, bomb),
                Err(CloseCode::Malformed)
            );
        }
        let deep = "[".repeat(10_000);
        assert_eq!(
            read_frame(Encoding::Json, deep.as_bytes()),
            Err(CloseCode::Malformed)
        );
        let repeated = br#"[{"type":"Ping","id":1,"id":2}]"#;
        assert_eq!(
            read_frame(Encoding::Json, repeated),
            Err(CloseCode::Malformed)
        );
    }

    #[test]
    fn what_is_no_array_or_too_long_a_one_ends_the_session() {
        for encoding in BOTH {
            let ping = ClientMessage::Ping { id: 1 };
            let most = vec![ping; MESSAGES_PER_FRAME_MAX];
            assert!(read_frame(encoding, &encoding.encode(&most)).is_ok());
            let more = [most, vec![ClientMessage::Ping { id: 2 }; 3]].concat();
            assert_eq!(
                read_frame(encoding, &encoding.encode(&more)),
                Err(CloseCode::TooBig)
            );
            assert_eq!(read_frame(encoding, b""), Err(CloseCode::Malformed));
            assert_eq!(read_frame(encoding, b"{}"), Err(CloseCode::Malformed));
        }
        let two = [Encoding::MessagePack.encode::<u8>(&[]), vec![0xc0]].concat();
        assert_eq!(
            read_frame(Encoding::MessagePack, &two),
            Err(CloseCode::Malformed)
        );
        assert_eq!(
            read_frame(Encoding::Json, b"[] []"),
            Err(CloseCode::Malformed)
        );
    }

    /// Found by the fuzz targets: 64 KB of maps of one entry were 20 MB in memory.
    #[test]
    fn many_small_values_are_too_big() {
        for encoding in BOTH {
            let map = serde_json::json!({ "": null });
            let small = serde_json::json!({ "type": "Ping", "id": 1, "new": vec![map; 9_000] });
            let bytes = encoding.encode(&[small]);
            assert!(bytes.len() < FRAME_BYTES_MAX * 2);
            assert_eq!(read_frame(encoding, &bytes), Err(CloseCode::TooBig));
        }
        // The longest run of show that fits into a frame is read.
        let listings = (0..1_600).map(crate::id::ListingId).collect();
        let order = ClientMessage::OrderListings {
            id: 1,
            key: "k".into(),
            listings,
        };
        for encoding in BOTH {
            let bytes = encoding.encode(std::slice::from_ref(&order));
            assert!(bytes.len() <= FRAME_BYTES_MAX);
            assert_eq!(read_frame(encoding, &bytes), Ok(vec![Ok(order.clone())]));
        }
    }

    /// Random bytes, and good frames with bytes changed: any answer will do, a panic will not.
    #[test]
    fn nothing_that_comes_in_makes_it_panic() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for round in 0..20_000_u64 {
            for encoding in BOTH {
                let hello = ClientMessage::Hello {
                    token: "t".repeat(usize::try_from(round % 40).unwrap()),
                    resume: None,
                };
                let mut bytes = encoding.encode(&[hello]);
                if round % 2 == 0 {
                    bytes = (0..next() % 80).map(|_| next() as u8).collect();
                }
                for _ in 0..=(next() % 4) {
                    if let Some(at) = usize::try_from(next()).unwrap().checked_rem(bytes.len()) {
                        bytes[at] = next() as u8;
                    }
                }
                let _ = read_frame(encoding, &bytes);
            }
        }
    }
}
