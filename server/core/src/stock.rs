//! The counters of one listing, and how much of the seller's inventory a show may be given. It
//! refuses to know reservations one by one.

use std::collections::BTreeMap;

use vetrina_protocol::id::UserId;
use vetrina_protocol::money::Money;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::Stock;

use crate::hot::{HotRefusal, Mirror};
use crate::limits::{BUYERS_PER_LISTING_MAX, STOCK_TOTAL_MAX};
use crate::refused::Refused;
use crate::waitlist::Waitlist;

/// Units of one listing: what the ledger last said, what reservations put aside, and who has how
/// many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListingStock {
    pub(crate) total: u32,
    pub(crate) claimed: u32,
    pub(crate) paid: u32,
    pub(crate) per_buyer: u32,
    pub(crate) unit_price: Money,
    pub(crate) version: u64,
    pub(crate) reserved: u32,
    /// A lower total that is on its way to the ledger, and until when it is believed.
    pub(crate) fence: Option<TotalFence>,
    pub(crate) buyers: BTreeMap<UserId, BuyerCount>,
    pub(crate) waitlist: Waitlist,
    /// What the show's log was last told.
    pub(crate) told: Option<Stock>,
}

/// See [`crate::hot::HotCommand::FenceTotal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TotalFence {
    pub(crate) total: u32,
    pub(crate) until: UnixMs,
}

/// Units of one buyer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BuyerCount {
    pub(crate) reserved: u32,
    pub(crate) owned: u32,
    /// Of the mirror that said so. Kept at zero units too, or an older mirror would count again.
    pub(crate) version: u64,
}

impl ListingStock {
    pub(crate) fn new(mirror: &Mirror) -> Self {
        Self {
            total: mirror.total,
            claimed: mirror.claimed,
            paid: mirror.paid,
            per_buyer: mirror.per_buyer,
            unit_price: mirror.unit_price,
            version: mirror.version,
            reserved: 0,
            fence: None,
            buyers: BTreeMap::new(),
            waitlist: Waitlist::default(),
            told: None,
        }
    }

    /// Takes what the mirror knows better.
    pub(crate) fn take_mirror(&mut self, mirror: &Mirror) {
        if mirror.version > self.version {
            self.total = mirror.total;
            self.claimed = mirror.claimed;
            self.paid = mirror.paid;
            self.per_buyer = mirror.per_buyer;
            self.unit_price = mirror.unit_price;
            self.version = mirror.version;
            // A newer version may be of a claim just before the total was written: only the total
            // itself ends its fence early.
            self.fence = self.fence.filter(|fence| mirror.total > fence.total);
        }
        for entry in &mirror.buyer_units {
            let count = self.buyers.entry(entry.buyer).or_default();
            if mirror.version >= count.version {
                count.owned = entry.units;
                count.version = mirror.version;
            }
        }
        if self.buyers.len() > BUYERS_PER_LISTING_MAX {
            self.buyers
                .retain(|_, count| count.reserved > 0 || count.owned > 0);
        }
    }

    /// Units promised or put aside. May exceed the total, see [`Self::view`].
    pub(crate) fn committed(&self) -> u64 {
        u64::from(self.reserved) + u64::from(self.claimed)
    }

    /// The total that may be granted against.
    pub(crate) fn total_now(&self) -> u32 {
        self.fence
            .map_or(self.total, |fence| fence.total.min(self.total))
    }

    /// Free units.
    pub(crate) fn available(&self) -> u32 {
        let free = u64::from(self.total_now()).saturating_sub(self.committed());
        u32::try_from(free).unwrap_or(u32::MAX)
    }

    /// Reserved and owned units of one buyer.
    pub(crate) fn units_of(&self, buyer: UserId) -> u32 {
        self.buyers
            .get(&buyer)
            .map_or(0, |count| count.reserved.saturating_add(count.owned))
    }

    pub(crate) fn seat(&mut self, buyer: UserId, quantity: u32) {
        self.reserved = self.reserved.saturating_add(quantity);
        let count = self.buyers.entry(buyer).or_default();
        count.reserved = count.reserved.saturating_add(quantity);
    }

    pub(crate) fn unseat(&mut self, buyer: UserId, quantity: u32) {
        self.reserved = self.reserved.saturating_sub(quantity);
        let count = self.buyers.entry(buyer).or_default();
        count.reserved = count.reserved.saturating_sub(quantity);
        if *count == BuyerCount::default() {
            self.buyers.remove(&buyer);
        }
    }

    /// As everybody sees it. `reserved + claimed + available = total` always holds here: should
    /// reservations ever outnumber the units (a loss of the hot store, a fence that passed while
    /// the ledger claimed), only those with a unit behind them are shown, and none is available.
    pub(crate) fn view(&self) -> Stock {
        let total = self.total_now().max(self.claimed);
        let reserved = self.reserved.min(total - self.claimed);
        Stock {
            total,
            reserved,
            claimed: self.claimed,
            paid: self.paid.min(self.claimed),
            available: total - self.claimed - reserved,
            waiting: u32::try_from(self.waitlist.len()).unwrap_or(u32::MAX),
        }
    }
}

/// Whether a listing may have this total.
///
/// # Errors
/// `below_committed` below reserved + claimed, `invalid` beyond [`STOCK_TOTAL_MAX`].
pub fn can_set_total(stock: &Stock, total: u32) -> Result<(), Refused> {
    if total > STOCK_TOTAL_MAX {
        return Err(Refused::new(
            RefusalCode::Invalid,
            format!("total: must be from 0 to {STOCK_TOTAL_MAX}, not {total}"),
        ));
    }
    refuse_total(u64::from(stock.reserved) + u64::from(stock.claimed), total)
}

pub(crate) fn refuse_total(committed: u64, total: u32) -> Result<(), Refused> {
    if u64::from(total) < committed {
        return Err(HotRefusal::BelowCommitted { committed }.into());
    }
    Ok(())
}

/// How many units of a sku are given to shows once this show's part goes from `given` to `wanted`.
///
/// # Errors
/// `inventory_short` when the seller does not own as many.
pub fn allocate(inventory: u32, allocated: u32, given: u32, wanted: u32) -> Result<u32, Refused> {
    let elsewhere = allocated.saturating_sub(given);
    match elsewhere.checked_add(wanted) {
        Some(allocated) if allocated <= inventory => Ok(allocated),
        _ => {
            let left = inventory.saturating_sub(elsewhere);
            Err(Refused::new(
                RefusalCode::InventoryShort,
                format!("total: the seller has {left} units to give to this show; ask for fewer"),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_covers_what_is_reserved_and_sold() {
        let stock = Stock {
            total: 10,
            reserved: 2,
            claimed: 3,
            paid: 1,
            available: 5,
            waiting: 0,
        };
        assert!(can_set_total(&stock, 5).is_ok());
        assert_eq!(
            can_set_total(&stock, 4).unwrap_err().code,
            RefusalCode::BelowCommitted
        );
        let beyond = can_set_total(&stock, STOCK_TOTAL_MAX + 1).unwrap_err();
        assert_eq!(beyond.code, RefusalCode::Invalid);
    }

    #[test]
    fn two_shows_do_not_sell_the_same_vase() {
        assert_eq!(allocate(10, 0, 0, 10), Ok(10));
        assert_eq!(allocate(10, 10, 4, 4), Ok(10), "no change");
        assert_eq!(allocate(10, 10, 4, 1), Ok(7), "a show gives back");
        assert_eq!(
            allocate(10, 7, 1, 5).unwrap_err().code,
            RefusalCode::InventoryShort
        );
        assert!(allocate(u32::MAX, u32::MAX, 0, 1).is_err());
    }
}
