//! What is said between the upgrade and the first delivery, and how deliveries are wrapped: our own
//! protocol and those of the peers that the server is measured beside.

use super::frame::{BINARY, TEXT, masked};

/// The subject, room or channel of the one topic, at every peer that names it.
pub(crate) const ROOM: &str = "room";

/// What a client and its server speak on top of WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `Hello`, `Welcome`, batches of events.
    Vetrina,
    /// Every message is one delivery; there is nothing to say.
    Plain,
    /// Socket.IO 4 over Engine.IO 4: packets in text, payloads in binary frames.
    SocketIo,
    /// NATS: lines and payloads in one stream of bytes, whatever the frames.
    Nats,
}

impl Dialect {
    /// What a client says as soon as the upgrade is done; for us that is `Hello`, which needs more.
    pub(crate) fn opening(self) -> Vec<u8> {
        match self {
            Self::Vetrina | Self::Plain | Self::SocketIo => Vec::new(),
            Self::Nats => {
                let connect = format!(
                    "CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\nSUB {ROOM} 1\r\nPING\r\n"
                );
                masked(BINARY, connect.as_bytes(), rand::random())
            }
        }
    }

    /// Whether the session is ready right after the upgrade.
    pub(crate) const fn is_ready_at_once(self) -> bool {
        matches!(self, Self::Plain)
    }
}

/// What one message of a peer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning<'a> {
    /// A delivery.
    Delivery(&'a [u8]),
    /// The session is ready.
    Ready,
    /// To be answered.
    Answer(Reply),
    /// Nothing to do.
    Nothing,
    /// The peer complains.
    Complaint,
}

/// Frames that keep a session alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    SocketIoConnect,
    SocketIoPong,
    NatsPong,
}

impl Reply {
    pub(crate) fn frame(self) -> Vec<u8> {
        match self {
            Self::SocketIoConnect => masked(TEXT, b"40", rand::random()),
            Self::SocketIoPong => masked(TEXT, b"3", rand::random()),
            Self::NatsPong => masked(BINARY, b"PONG\r\n", rand::random()),
        }
    }
}

/// One packet of Socket.IO. Binary frames are the payloads, which are MessagePack arrays: their
/// first byte is no text.
pub(crate) fn socket_io(message: &[u8]) -> Meaning<'_> {
    match message {
        [first, ..] if *first >= 0x80 => Meaning::Delivery(message),
        [b'0', ..] => Meaning::Answer(Reply::SocketIoConnect),
        [b'2', ..] => Meaning::Answer(Reply::SocketIoPong),
        [b'4', b'0', ..] => Meaning::Ready,
        // The text beside a payload: the name of the event.
        [b'4', b'5', ..] => Meaning::Nothing,
        _ => Meaning::Complaint,
    }
}

/// The next item of a NATS stream and its length; none while it is not whole.
pub(crate) fn nats(stream: &[u8]) -> Option<(Meaning<'_>, usize)> {
    let end = stream.windows(2).position(|two| two == b"\r\n")?;
    let (line, after) = (&stream[..end], end + 2);
    if let Some(arguments) = line.strip_prefix(b"MSG ") {
        let length = arguments.rsplit(|byte| *byte == b' ').next();
        let length = length.and_then(|text| std::str::from_utf8(text).ok()?.parse::<usize>().ok());
        let Some(length) = length else {
            return Some((Meaning::Complaint, after));
        };
        if stream.len() < after + length + 2 {
            return None;
        }
        let payload = &stream[after..after + length];
        return Some((Meaning::Delivery(payload), after + length + 2));
    }
    let meaning = match line {
        b"PING" => Meaning::Answer(Reply::NatsPong),
        // The answer to our PING: the subscription is known.
        b"PONG" => Meaning::Ready,
        b"+OK" => Meaning::Nothing,
        _ if line.starts_with(b"INFO ") => Meaning::Nothing,
        _ => Meaning::Complaint,
    };
    Some((meaning, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nats_stream_is_cut_into_its_items() {
        let stream = b"INFO {}\r\nPONG\r\nMSG room 1 6\r\nab\r\ncd\r\nPING\r\n-ERR 'x'\r\nMSG room";
        let (mut at, mut items) = (0, Vec::new());
        while let Some((meaning, length)) = nats(&stream[at..]) {
            at += length;
            items.push(meaning);
        }
        let expected = [
            Meaning::Nothing,
            Meaning::Ready,
            Meaning::Delivery(b"ab\r\ncd"),
            Meaning::Answer(Reply::NatsPong),
            Meaning::Complaint,
        ];
        assert_eq!(items, expected);
        assert_eq!(&stream[at..], b"MSG room");
        assert_eq!(nats(b"MSG room 1 6\r\nab\r\ncd\r"), None);
    }

    #[test]
    fn packets_of_socket_io() {
        let connect = Meaning::Answer(Reply::SocketIoConnect);
        assert_eq!(socket_io(b"0{\"sid\":\"x\"}"), connect);
        assert_eq!(socket_io(b"40{\"sid\":\"x\"}"), Meaning::Ready);
        assert_eq!(socket_io(b"2"), Meaning::Answer(Reply::SocketIoPong));
        assert_eq!(socket_io(b"451-[\"m\",{}]"), Meaning::Nothing);
        assert_eq!(socket_io(&[0x91, 0x80]), Meaning::Delivery(&[0x91, 0x80]));
        assert_eq!(socket_io(b"44{}"), Meaning::Complaint);
    }
}
