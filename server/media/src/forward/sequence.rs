//! Sequence numbers and timestamps without wrap-around. Knows nothing of packets.

/// Extends 16-bit sequence numbers to 64 bits by the nearest-neighbour rule of RFC 3550.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sequences {
    highest: Option<u64>,
}

impl Sequences {
    /// The first number lands in the second cycle, so that late ones before it stay positive.
    pub(crate) fn extend(&mut self, number: u16) -> u64 {
        let Some(highest) = self.highest else {
            let first = (1 << 16) + u64::from(number);
            self.highest = Some(first);
            return first;
        };
        let extended = near(highest, number);
        self.highest = Some(highest.max(extended));
        extended
    }

    pub(crate) fn highest(&self) -> Option<u64> {
        self.highest
    }
}

/// The number nearest to `reference` whose low 16 bits are `number`.
pub(crate) fn near(reference: u64, number: u16) -> u64 {
    let forward = number.wrapping_sub(reference as u16).cast_signed();
    reference.saturating_add_signed(i64::from(forward))
}

/// Extends 32-bit RTP timestamps in the same way.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timestamps {
    latest: Option<i64>,
}

impl Timestamps {
    pub(crate) fn extend(&mut self, timestamp: u32) -> i64 {
        let extended = self.peek(timestamp);
        self.latest = Some(self.latest.map_or(extended, |latest| latest.max(extended)));
        extended
    }

    /// As [`Self::extend`], leaving the state as it is.
    pub(crate) fn peek(&self, timestamp: u32) -> i64 {
        let Some(latest) = self.latest else {
            return i64::from(timestamp);
        };
        latest + i64::from(timestamp.wrapping_sub(latest as u32).cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_wrap_around_both_ways() {
        let mut sequences = Sequences::default();
        assert_eq!(sequences.extend(65_534), 131_070);
        assert_eq!(sequences.extend(1), 131_073);
        assert_eq!(
            sequences.extend(65_535),
            131_071,
            "late, from before the wrap"
        );
        assert_eq!(sequences.highest(), Some(131_073));
    }

    #[test]
    fn a_number_before_the_first_is_not_negative() {
        let mut sequences = Sequences::default();
        assert_eq!(sequences.extend(0), 65_536);
        assert_eq!(sequences.extend(65_535), 65_535);
    }

    proptest! {
        #[test]
        fn any_walk_of_small_steps_is_followed(
            start: u16, steps in prop::collection::vec(-200_i64..400, 1..500),
        ) {
            let mut sequences = Sequences::default();
            let mut truth = sequences.extend(start).cast_signed();
            for step in steps {
                let next = (truth + step).max(0);
                prop_assert_eq!(sequences.extend(next as u16).cast_signed(), next);
                truth = sequences.highest().expect("extended").cast_signed();
            }
        }

        #[test]
        fn timestamps_follow_any_walk(
            start: u32,
            steps in prop::collection::vec(0_i64..900_000, 1..200),
        ) {
            let mut timestamps = Timestamps::default();
            let mut truth = timestamps.extend(start);
            for step in steps {
                truth += step;
                prop_assert_eq!(timestamps.extend(truth as u32), truth);
            }
        }
    }
}
