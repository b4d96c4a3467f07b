//! Transport-wide congestion feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01): when
//! which packet of the publisher arrived. Its bandwidth estimate, and so the picture, depend on it.

use std::time::Instant;

use super::sequence::Sequences;
use crate::limits;

/// Unit of the reference time: 64 ms. Unit of a delta: 250 us.
const REFERENCE_US: i64 = 64_000;
const DELTA_US: i64 = 250;

/// Notes arrivals and turns them into feedback.
#[derive(Debug)]
pub(crate) struct Arrivals {
    epoch: Instant,
    sequences: Sequences,
    /// Extended number and arrival in microseconds since `epoch`, in order of arrival.
    pending: Vec<(u64, i64)>,
    /// The first number the next feedback reports, so that losses between two are seen.
    next: Option<u64>,
    count: u8,
    sent: Instant,
}

impl Arrivals {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            sequences: Sequences::default(),
            pending: Vec::new(),
            next: None,
            count: 0,
            sent: now,
        }
    }

    pub(crate) fn note(&mut self, number: u16, now: Instant) {
        let sequence = self.sequences.extend(number);
        if self.pending.len() < limits::TWCC_ARRIVALS {
            let since = now.duration_since(self.epoch).as_micros();
            self.pending.push((sequence, since as i64));
        }
    }

    /// The feedback to send now, if it is time: the part after the media source.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Vec<u8>> {
        let rested = now.duration_since(self.sent) >= limits::TWCC_INTERVAL;
        let full = self.pending.len() >= limits::TWCC_ARRIVALS / 2;
        if self.pending.is_empty() || !(rested || full) {
            return None;
        }
        self.sent = now;
        self.pending.sort_unstable_by_key(|(sequence, _)| *sequence);
        self.pending.dedup_by_key(|(sequence, _)| *sequence);
        let (first, last) = (self.pending[0].0, self.pending[self.pending.len() - 1].0);
        let mut begin = self.next.map_or(first, |next| next.min(first));
        if last - begin >= u64::from(limits::TWCC_SPAN) {
            begin = first.max(last.saturating_sub(u64::from(limits::TWCC_SPAN) - 1));
            self.pending.retain(|(sequence, _)| *sequence >= begin);
        }
        self.next = Some(last + 1);
        let body = self.write(begin, last);
        self.pending.clear();
        self.count = self.count.wrapping_add(1);
        Some(body)
    }

    /// One symbol per packet: 0 lost, 1 small delta, 2 large or negative delta; then the deltas.
    fn write(&self, begin: u64, last: u64) -> Vec<u8> {
        let reference = self.pending[0].1.div_euclid(REFERENCE_US);
        let mut clock = reference * REFERENCE_US;
        let count = (last - begin + 1) as u16;
        let mut symbols = vec![0_u8; usize::from(count)];
        let mut deltas = Vec::with_capacity(self.pending.len() + 8);
        for (sequence, arrival) in &self.pending {
            let delta = (arrival - clock).div_euclid(DELTA_US);
            let at = (sequence - begin) as usize;
            if let Ok(small) = u8::try_from(delta) {
                symbols[at] = 1;
                deltas.push(small);
            } else if let Ok(large) = i16::try_from(delta) {
                symbols[at] = 2;
                deltas.extend_from_slice(&large.to_be_bytes());
            } else {
                // Eight seconds off: as good as lost.
                continue;
            }
            clock += delta * DELTA_US;
        }
        let mut body = Vec::with_capacity(16 + 2 * symbols.len() / 7 + deltas.len());
        body.extend_from_slice(&(begin as u16).to_be_bytes());
        body.extend_from_slice(&count.to_be_bytes());
        body.extend_from_slice(&(reference as u32).to_be_bytes()[1..]);
        body.push(self.count);
        for seven in symbols.chunks(7) {
            // A status vector of two-bit symbols.
            let mut chunk = 0b11 << 14;
            for (at, symbol) in seven.iter().enumerate() {
                chunk |= u16::from(*symbol) << (12 - 2 * at);
            }
            body.extend_from_slice(&chunk.to_be_bytes());
        }
        body.extend_from_slice(&deltas);
        body
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use rtc_rtcp::packet::unmarshal;
    use rtc_rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;

    use super::*;
    use crate::forward::rtcp::Compound;

    fn decode(body: &[u8]) -> TransportLayerCc {
        let mut compound = Compound::default();
        compound.transport_wide(1, 2, body);
        let mut bytes = Bytes::copy_from_slice(compound.as_bytes());
        let packets = unmarshal(&mut bytes).expect("well formed");
        packets[0]
            .as_any()
            .downcast_ref::<TransportLayerCc>()
            .expect("feedback")
            .clone()
    }

    #[test]
    fn another_implementation_reads_the_arrivals() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        let at = |ms| start + Duration::from_millis(ms);
        for (number, ms) in [(65_533, 100), (65_534, 101), (0, 130), (3, 125), (4, 400)] {
            arrivals.note(number, at(ms));
        }
        let feedback = decode(&arrivals.due(at(400)).expect("due"));
        assert_eq!(
            (feedback.base_sequence_number, feedback.packet_status_count),
            (65_533, 8)
        );
        assert_eq!(feedback.reference_time, 1, "64 ms");
        let deltas: Vec<i64> = feedback
            .recv_deltas
            .iter()
            .map(|delta| delta.delta / DELTA_US)
            .collect();
        assert_eq!(deltas, [144, 4, 116, -20, 1_100]);
    }

    #[test]
    fn packets_lost_between_two_feedbacks_are_reported() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        arrivals.note(10, start);
        assert!(arrivals.due(start).is_none(), "too early");
        arrivals.due(start + limits::TWCC_INTERVAL).expect("due");
        arrivals.note(14, start + limits::TWCC_INTERVAL);
        let feedback = decode(
            &arrivals
                .due(start + 2 * limits::TWCC_INTERVAL)
                .expect("due"),
        );
        assert_eq!(
            (feedback.base_sequence_number, feedback.packet_status_count),
            (11, 4)
        );
        assert_eq!(feedback.fb_pkt_count, 1);
    }

    #[test]
    fn a_leap_of_the_numbers_is_bounded() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        arrivals.note(1, start);
        arrivals.note(30_000, start);
        let body = arrivals.due(start + limits::TWCC_INTERVAL).expect("due");
        assert!(body.len() < 1_200);
        assert!(decode(&body).packet_status_count <= limits::TWCC_SPAN);
    }
}
