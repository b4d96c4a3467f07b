//! What must hold between two steps, recounted from the rows. For tests and for the suite that
//! compares stores; too slow for production.

use std::collections::BTreeMap;

use vetrina_protocol::id::{ListingId, UserId};

use super::ShowStock;

impl ShowStock {
    /// Recounts everything that is kept twice.
    ///
    /// # Errors
    /// A sentence that says what does not add up.
    pub fn check(&self) -> Result<(), String> {
        self.check_counters()?;
        self.check_indexes()?;
        for (listing, stock) in &self.listings {
            let view = stock.view();
            let sum = u64::from(view.reserved) + u64::from(view.claimed);
            if sum + u64::from(view.available) != u64::from(view.total) {
                return Err(format!("{listing}: {view:?} does not add up"));
            }
            if view.paid > view.claimed {
                return Err(format!("{listing}: more paid than claimed in {view:?}"));
            }
            let mut last = 0;
            for row in stock.waitlist.rows() {
                if row.sequence <= last || row.listing != *listing {
                    return Err(format!("{listing}: {row:?} stands at the wrong place"));
                }
                last = row.sequence;
            }
        }
        Ok(())
    }

    fn check_counters(&self) -> Result<(), String> {
        let mut reserved: BTreeMap<ListingId, u32> = BTreeMap::new();
        let mut of_buyer: BTreeMap<(ListingId, UserId), u32> = BTreeMap::new();
        for row in self.reservations.values().filter(|row| row.seated) {
            *reserved.entry(row.listing).or_default() += row.quantity;
            *of_buyer.entry((row.listing, row.buyer)).or_default() += row.quantity;
        }
        for (listing, stock) in &self.listings {
            let counted = reserved.get(listing).copied().unwrap_or(0);
            if stock.reserved != counted {
                return Err(format!(
                    "{listing}: reserved is {}, rows {counted}",
                    stock.reserved
                ));
            }
            for (buyer, count) in &stock.buyers {
                let counted = of_buyer.remove(&(*listing, *buyer)).unwrap_or(0);
                if count.reserved != counted {
                    return Err(format!("{listing}, {buyer}: {count:?}, rows {counted}"));
                }
            }
        }
        match of_buyer.first_key_value() {
            Some(((listing, buyer), units)) => Err(format!(
                "{listing}, {buyer}: {units} units are counted nowhere"
            )),
            None => Ok(()),
        }
    }

    fn check_indexes(&self) -> Result<(), String> {
        let open = self
            .reservations
            .values()
            .filter(|row| row.is_open())
            .count();
        let indexed: usize = self
            .open_of
            .values()
            .map(std::collections::BTreeSet::len)
            .sum();
        if open != indexed || open != self.open_count || open != self.due.len() {
            let due = self.due.len();
            return Err(format!("{open} are open, {indexed} indexed, {due} due"));
        }
        for row in self.reservations.values() {
            if row.is_open() && !row.seated {
                return Err(format!("{} is open and not counted", row.id));
            }
            if let Some(due) = row.due_at()
                && !self.due.contains(&(due, row.id))
            {
                return Err(format!("{} is due and nobody will notice", row.id));
            }
        }
        Ok(())
    }
}
