//! The judge of crashes: what was told longer ago than the journal's lag must have come back.

use std::collections::BTreeMap;

use vetrina_core::reservation::ReservationRow;
use vetrina_core::waitlist::WaitlistRow;
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::ReservationState;

use super::{Oracle, Verdict, Waiter};
use crate::journal::LAG_MS;

/// How long a closed reservation's id repeats its answer.
const RETENTION_MS: i64 = 900_000;

impl Oracle {
    /// What a restart brought back: the journal's rows, before anything else happens.
    pub(crate) fn recovered(
        &mut self,
        now: UnixMs,
        crashed_at: UnixMs,
        rows: &[ReservationRow],
        waiting: &[WaitlistRow],
    ) -> Verdict {
        let may_be_lost = |changed_at: UnixMs| crashed_at.since(changed_at) < LAG_MS;
        let rows: BTreeMap<_, _> = rows.iter().map(|row| (row.id, row)).collect();
        let known: Vec<_> = self.told.keys().copied().collect();
        for id in known {
            let told = &self.told[&id];
            let open = told.is_open();
            let (state, expires_at) = match rows.get(&id) {
                _ if told.order.is_some() => (ReservationState::Claimed, told.expires_at),
                Some(row) => (row.state, row.expires_at),
                None if open => (ReservationState::Expired, told.expires_at),
                None => (told.state, told.expires_at),
            };
            let same = (state, expires_at) == (told.state, told.expires_at);
            claim!(
                same || told.order.is_some() || may_be_lost(told.changed_at),
                "{id} was {:?} for long, and after the crash it is {state:?}",
                told.state
            );
            let remembered = told.lost
                || rows.contains_key(&id)
                || (!told.is_open() && now.since(told.changed_at) >= RETENTION_MS);
            claim!(
                remembered || told.order.is_some() || may_be_lost(told.changed_at),
                "{id} was {:?}, and the crash forgot it",
                told.state
            );
            if !same {
                self.set(now, id, state, expires_at);
            }
            if let Some(told) = self.told.get_mut(&id) {
                told.lost = !rows.contains_key(&id);
            }
        }
        self.recovered_queues(may_be_lost, waiting)
    }

    fn recovered_queues(
        &mut self,
        may_be_lost: impl Fn(UnixMs) -> bool,
        waiting: &[WaitlistRow],
    ) -> Verdict {
        let mut rows: Vec<_> = waiting.iter().collect();
        rows.sort_by_key(|row| (row.listing, row.sequence));
        for (listing, queue) in &mut self.queues {
            let back: Vec<_> = rows.iter().filter(|row| row.listing == *listing).collect();
            let mut after = Vec::new();
            for row in &back {
                let before = queue.iter().find(|waiter| waiter.buyer == row.buyer);
                let departure = self.departed.get(&(*listing, row.buyer));
                claim!(
                    before.is_some() || departure.is_some_and(|left| may_be_lost(left.at)),
                    "{} is back in a queue it had left for long",
                    row.buyer
                );
                let joined_at = before.map_or(UnixMs(0), |waiter| waiter.joined_at);
                let (buyer, quantity) = (row.buyer, row.quantity);
                after.push(Waiter {
                    buyer,
                    quantity,
                    joined_at,
                });
            }
            let place = |buyer| after.iter().position(|waiter| waiter.buyer == buyer);
            let kept: Vec<_> = queue
                .iter()
                .filter_map(|waiter| place(waiter.buyer))
                .collect();
            claim!(
                kept.is_sorted(),
                "the queue for {listing} was shuffled by the crash"
            );
            let lost = queue
                .iter()
                .find(|waiter| place(waiter.buyer).is_none() && !may_be_lost(waiter.joined_at));
            claim!(
                lost.is_none(),
                "a queue lost a buyer who had waited for long"
            );
            *queue = after;
        }
        Ok(())
    }
}
