//! WebSocket as a client speaks it (RFC 6455): the upgrade, and frames out of and into bytes. It
//! knows no socket and nothing of what the frames carry.

use std::ops::Range;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Sixteen bytes in base64; one for all, since nobody between us and the server caches answers.
const KEY: &str = "dmV0cmluYS1sb2FkLWtleQ==";
/// An answer to the upgrade that is longer is not one.
const RESPONSE_BYTES_MAX: usize = 8 * 1024;
/// Longer than anything that a server sends here.
const PAYLOAD_BYTES_MAX: u64 = 64 << 20;

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;
const CONTINUATION: u8 = 0;

/// Bytes that are no answer to an upgrade, or no frame of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) &'static str);

/// The request that opens a session.
pub(crate) fn upgrade_request(host: &str, path: &str, subprotocol: Option<&str>) -> Vec<u8> {
    let offered = subprotocol.map_or_else(String::new, |name| {
        format!("Sec-WebSocket-Protocol: {name}\r\n")
    });
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{offered}\r\n"
    )
    .into_bytes()
}

/// What came of an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upgrade {
    /// The answer is not whole yet.
    Partial,
    /// The session is open; frames begin after so many bytes.
    Open(usize),
    /// Another status than 101, and after how many milliseconds to come back, if the server said.
    Refused(u16, Option<u64>),
}

/// Reads the answer to [`upgrade_request`].
pub(crate) fn upgraded(bytes: &[u8]) -> Result<Upgrade, Broken> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        if bytes.len() > RESPONSE_BYTES_MAX {
            return Err(Broken("an answer to the upgrade without an end"));
        }
        return Ok(Upgrade::Partial);
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| Broken("an answer of no text"))?;
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse::<u16>().ok())
        .ok_or(Broken("no HTTP answer"))?;
    if status != 101 {
        let seconds = header_of(head, "retry-after").and_then(|value| value.parse::<u64>().ok());
        return Ok(Upgrade::Refused(status, seconds.map(|s| s * 1_000)));
    }
    if header_of(head, "sec-websocket-accept") != Some(&derive_accept_key(KEY.as_bytes())) {
        return Err(Broken("Sec-WebSocket-Accept does not belong to our key"));
    }
    Ok(Upgrade::Open(end + 4))
}

fn header_of<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (have, value) = line.split_once(':')?;
        have.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// One frame of the server: where its payload lies in the bytes that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) is_final: bool,
    pub(crate) opcode: u8,
    pub(crate) payload: Range<usize>,
}

/// The frame that begins at `at`; none when it is not whole.
pub(crate) fn frame(bytes: &[u8], at: usize) -> Result<Option<Frame>, Broken> {
    let rest = &bytes[at..];
    let [first, second, ..] = *rest else {
        return Ok(None);
    };
    if first & 0x70 != 0 {
        return Err(Broken("an extension that was not agreed on"));
    }
    if second & 0x80 != 0 {
        return Err(Broken("a masked frame from a server"));
    }
    let (length, header) = match second {
        126 => match rest.get(2..4) {
            Some(&[high, low]) => (u64::from(u16::from_be_bytes([high, low])), 4),
            _ => return Ok(None),
        },
        127 => match rest.get(2..10).and_then(|eight| eight.try_into().ok()) {
            Some(eight) => (u64::from_be_bytes(eight), 10),
            None => return Ok(None),
        },
        short => (u64::from(short), 2),
    };
    if length > PAYLOAD_BYTES_MAX {
        return Err(Broken("a frame of more than 64 MiB"));
    }
    let length = usize::try_from(length).map_err(|_| Broken("a frame beyond memory"))?;
    let start = at + header;
    if bytes.len() - start < length {
        return Ok(None);
    }
    Ok(Some(Frame {
        is_final: first & 0x80 != 0,
        opcode: first & 0x0f,
        payload: start..start + length,
    }))
}

/// A final frame of a client, masked with `mask`.
pub(crate) fn masked(opcode: u8, payload: &[u8], mask: u32) -> Vec<u8> {
    let mask = mask.to_be_bytes();
    let mut frame = Vec::with_capacity(payload.len() + 14);
    frame.push(0x80 | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short), _) if short < 126 => frame.push(0x80 | short),
        (_, Ok(medium)) => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    let keys = mask.iter().cycle();
    frame.extend(payload.iter().zip(keys).map(|(byte, key)| byte ^ key));
    frame
}

/// What a frame means once those before it are known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A whole message that lies in the bytes it was read from.
    Message(&'a [u8]),
    /// A whole message that came in several frames.
    Joined(Vec<u8>),
    /// To be answered with the same payload.
    Ping(&'a [u8]),
    /// The server closes, with this code.
    Close(u16),
    /// Nothing to do now.
    Nothing,
}

/// The beginning of a message that comes in several frames.
pub(crate) type Fragments = Option<Vec<u8>>;

/// Takes the next frame of one session.
pub(crate) fn piece<'a>(
    fragments: &mut Fragments,
    frame: &Frame,
    bytes: &'a [u8],
) -> Result<Piece<'a>, Broken> {
    let payload = &bytes[frame.payload.clone()];
    match frame.opcode {
        TEXT | BINARY if fragments.is_some() => {
            Err(Broken("a new message inside of a fragmented one"))
        }
        TEXT | BINARY if frame.is_final => Ok(Piece::Message(payload)),
        TEXT | BINARY => {
            *fragments = Some(payload.to_vec());
            Ok(Piece::Nothing)
        }
        CONTINUATION => {
            let mut whole = fragments
                .take()
                .ok_or(Broken("a continuation of nothing"))?;
            whole.extend_from_slice(payload);
            if frame.is_final {
                return Ok(Piece::Joined(whole));
            }
            *fragments = Some(whole);
            Ok(Piece::Nothing)
        }
        CLOSE => match payload {
            [high, low, ..] => Ok(Piece::Close(u16::from_be_bytes([*high, *low]))),
            // No code was given (section 7.1.5).
            _ => Ok(Piece::Close(1005)),
        },
        PING => Ok(Piece::Ping(payload)),
        PONG => Ok(Piece::Nothing),
        _ => Err(Broken("an unknown kind of frame")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a server sends it.
    fn sent(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = masked(first & 0x0f, payload, 0);
        frame[0] = first;
        frame[1] &= 0x7f;
        let mask_at = frame.len() - payload.len() - 4;
        frame.drain(mask_at..mask_at + 4);
        frame
    }

    #[test]
    fn lengths_of_every_form_are_read() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 200_000] {
            let payload = vec![7; length];
            let mut bytes = vec![0xff; 3];
            bytes.extend(sent(0x82, &payload));
            let whole = bytes.len();
            bytes.push(0x82);
            let read = frame(&bytes, 3).unwrap().unwrap();
            assert_eq!((read.is_final, read.opcode), (true, BINARY));
            assert_eq!(read.payload, whole - length..whole);
            for cut in [3, 4, whole - 1] {
                assert_eq!(frame(&bytes[..cut], 3), Ok(None), "{length} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_no_server_may_send_is_broken() {
        assert!(frame(&[0xc2, 0], 0).is_err(), "compressed");
        assert!(frame(&[0x82, 0x80], 0).is_err(), "masked");
        let mut endless = vec![0x82, 127];
        endless.extend([0xff; 8]);
        assert!(frame(&endless, 0).is_err());
        let mut none = None;
        let continued = sent(0x80, b"x");
        let read = frame(&continued, 0).unwrap().unwrap();
        assert!(piece(&mut none, &read, &continued).is_err());
    }

    #[test]
    fn fragments_are_joined_around_control_frames() {
        let bytes = [
            sent(0x02, b"one "),
            sent(0x89, b"ping"),
            sent(0x00, b"two "),
            sent(0x80, b"three"),
            sent(0x88, &[0x0f, 0xa7]),
        ]
        .concat();
        let (mut at, mut fragments, mut pieces) = (0, None, Vec::new());
        while let Some(next) = frame(&bytes, at).unwrap() {
            at = next.payload.end;
            pieces.push(piece(&mut fragments, &next, &bytes).unwrap());
        }
        assert_eq!(at, bytes.len());
        let expected = [
            Piece::Nothing,
            Piece::Ping(b"ping"),
            Piece::Nothing,
            Piece::Joined(b"one two three".to_vec()),
            Piece::Close(4007),
        ];
        assert_eq!(pieces, expected);
    }

    #[test]
    fn a_client_masks() {
        let frame = masked(BINARY, b"abc", 0x0102_0304);
        assert_eq!(frame[..6], [0x82, 0x83, 1, 2, 3, 4]);
        assert_eq!(frame[6..], [b'a' ^ 1, b'b' ^ 2, b'c' ^ 3]);
    }

    #[test]
    fn an_upgrade_opens_or_says_when_to_come_back() {
        let accept = derive_accept_key(KEY.as_bytes());
        let open = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        let mut bytes = open.clone().into_bytes();
        bytes.push(0x82);
        assert_eq!(upgraded(&bytes), Ok(Upgrade::Open(open.len())));
        assert_eq!(upgraded(&bytes[..40]), Ok(Upgrade::Partial));
        let busy = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\n\r\n{}";
        assert_eq!(upgraded(busy), Ok(Upgrade::Refused(503, Some(2_000))));
        let foreign = open.replace(&accept, "AAAA");
        assert!(upgraded(foreign.as_bytes()).is_err());
    }
}
