//! Reception figures of one source of the publisher, for receiver reports and for the studio.

use std::time::{Duration, Instant};

use super::rtcp::Reception;

/// Counts arrivals as RFC 3550, appendix A, wants them.
#[derive(Debug)]
pub(crate) struct Receiver {
    source: u32,
    rate: u32,
    first: u64,
    highest: u64,
    received: u64,
    reported: (u64, u64),
    transit: Option<i64>,
    jitter: f64,
    epoch: Instant,
    report: Option<(u32, Instant)>,
}

impl Receiver {
    pub(crate) fn new(source: u32, rate: u32, sequence: u64, now: Instant) -> Self {
        Self {
            source,
            rate,
            first: sequence,
            highest: sequence,
            received: 0,
            reported: (0, 0),
            transit: None,
            jitter: 0.0,
            epoch: now,
            report: None,
        }
    }

    pub(crate) fn arrived(&mut self, sequence: u64, timestamp: u32, now: Instant) {
        self.received += 1;
        self.first = self.first.min(sequence);
        self.highest = self.highest.max(sequence);
        let micros = now.duration_since(self.epoch).as_micros() as i64;
        let arrival = micros * i64::from(self.rate) / 1_000_000;
        let transit = arrival - i64::from(timestamp);
        if let Some(before) = self.transit {
            // A wrapped timestamp or a jump is not jitter.
            let difference = (transit - before).abs();
            if difference < 10 * i64::from(self.rate) {
                self.jitter += (difference as f64 - self.jitter) / 16.0;
            }
        }
        self.transit = Some(transit);
    }

    /// The publisher's sender report arrived; the next report refers to it.
    pub(crate) fn reported(&mut self, ntp: u64, now: Instant) {
        self.report = Some(((ntp >> 16) as u32, now));
    }

    pub(crate) fn reception(&mut self, now: Instant) -> Reception {
        let expected = self.highest - self.first + 1;
        let (expected_before, received_before) = self.reported;
        self.reported = (expected, self.received);
        let expected_now = expected.saturating_sub(expected_before);
        let lost_now = expected_now.saturating_sub(self.received - received_before);
        let fraction = (lost_now * 256)
            .checked_div(expected_now)
            .unwrap_or(0)
            .min(255);
        let (last_report, delay) = self.report.map_or((0, 0), |(last, at)| {
            (last, to_compact(now.duration_since(at)))
        });
        Reception {
            source: self.source,
            fraction_lost: fraction as u8,
            lost: (expected.cast_signed() - self.received.cast_signed()) as i32,
            highest: self.highest as u32,
            jitter: self.jitter as u32,
            last_report,
            delay,
        }
    }
}

/// A duration in units of 1/65536 s.
fn to_compact(duration: Duration) -> u32 {
    (duration.as_micros() * 65_536 / 1_000_000) as u32
}

/// The round trip that a reception report or reference answer reveals (RFC 3550, 6.4.1).
pub(crate) fn round_trip(now_ntp: u64, last_report: u32, delay: u32) -> Option<Duration> {
    if last_report == 0 {
        return None;
    }
    let trip = ((now_ntp >> 16) as u32)
        .wrapping_sub(last_report)
        .wrapping_sub(delay);
    // Half the range is a clock that lies.
    (trip < 1 << 22).then(|| Duration::from_micros(u64::from(trip) * 1_000_000 / 65_536))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_counted_per_report_and_in_total() {
        let start = Instant::now();
        let mut receiver = Receiver::new(5, 90_000, 100, start);
        for sequence in 100..110 {
            receiver.arrived(sequence, 0, start);
        }
        assert_eq!(receiver.reception(start).fraction_lost, 0);
        for sequence in [110, 112, 113, 115] {
            receiver.arrived(sequence, 0, start);
        }
        let reception = receiver.reception(start);
        assert_eq!(
            (reception.fraction_lost, reception.lost),
            (85, 2),
            "two of six"
        );
        assert_eq!(reception.highest, 115);
        assert_eq!(receiver.reception(start).fraction_lost, 0);
    }

    #[test]
    fn an_even_stream_has_no_jitter() {
        let start = Instant::now();
        let mut receiver = Receiver::new(5, 90_000, 1, start);
        for frame in 0..100_u32 {
            let now = start + Duration::from_millis(u64::from(frame) * 20);
            receiver.arrived(u64::from(frame) + 1, frame * 1_800, now);
        }
        assert_eq!(receiver.reception(start + Duration::from_secs(2)).jitter, 0);
    }

    #[test]
    fn the_round_trip_is_what_is_left_of_the_time() {
        let sent = 1_000_u64 << 32;
        let now = sent + (1 << 31);
        let trip = round_trip(now, (sent >> 16) as u32, 65_536 / 4).expect("plausible");
        assert_eq!(trip, Duration::from_millis(250));
        assert_eq!(round_trip(now, 0, 0), None);
        assert_eq!(
            round_trip(sent, (now >> 16) as u32, 0),
            None,
            "from the future"
        );
    }
}
