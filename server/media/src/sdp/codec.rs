//! The codecs that are passed through, told apart as far as a decoder cares. Knows no payload
//! types.

/// A codec with the parameters that decide whether a receiver can decode it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Codec {
    Opus,
    Vp8,
    Vp9 {
        profile: u8,
    },
    H264 {
        /// RFC 6184: 0 single NAL unit, 1 non-interleaved.
        packetization_mode: u8,
        /// `profile_idc` and the constraint bits; the level does not matter to us.
        profile: (u8, u8),
    },
    Av1 {
        profile: u8,
    },
}

impl Codec {
    /// Reads `a=rtpmap` and `a=fmtp`; `None` for what is not passed through.
    pub(crate) fn read(name: &str, clock_rate: &str, fmtp: &str) -> Option<Self> {
        let number = |key, default| parameter(fmtp, key).map_or(Some(default), |v| v.parse().ok());
        match (name.to_ascii_lowercase().as_str(), clock_rate) {
            ("opus", "48000") => Some(Self::Opus),
            ("vp8", "90000") => Some(Self::Vp8),
            ("vp9", "90000") => Some(Self::Vp9 {
                profile: number("profile-id", 0)?,
            }),
            ("av1", "90000") => Some(Self::Av1 {
                profile: number("profile", 0)?,
            }),
            ("h264", "90000") => Some(Self::H264 {
                packetization_mode: number("packetization-mode", 0)?,
                profile: h264_profile(parameter(fmtp, "profile-level-id").unwrap_or("42000a"))?,
            }),
            _ => None,
        }
    }

    pub(crate) fn is_video(self) -> bool {
        self != Self::Opus
    }

    /// How well a receiver that negotiated `self` decodes a stream of `sent`: 0 is not at all.
    pub(crate) fn suits(self, sent: Self) -> u8 {
        match (self, sent) {
            (a, b) if a == b => 3,
            (
                Self::H264 {
                    packetization_mode: ours,
                    profile: (idc, _),
                },
                Self::H264 {
                    packetization_mode: theirs,
                    profile: (sent_idc, _),
                },
            ) if ours == theirs => 1 + u8::from(idc == sent_idc),
            _ => 0,
        }
    }
}

/// The value of one `key=value` of an fmtp line.
pub(crate) fn parameter<'a>(fmtp: &'a str, key: &str) -> Option<&'a str> {
    fmtp.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case(key)
            .then_some(value.trim())
    })
}

fn h264_profile(level_id: &str) -> Option<(u8, u8)> {
    let digits = u32::from_str_radix(level_id, 16).ok()?;
    let [_, idc, constraints, _] = digits.to_be_bytes();
    (level_id.len() == 6).then_some((idc, constraints))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_by_name() {
        assert_eq!(parameter("a=1; B = 2 ;c", "b"), Some("2"));
        assert_eq!(parameter("a=1", "b"), None);
    }

    #[test]
    fn an_exact_codec_suits_best_and_another_packetization_not_at_all() {
        let read = |fmtp| Codec::read("H264", "90000", fmtp).expect("valid");
        let sent = read("packetization-mode=1;profile-level-id=42e01f");
        assert_eq!(
            read("profile-level-id=42e034;packetization-mode=1").suits(sent),
            3
        );
        assert_eq!(
            read("profile-level-id=42001f;packetization-mode=1").suits(sent),
            2
        );
        assert_eq!(
            read("profile-level-id=640c1f;packetization-mode=1").suits(sent),
            1
        );
        assert_eq!(
            read("profile-level-id=42e01f;packetization-mode=0").suits(sent),
            0
        );
        assert_eq!(Codec::Vp8.suits(sent), 0);
        let deep = Codec::read("VP9", "90000", "profile-id=2").expect("valid");
        assert_eq!(deep.suits(Codec::Vp9 { profile: 0 }), 0);
    }

    #[test]
    fn nonsense_is_not_a_codec() {
        assert_eq!(Codec::read("H264", "90000", "profile-level-id=zz"), None);
        assert_eq!(Codec::read("VP8", "8000", ""), None);
        assert_eq!(Codec::read("red", "90000", ""), None);
    }
}
