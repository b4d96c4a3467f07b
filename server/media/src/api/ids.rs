//! Names of things: broadcasts, sessions, moments of a broadcast. They know not what they name.

use std::fmt;
use std::str::FromStr;

/// A broadcast, named by the server (it gives the show's id).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BroadcastId(pub u128);

/// A session of a publisher or subscriber: 128 random bits, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u128);

impl SessionId {
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Only the first digits: whoever holds the whole id may end the session, so logs must not.
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({:08x}..)", self.0 >> 96)
    }
}

/// The text is not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session id is 32 lower-case hexadecimal digits")]
pub struct NotASessionId;

impl FromStr for SessionId {
    type Err = NotASessionId;

    fn from_str(text: &str) -> Result<Self, NotASessionId> {
        let digits = text.len() == 32
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !digits {
            return Err(NotASessionId);
        }
        u128::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| NotASessionId)
    }
}

/// A moment of a broadcast in ticks of 1/90,000 s, independent of layer and publisher session.
///
/// It fits into 53 bits, so it survives JSON and JavaScript numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MediaTime(pub u64);

impl MediaTime {
    /// Ticks per second.
    pub const TICKS_PER_SECOND: u64 = 90_000;

    /// The RTP timestamp every subscriber sees on this frame.
    #[must_use]
    pub fn rtp_timestamp(self) -> u32 {
        self.0 as u32
    }

    /// This moment moved back by `milliseconds`, for a pin that is meant for an earlier frame.
    #[must_use]
    pub fn back_by_ms(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_sub(milliseconds.saturating_mul(90)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_survives_its_text() {
        let id = SessionId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 32);
    }

    #[test]
    fn other_texts_are_no_session_id() {
        for text in [
            "",
            "12",
            "+0000000000000000000000000000001",
            &"G".repeat(32),
        ] {
            assert_eq!(text.parse::<SessionId>(), Err(NotASessionId), "{text}");
        }
        assert!(
            "A".repeat(32).parse::<SessionId>().is_err(),
            "one spelling per id"
        );
    }

    #[test]
    fn the_rtp_timestamp_is_the_low_half() {
        assert_eq!(MediaTime(0x1_0000_0005).rtp_timestamp(), 5);
        assert_eq!(MediaTime(100_000).back_by_ms(1_000), MediaTime(10_000));
        assert_eq!(MediaTime(10).back_by_ms(1_000), MediaTime(0));
    }
}
