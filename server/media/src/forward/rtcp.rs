//! RTCP (RFC 3550, 3611, 4585, 5104), read in place and written into one compound per send.
//!
//! Only what the engine uses is understood; the rest is skipped. Every length is checked, and
//! nothing is allocated for what a peer sends.

/// One statement of a received compound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Statement<'a> {
    /// The sender of media states its clocks.
    SenderReport { source: u32, ntp: u64, rtp: u32 },
    /// How a receiver sees one source.
    Reception(Reception),
    /// Packets of `source` to send again: pairs of a first number and a bit mask.
    Nack { source: u32, pairs: &'a [u8] },
    /// A keyframe of `source` is needed (PLI).
    PictureLoss { source: u32 },
    /// A keyframe is needed (FIR); entries of 8 bytes begin with the source.
    FullIntra { entries: &'a [u8] },
    /// Answer to a receiver reference time (RFC 3611): for the round trip of a mere receiver.
    ReferenceAnswer { last: u32, delay: u32 },
}

/// A reception report block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reception {
    pub(crate) source: u32,
    /// In units of 1/256.
    pub(crate) fraction_lost: u8,
    /// 24 bits, signed.
    pub(crate) lost: i32,
    pub(crate) highest: u32,
    pub(crate) jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report; 0 without one.
    pub(crate) last_report: u32,
    /// Time since it arrived, in units of 1/65536 s.
    pub(crate) delay: u32,
}

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
const EXTENDED_REPORT: u8 = 207;

const BLOCK_BYTES: usize = 24;

/// Calls `each` for every statement; stops quietly at the first malformed packet.
pub(crate) fn read<'a>(compound: &'a [u8], mut each: impl FnMut(Statement<'a>)) {
    let mut rest = compound;
    while let [first, kind, high, low, ..] = *rest {
        let length = 4 * (1 + usize::from(u16::from_be_bytes([high, low])));
        let Some(packet) = rest.get(..length).filter(|_| first >> 6 == 2) else {
            return;
        };
        read_one(first & 0x1f, kind, &packet[4..], &mut each);
        rest = &rest[length..];
    }
}

fn read_one<'a>(count: u8, kind: u8, body: &'a [u8], each: &mut impl FnMut(Statement<'a>)) {
    match (kind, count) {
        (SENDER_REPORT, _) => {
            let (Some(source), Some(rtp)) = (word(body, 0), word(body, 12)) else {
                return;
            };
            let (Some(high), Some(low)) = (word(body, 4), word(body, 8)) else {
                return;
            };
            let ntp = (u64::from(high) << 32) | u64::from(low);
            each(Statement::SenderReport { source, ntp, rtp });
            read_blocks(count, body.get(24..), each);
        }
        (RECEIVER_REPORT, _) => read_blocks(count, body.get(4..), each),
        (TRANSPORT_FEEDBACK, 1) => {
            if let (Some(source), Some(pairs)) = (word(body, 4), body.get(8..)) {
                each(Statement::Nack { source, pairs });
            }
        }
        (PAYLOAD_FEEDBACK, 1) => {
            if let Some(source) = word(body, 4) {
                each(Statement::PictureLoss { source });
            }
        }
        (PAYLOAD_FEEDBACK, 4) => {
            if let Some(entries) = body.get(8..) {
                each(Statement::FullIntra { entries });
            }
        }
        (EXTENDED_REPORT, _) => read_extended(body.get(4..).unwrap_or(&[]), each),
        _ => {}
    }
}

fn read_blocks<'a>(count: u8, blocks: Option<&'a [u8]>, each: &mut impl FnMut(Statement<'a>)) {
    let blocks = blocks.unwrap_or(&[]).chunks_exact(BLOCK_BYTES);
    for block in blocks.take(usize::from(count)) {
        let at = |offset| word(block, offset).unwrap_or(0);
        each(Statement::Reception(Reception {
            source: at(0),
            fraction_lost: block[4],
            lost: ((at(4) << 8).cast_signed()) >> 8,
            highest: at(8),
            jitter: at(12),
            last_report: at(16),
            delay: at(20),
        }));
    }
}

fn read_extended<'a>(mut blocks: &'a [u8], each: &mut impl FnMut(Statement<'a>)) {
    while let [kind, _, high, low, ..] = *blocks {
        let length = 4 * (1 + usize::from(u16::from_be_bytes([high, low])));
        let Some(block) = blocks.get(..length) else {
            return;
        };
        if kind == 5 {
            for answer in block[4..].chunks_exact(12) {
                let (last, delay) = (word(answer, 4).unwrap_or(0), word(answer, 8).unwrap_or(0));
                each(Statement::ReferenceAnswer { last, delay });
            }
        }
        blocks = &blocks[length..];
    }
}

/// The sequence numbers of a NACK, in order; at most 17 per pair.
pub(crate) fn nacked(pairs: &[u8]) -> impl Iterator<Item = u16> + '_ {
    pairs.chunks_exact(4).flat_map(|pair| {
        let first = u16::from_be_bytes([pair[0], pair[1]]);
        let mask = u16::from_be_bytes([pair[2], pair[3]]);
        let more = (0..16).filter(move |bit| mask & (1 << bit) != 0);
        std::iter::once(first).chain(more.map(move |bit| first.wrapping_add(bit + 1)))
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at + 4)?
        .try_into()
        .ok()
        .map(u32::from_be_bytes)
}

/// A compound being written. It begins with a report, as RFC 3550 demands.
#[derive(Debug, Default)]
pub(crate) struct Compound {
    bytes: Vec<u8>,
}

/// What a sender report states.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SenderReport {
    pub(crate) source: u32,
    pub(crate) ntp: u64,
    pub(crate) rtp: u32,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

impl Compound {
    /// Begins with a receiver report; at most 31 blocks fit, more are left out.
    pub(crate) fn with_receptions(sender: u32, receptions: &[Reception]) -> Self {
        let mut compound = Self::default();
        let receptions = &receptions[..receptions.len().min(31)];
        compound.packet(receptions.len() as u8, RECEIVER_REPORT, |bytes| {
            bytes.extend_from_slice(&sender.to_be_bytes());
            for block in receptions {
                let lost = block.lost.clamp(-0x80_0000, 0x7f_ffff).cast_unsigned() & 0xff_ffff;
                let loss = (u32::from(block.fraction_lost) << 24) | lost;
                for value in [
                    block.source,
                    loss,
                    block.highest,
                    block.jitter,
                    block.last_report,
                    block.delay,
                ] {
                    bytes.extend_from_slice(&value.to_be_bytes());
                }
            }
        });
        compound
    }

    /// Begins with a sender report.
    pub(crate) fn with_sender_report(report: SenderReport) -> Self {
        let mut compound = Self::default();
        compound.packet(0, SENDER_REPORT, |bytes| {
            bytes.extend_from_slice(&report.source.to_be_bytes());
            bytes.extend_from_slice(&report.ntp.to_be_bytes());
            for value in [report.rtp, report.packets, report.octets] {
                bytes.extend_from_slice(&value.to_be_bytes());
            }
        });
        compound
    }

    /// Names a source, so that audio and video are known to belong together.
    pub(crate) fn describe(&mut self, source: u32, cname: &str) {
        self.packet(1, DESCRIPTION, |bytes| {
            bytes.extend_from_slice(&source.to_be_bytes());
            bytes.extend_from_slice(&[1, cname.len() as u8]);
            bytes.extend_from_slice(cname.as_bytes());
            let padding = 4 - bytes.len() % 4;
            bytes.resize(bytes.len() + padding, 0);
        });
    }

    /// Asks for packets again; `sequences` ascend.
    pub(crate) fn nack(&mut self, sender: u32, source: u32, sequences: &[u16]) {
        self.packet(1, TRANSPORT_FEEDBACK, |bytes| {
            bytes.extend_from_slice(&sender.to_be_bytes());
            bytes.extend_from_slice(&source.to_be_bytes());
            let mut rest = sequences;
            while let [first, after @ ..] = rest {
                let mut mask = 0_u16;
                let near = |sequence: &u16| (1..=16).contains(&sequence.wrapping_sub(*first));
                let count = after.iter().take_while(|sequence| near(sequence)).count();
                for sequence in &after[..count] {
                    mask |= 1 << (sequence.wrapping_sub(*first) - 1);
                }
                bytes.extend_from_slice(&first.to_be_bytes());
                bytes.extend_from_slice(&mask.to_be_bytes());
                rest = &after[count..];
            }
        });
    }

    /// Asks for a keyframe.
    pub(crate) fn picture_loss(&mut self, sender: u32, source: u32) {
        self.packet(1, PAYLOAD_FEEDBACK, |bytes| {
            bytes.extend_from_slice(&sender.to_be_bytes());
            bytes.extend_from_slice(&source.to_be_bytes());
        });
    }

    /// States this receiver's time, to be answered by [`Statement::ReferenceAnswer`].
    pub(crate) fn reference_time(&mut self, sender: u32, ntp: u64) {
        self.packet(0, EXTENDED_REPORT, |bytes| {
            bytes.extend_from_slice(&sender.to_be_bytes());
            bytes.extend_from_slice(&[4, 0, 0, 2]);
            bytes.extend_from_slice(&ntp.to_be_bytes());
        });
    }

    /// Appends transport-wide feedback (`body` as written by `twcc`).
    pub(crate) fn transport_wide(&mut self, sender: u32, source: u32, body: &[u8]) {
        self.packet(15, TRANSPORT_FEEDBACK, |bytes| {
            bytes.extend_from_slice(&sender.to_be_bytes());
            bytes.extend_from_slice(&source.to_be_bytes());
            bytes.extend_from_slice(body);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        });
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends one packet; `body` must leave a multiple of four bytes.
    fn packet(&mut self, count: u8, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
        let mut content = Vec::with_capacity(64);
        body(&mut content);
        let words = (content.len() / 4) as u16;
        self.bytes.extend_from_slice(&[0x80 | count, kind]);
        self.bytes.extend_from_slice(&words.to_be_bytes());
        self.bytes.extend_from_slice(&content);
    }
}

#[cfg(test)]
#[path = "rtcp_tests.rs"]
mod tests;
