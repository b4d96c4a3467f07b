//! The two encodings of a frame. Both carry an array of messages; both write structs as named maps.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Which encoding a session chose by its sub-protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `vetrina.v1.msgpack`, binary frames.
    MessagePack,
    /// `vetrina.v1.json`, text frames.
    Json,
}

/// Bytes that are not an array of messages in the session's encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub String);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not an array of messages: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

impl Encoding {
    /// The encoding of a sub-protocol name.
    #[must_use]
    pub fn of_subprotocol(name: &str) -> Option<Self> {
        match name {
            crate::SUBPROTOCOL_MSGPACK => Some(Self::MessagePack),
            crate::SUBPROTOCOL_JSON => Some(Self::Json),
            _ => None,
        }
    }

    /// The sub-protocol name of this encoding.
    #[must_use]
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::MessagePack => crate::SUBPROTOCOL_MSGPACK,
            Self::Json => crate::SUBPROTOCOL_JSON,
        }
    }

    /// Encodes one frame: an array of messages.
    ///
    /// # Panics
    /// Never for the types of this crate: they have string keys and finite numbers only.
    #[must_use]
    pub fn encode<T: Serialize>(self, messages: &[T]) -> Vec<u8> {
        match self {
            Self::MessagePack => {
                rmp_serde::to_vec_named(messages).expect("wire types always encode")
            }
            Self::Json => serde_json::to_vec(messages).expect("wire types always encode"),
        }
    }

    /// Decodes one frame.
    ///
    /// # Errors
    /// When the bytes are not an array of messages, or carry bytes after it.
    pub fn decode<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<Vec<T>, Malformed> {
        match self {
            Self::MessagePack => {
                let mut decoder = rmp_serde::Deserializer::new(bytes);
                decoder.set_max_depth(DEPTH_MAX);
                let messages = serde::Deserialize::deserialize(&mut decoder)
                    .map_err(|error: rmp_serde::decode::Error| Malformed(error.to_string()))?;
                if decoder.get_ref().is_empty() {
                    Ok(messages)
                } else {
                    Err(Malformed("bytes after the array".into()))
                }
            }
            Self::Json => {
                serde_json::from_slice(bytes).map_err(|error| Malformed(error.to_string()))
            }
        }
    }
}

/// Deepest nesting of a frame that is still ours: frame, message, resume or delivery, lines.
const DEPTH_MAX: usize = 32;
