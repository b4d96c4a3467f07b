//! Whether one client was told everything once and in order. It knows positions only.

/// Where one client stands in the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Follow {
    /// Of the log; positions of two epochs cannot be compared.
    pub(crate) epoch: u64,
    /// The last position told; none before the first.
    pub(crate) last: Option<u64>,
}

/// How a stretch `[from, to]` follows what was told before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// At once.
    Next,
    /// So many positions were left out.
    Gap(u64),
    /// So many were told before: a duplicate, or a step back.
    Again(u64),
}

impl Follow {
    /// Takes the stretch that comes next.
    pub(crate) fn take(&mut self, from: u64, to: u64) -> Step {
        let Some(last) = self.last else {
            self.last = Some(to);
            return Step::Next;
        };
        self.last = Some(to.max(last));
        match from.cmp(&(last + 1)) {
            std::cmp::Ordering::Equal => Step::Next,
            std::cmp::Ordering::Greater => Step::Gap(from - last - 1),
            std::cmp::Ordering::Less => Step::Again(last - from + 1),
        }
    }

    /// A session begins that continues from where the client was.
    pub(crate) fn resume(&mut self, epoch: u64, offset: u64) -> Step {
        let step = match self.last {
            None => Step::Next,
            // What was told under an older epoch up to `offset` is still so.
            Some(last) => match offset.cmp(&last) {
                std::cmp::Ordering::Equal => Step::Next,
                std::cmp::Ordering::Greater => Step::Gap(offset - last),
                std::cmp::Ordering::Less => Step::Again(last - offset),
            },
        };
        self.restart(epoch, offset);
        step
    }

    /// A session begins with the whole state at `offset`: what was before does not count.
    pub(crate) fn restart(&mut self, epoch: u64, offset: u64) {
        self.epoch = epoch;
        self.last = Some(offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_repetitions_are_seen() {
        let mut follow = Follow::default();
        follow.restart(1, 10);
        assert_eq!(follow.take(11, 13), Step::Next);
        assert_eq!(follow.take(14, 14), Step::Next);
        assert_eq!(follow.take(17, 18), Step::Gap(2), "15 and 16");
        assert_eq!(follow.take(18, 19), Step::Again(1), "18");
        assert_eq!(follow.take(12, 12), Step::Again(8), "a step back");
        assert_eq!(
            follow.take(20, 20),
            Step::Next,
            "the step back moved nothing"
        );
    }

    #[test]
    fn the_first_stretch_of_a_peer_is_wherever_it_is() {
        let mut follow = Follow::default();
        assert_eq!(follow.take(400, 400), Step::Next);
        assert_eq!(follow.take(402, 402), Step::Gap(1));
    }

    #[test]
    fn a_resume_must_continue_where_the_client_was() {
        let mut follow = Follow::default();
        follow.restart(1, 10);
        assert_eq!(follow.resume(1, 10), Step::Next);
        assert_eq!(follow.resume(2, 12), Step::Gap(2));
        assert_eq!(follow.take(13, 13), Step::Next);
        assert_eq!(follow.resume(2, 11), Step::Again(2));
    }
}
