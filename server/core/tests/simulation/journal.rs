//! A model of the hot store's journal: what one command changed is written together and is durable
//! after a while; a crash loses a suffix.

use std::collections::{BTreeMap, VecDeque};

use vetrina_core::hot::HotChange;
use vetrina_core::reservation::ReservationRow;
use vetrina_core::waitlist::WaitlistRow;
use vetrina_protocol::id::{ListingId, ReservationId, UserId};
use vetrina_protocol::time::UnixMs;

use crate::dice::Dice;

/// How long a change may be on its way to the disk.
pub(crate) const LAG_MS: i64 = 50;

#[derive(Default)]
pub(crate) struct Journal {
    reservations: BTreeMap<ReservationId, ReservationRow>,
    waiting: BTreeMap<(ListingId, UserId), WaitlistRow>,
    on_the_way: VecDeque<(UnixMs, Vec<HotChange>)>,
}

impl Journal {
    pub(crate) fn write(&mut self, now: UnixMs, changes: Vec<HotChange>) {
        while self
            .on_the_way
            .front()
            .is_some_and(|(at, _)| now.since(*at) >= LAG_MS)
        {
            self.flush_one();
        }
        if !changes.is_empty() {
            self.on_the_way.push_back((now, changes));
        }
    }

    /// The machine dies: some of what was on its way arrives, the rest never does.
    pub(crate) fn crash(&mut self, now: UnixMs, dice: &mut Dice) {
        self.write(now, Vec::new());
        let arrives = dice.index(self.on_the_way.len() + 1);
        for _ in 0..arrives {
            self.flush_one();
        }
        self.on_the_way.clear();
    }

    pub(crate) fn reservations(&self) -> Vec<ReservationRow> {
        self.reservations.values().cloned().collect()
    }

    pub(crate) fn waiting(&self) -> Vec<WaitlistRow> {
        self.waiting.values().cloned().collect()
    }

    fn flush_one(&mut self) {
        let Some((_, changes)) = self.on_the_way.pop_front() else {
            return;
        };
        for change in changes {
            match change {
                HotChange::Reservation(row) => {
                    self.reservations.insert(row.id, *row);
                }
                HotChange::ReservationGone(id) => {
                    self.reservations.remove(&id);
                }
                HotChange::Waiting(row) => {
                    self.waiting.insert((row.listing, row.buyer), row);
                }
                HotChange::WaitingGone { listing, buyer } => {
                    self.waiting.remove(&(listing, buyer));
                }
            }
        }
    }
}
