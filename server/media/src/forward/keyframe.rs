//! Whether a keyframe begins or shows itself in a payload, per codec. Reads payload headers only.

use crate::sdp::Codec;

/// Whether `payload` carries the part of a keyframe that a decoder can begin with.
pub(crate) fn shows_keyframe(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus => false,
        Codec::Vp8 => vp8(payload).unwrap_or(false),
        Codec::Vp9 { .. } => vp9(payload).unwrap_or(false),
        Codec::H264 { .. } => h264(payload),
        Codec::Av1 { .. } => payload.first().is_some_and(|header| header & 0x08 != 0),
    }
}

/// RFC 7741: start of partition 0, whose first byte has the inverse keyframe bit.
fn vp8(payload: &[u8]) -> Option<bool> {
    let (&first, mut rest) = payload.split_first()?;
    if first & 0x10 == 0 || first & 0x07 != 0 {
        return Some(false);
    }
    if first & 0x80 != 0 {
        let (&bits, after) = rest.split_first()?;
        let picture_id = match (bits & 0x80 != 0, after.first()) {
            (false, _) => 0,
            (true, Some(id)) if id & 0x80 != 0 => 2,
            (true, _) => 1,
        };
        let level = usize::from(bits & 0x40 != 0);
        let temporal = usize::from(bits & 0x30 != 0);
        rest = after.get(picture_id + level + temporal..)?;
    }
    Some(rest.first()? & 0x01 == 0)
}

/// RFC 9628: not inter-predicted, begin of a frame, of the lowest spatial layer.
fn vp9(payload: &[u8]) -> Option<bool> {
    let (&first, rest) = payload.split_first()?;
    if first & 0x40 != 0 || first & 0x08 == 0 {
        return Some(false);
    }
    if first & 0x20 == 0 {
        return Some(true);
    }
    let picture_id = match (first & 0x80 != 0, rest.first()) {
        (false, _) => 0,
        (true, Some(id)) if id & 0x80 != 0 => 2,
        (true, _) => 1,
    };
    Some(rest.get(picture_id)? & 0x0e == 0)
}

/// RFC 6184: a parameter set or a slice of an IDR picture; alone, aggregated or fragmented.
fn h264(payload: &[u8]) -> bool {
    let decodable = |unit_type: u8| matches!(unit_type & 0x1f, 5 | 7);
    match payload {
        [first, rest @ ..] if first & 0x1f == 24 => {
            let mut rest = rest;
            while let [high, low, unit, ..] = *rest {
                if decodable(unit) {
                    return true;
                }
                let length = usize::from(u16::from_be_bytes([high, low]));
                rest = rest.get(2 + length..).unwrap_or(&[]);
            }
            false
        }
        [first, fragment, ..] if first & 0x1f == 28 => fragment & 0x80 != 0 && decodable(*fragment),
        [first, ..] => decodable(*first),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const H264: Codec = Codec::H264 {
        packetization_mode: 1,
        profile: (0x42, 0xe0),
    };

    #[test]
    fn vp8_keyframes_are_told_from_others() {
        // X, S; I, L, T; 15-bit picture id; tl0; tid; then the frame header.
        assert!(shows_keyframe(
            Codec::Vp8,
            &[0x90, 0xe0, 0x81, 0x02, 5, 0x20, 0x10]
        ));
        assert!(!shows_keyframe(
            Codec::Vp8,
            &[0x90, 0xe0, 0x81, 0x02, 5, 0x20, 0x11]
        ));
        assert!(shows_keyframe(Codec::Vp8, &[0x10, 0x00]));
        assert!(
            !shows_keyframe(Codec::Vp8, &[0x00, 0x00]),
            "not the start of a partition"
        );
        assert!(!shows_keyframe(Codec::Vp8, &[]));
    }

    #[test]
    fn vp9_keyframes_are_told_from_others() {
        let vp9 = Codec::Vp9 { profile: 0 };
        assert!(shows_keyframe(vp9, &[0x88, 0x80, 0x01]));
        assert!(!shows_keyframe(vp9, &[0xc8, 0x80, 0x01]), "inter-predicted");
        assert!(shows_keyframe(vp9, &[0xa8, 0x80, 0x01, 0x00]));
        assert!(
            !shows_keyframe(vp9, &[0xa8, 0x80, 0x01, 0x02]),
            "a higher spatial layer"
        );
    }

    #[test]
    fn h264_keyframes_are_told_from_others() {
        assert!(shows_keyframe(H264, &[0x67, 1, 2]), "parameter set");
        assert!(shows_keyframe(H264, &[0x65, 1]), "slice of an IDR picture");
        assert!(!shows_keyframe(H264, &[0x41, 1]));
        assert!(
            shows_keyframe(H264, &[24, 0, 2, 0x09, 0xf0, 0, 2, 0x67, 0]),
            "aggregated"
        );
        assert!(!shows_keyframe(H264, &[24, 0, 2, 0x41, 0xf0, 0, 9]));
        assert!(shows_keyframe(H264, &[0x7c, 0x85, 1]), "first fragment");
        assert!(!shows_keyframe(H264, &[0x7c, 0x05, 1]), "later fragment");
    }

    #[test]
    fn av1_announces_a_new_coded_sequence() {
        assert!(shows_keyframe(Codec::Av1 { profile: 0 }, &[0x18, 0x0a]));
        assert!(!shows_keyframe(Codec::Av1 { profile: 0 }, &[0x10, 0x0a]));
    }

    proptest! {
        #[test]
        fn no_payload_makes_the_reader_fail(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            for codec in [Codec::Vp8, Codec::Vp9 { profile: 0 }, H264, Codec::Av1 { profile: 0 }] {
                let _ = shows_keyframe(codec, &bytes);
            }
        }
    }
}
