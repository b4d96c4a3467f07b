//! Synthetic media: VP8 and Opus payloads that are valid on the wire and empty of pictures. Each
//! carries a stamp that says which packet it is, and filler that follows from the stamp, so that a
//! receiver can tell what is missing, repeated or damaged without trusting RTP's numbers. Knows
//! neither RTP nor the network.

use bytes::Bytes;

/// Which of the publisher's two tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Track {
    Video,
    Audio,
}

/// What the last bytes of each payload say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) track: Track,
    /// Counts the packets of the track from 0.
    pub(crate) number: u64,
    /// Counts the frames of the track from 0.
    pub(crate) frame: u32,
    /// The place of the packet in its frame.
    pub(crate) part: u16,
    /// Packets of the frame.
    pub(crate) parts: u16,
    pub(crate) keyframe: bool,
}

/// Says that a payload is ours.
const MAGIC: [u8; 4] = *b"vtrn";
/// Magic, number, frame, part, parts, flags.
const STAMP_BYTES: usize = 4 + 8 + 4 + 2 + 2 + 1;
/// VP8 payload descriptor with a picture id of 15 bits, as browsers write it (RFC 7741, 4.2).
const DESCRIPTOR_BYTES: usize = 4;
/// Frame tag, start code and size of the picture (RFC 6386, 9.1).
const KEYFRAME_HEADER_BYTES: usize = 10;
/// The smallest payload with room for everything.
pub(crate) const PAYLOAD_BYTES_MIN: usize =
    DESCRIPTOR_BYTES + KEYFRAME_HEADER_BYTES + STAMP_BYTES + 1;
/// CELT, 20 ms, stereo, one frame (RFC 6716, 3.1).
const OPUS_TOC: u8 = 0xfc;
/// About 32 kbit/s.
const OPUS_BYTES: usize = 80;

/// Frames of a camera, as VP8.
#[derive(Debug)]
pub(crate) struct Camera {
    /// Bytes of every payload.
    payload_bytes: usize,
    packets_per_frame: u16,
    packets_per_keyframe: u16,
    frame: u32,
    number: u64,
}

impl Camera {
    pub(crate) fn new(payload_bytes: usize, packets_per_frame: u16) -> Self {
        Self {
            payload_bytes: payload_bytes.max(PAYLOAD_BYTES_MIN),
            packets_per_frame,
            // What an encoder needs for a still picture beside a moving one, about.
            packets_per_keyframe: packets_per_frame.saturating_mul(4),
            frame: 0,
            number: 0,
        }
    }

    /// The payloads of the next frame, in order; the last one ends it.
    pub(crate) fn frame(&mut self, keyframe: bool) -> Vec<Bytes> {
        let parts = if keyframe {
            self.packets_per_keyframe
        } else {
            self.packets_per_frame
        };
        let mut payloads = Vec::with_capacity(parts.into());
        for part in 0..parts {
            let stamp = Stamp {
                track: Track::Video,
                number: self.number,
                frame: self.frame,
                part,
                parts,
                keyframe,
            };
            let mut payload = self.descriptor(part == 0);
            if part == 0 {
                self.frame_header(&mut payload, keyframe, parts);
            }
            payloads.push(stamp.finish(payload, self.payload_bytes));
            self.number += 1;
        }
        self.frame = self.frame.wrapping_add(1);
        payloads
    }

    /// How many packets there were.
    pub(crate) fn packets(&self) -> u64 {
        self.number
    }

    fn descriptor(&self, starts: bool) -> Vec<u8> {
        let [_, _, high, low] = self.frame.to_be_bytes();
        let (extended, start) = (0x80, if starts { 0x10 } else { 0 });
        vec![extended | start, 0x80, 0x80 | high, low]
    }

    fn frame_header(&self, payload: &mut Vec<u8>, keyframe: bool, parts: u16) {
        let first_partition = u32::from(parts) * self.payload_bytes as u32;
        let shown = 1 << 4;
        let tag = u32::from(!keyframe) | shown | (first_partition & 0x7_ffff) << 5;
        payload.extend_from_slice(&tag.to_le_bytes()[..3]);
        if keyframe {
            // Start code, then 640x360.
            payload.extend_from_slice(&[0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01]);
        }
    }
}

/// Sound of 20 ms a packet, shaped like Opus.
#[derive(Debug, Default)]
pub(crate) struct Microphone {
    frame: u32,
}

impl Microphone {
    pub(crate) fn frame(&mut self) -> Bytes {
        let stamp = Stamp {
            track: Track::Audio,
            number: u64::from(self.frame),
            frame: self.frame,
            part: 0,
            parts: 1,
            keyframe: false,
        };
        self.frame = self.frame.wrapping_add(1);
        stamp.finish(vec![OPUS_TOC], OPUS_BYTES)
    }

    /// How many packets there were.
    pub(crate) fn packets(&self) -> u64 {
        u64::from(self.frame)
    }
}

impl Stamp {
    /// Reads what a received payload says; `None` if it is damaged, or not ours.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let (rest, stamp) = payload.split_at_checked(payload.len().checked_sub(STAMP_BYTES)?)?;
        let (magic, stamp) = stamp.split_first_chunk::<4>()?;
        let (number, stamp) = stamp.split_first_chunk::<8>()?;
        let (frame, stamp) = stamp.split_first_chunk::<4>()?;
        let (part, stamp) = stamp.split_first_chunk::<2>()?;
        let (parts, stamp) = stamp.split_first_chunk::<2>()?;
        let &[flags] = stamp else { return None };
        let read = Self {
            track: if flags & 2 == 0 {
                Track::Video
            } else {
                Track::Audio
            },
            number: u64::from_be_bytes(*number),
            frame: u32::from_be_bytes(*frame),
            part: u16::from_be_bytes(*part),
            parts: u16::from_be_bytes(*parts),
            keyframe: flags & 1 != 0,
        };
        let filler = rest.get(read.header_bytes()..)?;
        let intact = *magic == MAGIC
            && read.part < read.parts
            && read.begins_rightly(rest)
            && filler
                .iter()
                .enumerate()
                .all(|(at, b)| *b == read.filler(at));
        intact.then_some(read)
    }

    /// Filler and the stamp itself.
    fn finish(self, mut payload: Vec<u8>, bytes: usize) -> Bytes {
        let filler = bytes.saturating_sub(payload.len() + STAMP_BYTES);
        payload.extend((0..filler).map(|at| self.filler(at)));
        payload.extend_from_slice(&MAGIC);
        payload.extend_from_slice(&self.number.to_be_bytes());
        payload.extend_from_slice(&self.frame.to_be_bytes());
        payload.extend_from_slice(&self.part.to_be_bytes());
        payload.extend_from_slice(&self.parts.to_be_bytes());
        payload.push(u8::from(self.keyframe) | u8::from(self.track == Track::Audio) << 1);
        payload.into()
    }

    fn filler(&self, at: usize) -> u8 {
        let [.., low] = (self.number.wrapping_mul(31).wrapping_add(at as u64)).to_be_bytes();
        low
    }

    fn header_bytes(&self) -> usize {
        match (self.track, self.part, self.keyframe) {
            (Track::Audio, ..) => 1,
            (Track::Video, 0, true) => DESCRIPTOR_BYTES + KEYFRAME_HEADER_BYTES,
            (Track::Video, 0, false) => DESCRIPTOR_BYTES + 3,
            (Track::Video, ..) => DESCRIPTOR_BYTES,
        }
    }

    /// A relay may renumber pictures; what says where frames begin must be as it was.
    fn begins_rightly(&self, payload: &[u8]) -> bool {
        match (self.track, payload) {
            (Track::Audio, [toc, ..]) => *toc == OPUS_TOC,
            (Track::Video, [first, _, _, _, rest @ ..]) => {
                let starts = first & 0x10 != 0;
                let inter = rest.first().is_some_and(|tag| tag & 1 != 0);
                starts == (self.part == 0) && (!starts || inter != self.keyframe)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use rtc::rtp::codec::vp8::Vp8Packet;
    use rtc::rtp::packetizer::Depacketizer;

    use super::*;

    #[test]
    fn every_payload_says_which_it_is() {
        let mut camera = Camera::new(500, 3);
        let mut number = 0;
        for frame in 0..5 {
            let keyframe = frame == 0 || frame == 3;
            let payloads = camera.frame(keyframe);
            assert_eq!(payloads.len(), if keyframe { 12 } else { 3 });
            for (part, payload) in payloads.iter().enumerate() {
                assert_eq!(payload.len(), 500);
                let stamp = Stamp::read(payload).expect("ours");
                assert_eq!((stamp.number, stamp.frame), (number, frame));
                assert_eq!(usize::from(stamp.part), part);
                assert_eq!(stamp.keyframe, keyframe);
                number += 1;
            }
        }
        assert_eq!(camera.packets(), number);
        let mut microphone = Microphone::default();
        microphone.frame();
        let stamp = Stamp::read(&microphone.frame()).expect("ours");
        assert_eq!((stamp.track, stamp.number), (Track::Audio, 1));
    }

    #[test]
    fn another_reader_of_vp8_agrees() {
        let mut camera = Camera::new(PAYLOAD_BYTES_MIN, 2);
        for keyframe in [true, false] {
            for (part, payload) in camera.frame(keyframe).iter().enumerate() {
                let mut packet = Vp8Packet::default();
                let frame = packet.depacketize(payload).expect("valid");
                assert_eq!(packet.s, u8::from(part == 0));
                assert_eq!(packet.picture_id, u16::from(!keyframe));
                if part == 0 {
                    assert_eq!(frame[0] & 1, u8::from(!keyframe), "inverse keyframe bit");
                }
            }
        }
    }

    #[test]
    fn a_changed_payload_is_seen() {
        let payload = Camera::new(200, 1).frame(true).remove(0);
        let mut unseen = Vec::new();
        for at in 0..payload.len() {
            let mut changed = payload.to_vec();
            changed[at] ^= 0x11;
            if Stamp::read(&changed) == Stamp::read(&payload) {
                unseen.push(at);
            }
        }
        // The picture id and what follows the first byte of the keyframe's header.
        assert_eq!(unseen, (1..4).chain(5..14).collect::<Vec<_>>());
        assert_eq!(Stamp::read(&payload[1..]), None);
        assert_eq!(Stamp::read(&[]), None);
    }
}
