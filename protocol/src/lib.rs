//! The wire: everything a client may say to a Vetrina server and everything it may hear back.
//!
//! It holds types, their encodings and their tables of codes. It refuses to know how anything is
//! decided, stored or sent. TypeScript bindings, JSON Schema, the AsyncAPI document and the golden
//! MessagePack vectors are generated from these types by `tests/generated.rs`.

pub mod client;
pub mod close;
pub mod encoding;
pub mod event;
pub mod id;
pub mod money;
pub mod ops;
pub mod reading;
pub mod refusal;
pub mod rest;
pub mod server;
pub mod time;
pub mod view;

/// WebSocket sub-protocol: every frame is a MessagePack array of messages, structs as named maps.
pub const SUBPROTOCOL_MSGPACK: &str = "vetrina.v1.msgpack";
/// WebSocket sub-protocol: every frame is a JSON array of messages.
pub const SUBPROTOCOL_JSON: &str = "vetrina.v1.json";

/// Longest frame a client may send, in bytes; a longer one closes the socket with 1009.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;
/// Most messages one client frame may carry.
pub const MESSAGES_PER_FRAME_MAX: usize = 64;
/// Most values in one client frame, counted at every depth: twice as many as the longest run of
/// show that fits into one. A value may be hundreds of times as long in memory as on the wire.
pub const VALUES_PER_FRAME_MAX: usize = 4_096;
/// A client that has not said `Hello` within this time is closed with
/// [`close::CloseCode::HelloTimeout`].
pub const HELLO_DEADLINE_MS: u64 = 5_000;
/// Longest idempotency key, in bytes.
pub const KEY_BYTES_MAX: usize = 64;
/// Longest comment, in Unicode scalar values.
pub const COMMENT_CHARS_MAX: usize = 300;
/// Longest display name, in Unicode scalar values.
pub const NAME_CHARS_MAX: usize = 40;
/// Most reservations in one checkout.
pub const BAG_LINES_MAX: usize = 20;
/// Most units in one reservation, whatever a listing's own limit says.
pub const QUANTITY_MAX: u32 = 100;
