//! The bytes that are sent: commands of viewers, and what peers are given to fan out, which is the
//! very frame that a Vetrina server would send.

use vetrina_protocol::client::{ClientMessage, Resume};
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::event::{Event, LoggedEvent};
use vetrina_protocol::id::{CommentId, UserId};
use vetrina_protocol::server::ServerMessage;
use vetrina_protocol::time::{Epoch, Offset, UnixMs};
use vetrina_protocol::view::{Author, Comment, Role};

use super::follow::Follow;
use super::frame::{BINARY, masked};
use super::known::Mark;

/// One command in a frame of its own.
pub(crate) fn command(message: &ClientMessage) -> Vec<u8> {
    let payload = Encoding::MessagePack.encode(std::slice::from_ref(message));
    masked(BINARY, &payload, rand::random())
}

/// The first message of a session; who was here before continues.
pub(crate) fn hello(token: &str, follow: Follow) -> Vec<u8> {
    let resume = follow.last.map(|last| Resume {
        epoch: Epoch(follow.epoch),
        offset: Offset(last),
    });
    command(&ClientMessage::Hello {
        token: token.to_owned(),
        resume,
    })
}

/// A comment that carries a mark.
pub(crate) fn comment(mark: Mark, text_bytes: usize) -> Vec<u8> {
    command(&ClientMessage::Comment {
        id: mark.number,
        key: format!("load-{:x}", mark.number),
        text: mark.text(text_bytes),
        media_time: None,
    })
}

/// What everybody is told of that comment, byte for byte as long as from a Vetrina server.
pub(crate) fn comment_frame(offset: u64, mark: Mark, text_bytes: usize) -> Vec<u8> {
    // Of the present, so that it has as many bytes.
    let at_ms = UnixMs(1_795_000_000_000);
    let author = Author {
        id: UserId(0x0190_b3c4_7a2e_7c31_9f00_3d2f_6f1c_8a55),
        name: "Basilico 412".into(),
        role: Role::Viewer,
    };
    let comment = Comment {
        id: CommentId(0x0190_b3c4_7a2e_7c31_9f00_3d2f_6f1c_8a56),
        author,
        text: mark.text(text_bytes),
        at_ms,
        media_time: None,
    };
    let event = LoggedEvent {
        offset: Offset(offset),
        at_ms,
        event: Event::Commented { comment },
    };
    Encoding::MessagePack.encode(&[ServerMessage::Events {
        from: Offset(offset),
        to: Offset(offset),
        events: vec![event],
    }])
}
