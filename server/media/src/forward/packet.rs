//! The fixed and extension headers of RTP (RFC 3550, RFC 8285), read in place. Every length is
//! checked, since the bytes come from outside. Knows nothing of codecs.

use std::ops::Range;

use bytes::Bytes;

use crate::sdp::Codec;

/// Bytes of the header this side writes: no contributing sources, no extensions.
pub(crate) const HEADER_BYTES: usize = 12;

/// An RTP packet on its way through the house: decrypted once, shared by all subscribers.
#[derive(Debug, Clone)]
pub(crate) struct MediaPacket {
    /// Extended sequence number of its source.
    pub(crate) sequence: u64,
    /// Ticks of the track's timeline: for video the broadcast's media time.
    pub(crate) ticks: u64,
    pub(crate) marker: bool,
    pub(crate) codec: Codec,
    /// Whether a keyframe shows itself in this packet.
    pub(crate) keyframe: bool,
    pub(crate) payload: Bytes,
}

/// The parsed header of a received packet; ranges point into the packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RtpHeader {
    pub(crate) marker: bool,
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) source: u32,
    /// The payload without padding.
    pub(crate) payload: Range<usize>,
    extensions: Range<usize>,
    long_extensions: bool,
}

impl RtpHeader {
    /// Reads a decrypted packet; `None` if it is not RTP.
    pub(crate) fn read(packet: &[u8]) -> Option<Self> {
        let fixed = packet.get(..HEADER_BYTES)?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let sources = usize::from(fixed[0] & 0x0f);
        let mut at = HEADER_BYTES + 4 * sources;
        let (mut extensions, mut long_extensions) = (0..0, false);
        if fixed[0] & 0x10 != 0 {
            let head = packet.get(at..at + 4)?;
            let profile = u16::from_be_bytes([head[0], head[1]]);
            let length = 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
            at += 4;
            packet.get(at..at + length)?;
            long_extensions = profile & 0xfff0 == 0x1000;
            if long_extensions || profile == 0xbede {
                extensions = at..at + length;
            }
            at += length;
        }
        let padding = if fixed[0] & 0x20 != 0 {
            usize::from(*packet.last()?)
        } else {
            0
        };
        let end = packet.len().checked_sub(padding)?;
        if at > end {
            return None;
        }
        Some(Self {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            source: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            payload: at..end,
            extensions,
            long_extensions,
        })
    }

    /// The value of the header extension `id`, if the packet carries it.
    pub(crate) fn extension<'a>(&self, packet: &'a [u8], id: u8) -> Option<&'a [u8]> {
        let mut rest = packet.get(self.extensions.clone())?;
        while let Some((&first, after)) = rest.split_first() {
            if first == 0 {
                rest = after;
                continue;
            }
            let (found, length, value) = if self.long_extensions {
                let (&length, value) = after.split_first()?;
                (first, usize::from(length), value)
            } else {
                (first >> 4, usize::from(first & 0x0f) + 1, after)
            };
            if !self.long_extensions && found == 15 {
                return None;
            }
            if found == id {
                return value.get(..length);
            }
            rest = value.get(length..)?;
        }
        None
    }
}

/// The synchronization source of a packet that may still be encrypted.
pub(crate) fn source_of(packet: &[u8]) -> Option<u32> {
    packet.get(8..12)?.try_into().ok().map(u32::from_be_bytes)
}

/// Writes the header of a packet on its way to a subscriber.
pub(crate) fn write_header(
    out: &mut Vec<u8>,
    packet: &MediaPacket,
    payload_type: u8,
    sequence: u64,
    source: u32,
) {
    out.extend_from_slice(&[0x80, (u8::from(packet.marker) << 7) | payload_type]);
    out.extend_from_slice(&(sequence as u16).to_be_bytes());
    out.extend_from_slice(&(packet.ticks as u32).to_be_bytes());
    out.extend_from_slice(&source.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rtc_rtp::{Packet, header::Header};
    use rtc_shared::marshal::Marshal;

    use super::*;

    fn packet() -> Vec<u8> {
        let mut header = Header {
            version: 2,
            marker: true,
            payload_type: 96,
            sequence_number: 7,
            timestamp: 90_000,
            ssrc: 0xdead_beef,
            csrc: vec![1, 2],
            ..Header::default()
        };
        header
            .set_extension(3, Bytes::from_static(&[1, 2]))
            .expect("fits");
        header
            .set_extension(4, Bytes::from_static(b"video"))
            .expect("fits");
        let packet = Packet {
            header,
            payload: Bytes::from_static(b"payload"),
        };
        packet.marshal().expect("fits").to_vec()
    }

    #[test]
    fn a_packet_written_by_another_implementation_is_read() {
        let bytes = packet();
        let header = RtpHeader::read(&bytes).expect("RTP");
        assert_eq!(
            (header.marker, header.payload_type, header.sequence),
            (true, 96, 7)
        );
        assert_eq!((header.timestamp, header.source), (90_000, 0xdead_beef));
        assert_eq!(&bytes[header.payload.clone()], b"payload");
        assert_eq!(header.extension(&bytes, 3), Some(&[1, 2][..]));
        assert_eq!(header.extension(&bytes, 4), Some(&b"video"[..]));
        assert_eq!(header.extension(&bytes, 5), None);
    }

    #[test]
    fn padding_is_cut_off_and_too_much_of_it_refused() {
        let mut bytes = vec![0xa0, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 9, 9, 0, 2];
        assert_eq!(RtpHeader::read(&bytes).expect("RTP").payload, 12..14);
        *bytes.last_mut().expect("not empty") = 5;
        assert_eq!(RtpHeader::read(&bytes), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_fail(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
            id: u8,
        ) {
            if let Some(header) = RtpHeader::read(&bytes) {
                let _ = header.extension(&bytes, id);
                prop_assert!(bytes.get(header.payload).is_some());
            }
        }

        #[test]
        fn a_cut_packet_never_reaches_past_its_end(cut in 0_usize..40) {
            let bytes = packet();
            let short = &bytes[..cut.min(bytes.len())];
            if let Some(header) = RtpHeader::read(short) {
                prop_assert!(header.payload.end <= short.len());
            }
        }
    }
}
