//! Keyframe requests towards the publisher: merged, and rarely. Knows nothing of who asks.

use std::time::Instant;

use crate::limits;

/// The gate of one layer.
#[derive(Debug, Default)]
pub(crate) struct PliGate {
    wanted: bool,
    sent: Option<Instant>,
}

impl PliGate {
    /// Someone needs a keyframe.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
    }

    /// A keyframe came: whoever asked has it, or will ask again.
    pub(crate) fn satisfied(&mut self) {
        self.wanted = false;
    }

    /// Whether to send a request now; if so, it counts as sent.
    pub(crate) fn due(&mut self, now: Instant) -> bool {
        let rested = self
            .sent
            .is_none_or(|sent| now.duration_since(sent) >= limits::PLI_INTERVAL);
        let due = self.wanted && rested;
        if due {
            self.wanted = false;
            self.sent = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_requests_becomes_one_per_interval() {
        let (mut gate, start) = (PliGate::default(), Instant::now());
        let mut sent = 0;
        for step in 0..300 {
            gate.want();
            sent += usize::from(gate.due(start + step * limits::TICK));
        }
        assert_eq!(sent, 3, "three seconds");
    }

    #[test]
    fn nobody_asking_means_none() {
        let mut gate = PliGate::default();
        assert!(!gate.due(Instant::now()));
        gate.want();
        gate.satisfied();
        assert!(!gate.due(Instant::now()));
    }
}
