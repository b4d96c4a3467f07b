//! What buyers and the host do, at random but from the seed: honest, impatient, forgetful, rude.

use vetrina_core::hot::{HotAnswer, HotCommand, Reserve};
use vetrina_core::order::OrderInput;
use vetrina_protocol::id::{ListingId, OrderId, ReservationId, UserId};
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::view::{OrderState, Reservation, ReservationState};

use crate::oracle::Verdict;
use crate::world::{Act, World};

/// Nobody repeats a command after that; core remembers a little longer.
const OLDEST_RETRY_MS: i64 = 600_000;

/// A command of a buyer, with its idempotency key: sent again it is the same wish.
#[derive(Clone)]
pub(crate) enum Wish {
    Reserve {
        buyer: UserId,
        key: u64,
        listing: ListingId,
        quantity: u32,
    },
    Extend {
        buyer: UserId,
        reservation: ReservationId,
    },
    Release {
        buyer: UserId,
        reservation: ReservationId,
    },
    Join {
        buyer: UserId,
        key: u64,
        listing: ListingId,
        quantity: u32,
    },
    Leave {
        buyer: UserId,
        listing: ListingId,
    },
    Checkout {
        buyer: UserId,
        key: u64,
        bag: Vec<ReservationId>,
    },
    Cancel {
        order: OrderId,
    },
}

impl Wish {
    fn buyer(&self) -> Option<UserId> {
        match self {
            Self::Reserve { buyer, .. }
            | Self::Extend { buyer, .. }
            | Self::Release { buyer, .. }
            | Self::Join { buyer, .. }
            | Self::Leave { buyer, .. }
            | Self::Checkout { buyer, .. } => Some(*buyer),
            Self::Cancel { .. } => None,
        }
    }
}

pub(crate) fn id_of(buyer: UserId, key: u64) -> u128 {
    (buyer.0 << 64) | u128::from(key)
}

impl World {
    /// A buyer looks at the page and does something, or not.
    pub(crate) fn visit(&mut self, buyer: UserId) -> Verdict {
        if !self.is_over() {
            let again = self.dice.range(60_000, 900_000);
            self.plan(again, Act::Visit(buyer));
        }
        if self.dice.chance(4) {
            // Pressed an old button again, or the network repeated an old message.
            if let Some(old) = self.history.get(&buyer).filter(|old| !old.is_empty()) {
                let (at, old) = old[self.dice.index(old.len())].clone();
                if self.now.since(at) < OLDEST_RETRY_MS {
                    self.wish(old)?;
                }
            }
        }
        let mine = if self.up {
            self.hot.reservations_of(buyer)
        } else {
            Vec::new()
        };
        match self.choose(buyer, &mine) {
            Some(wish) => {
                self.remember(&wish);
                self.wish(wish)
            }
            None => Ok(()),
        }
    }

    /// Many want the same at the same moment.
    pub(crate) fn flash(&mut self, listing: ListingId) -> Verdict {
        if self.is_over() {
            return Ok(());
        }
        for buyer in 1..=self.buyers {
            if self.dice.chance(40) {
                let buyer = UserId(buyer as u128);
                let quantity = self.dice.range(1, 2) as u32;
                let key = self.new_key();
                let at = self.dice.range(0, 2_000);
                self.plan(
                    at,
                    Act::Wish(Wish::Reserve {
                        buyer,
                        key,
                        listing,
                        quantity,
                    }),
                );
                let look = at + self.dice.range(2_000, self.ttl_ms + 10_000);
                self.plan(look, Act::Visit(buyer));
            }
        }
        Ok(())
    }

    fn choose(&mut self, buyer: UserId, mine: &[Reservation]) -> Option<Wish> {
        let listing = self.listings[self.dice.index(self.listings.len())];
        let key = self.new_key();
        let roll = self.dice.range(0, 99);
        if !mine.is_empty() {
            let reservation = mine[self.dice.index(mine.len())].id;
            match roll {
                0..45 => {
                    let bag = mine.iter().map(|mine| mine.id).collect();
                    return Some(Wish::Checkout { buyer, key, bag });
                }
                45..55 => {
                    let bag = vec![reservation];
                    return Some(Wish::Checkout { buyer, key, bag });
                }
                55..67 => return Some(Wish::Extend { buyer, reservation }),
                67..77 => return Some(Wish::Release { buyer, reservation }),
                _ => {}
            }
        }
        match roll {
            77..80 => Some(Wish::Leave { buyer, listing }),
            80..82 => {
                // Another buyer's reservation, guessed.
                let other = UserId(self.dice.index(self.buyers) as u128 + 1);
                let reservation = self.hot.reservations_of(other).first()?.id;
                (other != buyer).then_some(Wish::Release { buyer, reservation })
            }
            82..90 => {
                let quantity = self.dice.range(1, 3) as u32;
                Some(Wish::Join {
                    buyer,
                    key,
                    listing,
                    quantity,
                })
            }
            90..95 => None,
            _ if self.is_over() => None,
            _ => {
                let quantity = if self.dice.chance(75) {
                    1
                } else {
                    self.dice.range(0, 4) as u32
                };
                Some(Wish::Reserve {
                    buyer,
                    key,
                    listing,
                    quantity,
                })
            }
        }
    }

    /// A command arrives. Its answer may get lost on the way back: then it is sent again.
    pub(crate) fn wish(&mut self, wish: Wish) -> Verdict {
        if !self.up {
            let later = self.dice.range(200, 4_000);
            self.plan(later, Act::Wish(wish));
            return Ok(());
        }
        if self.dice.chance(5) {
            let later = self.dice.range(1, 5_000);
            self.plan(later, Act::Wish(wish.clone()));
        }
        match wish {
            Wish::Reserve {
                buyer,
                key,
                listing,
                quantity,
            } => self.reserve(buyer, key, listing, quantity),
            Wish::Extend { buyer, reservation } => {
                let answer = self.hot(HotCommand::Extend { reservation, buyer })?;
                self.heard(buyer, &answer)
            }
            Wish::Release { buyer, reservation } => {
                let answer = self.hot(HotCommand::Release { reservation, buyer })?;
                self.heard(buyer, &answer)
            }
            Wish::Join {
                buyer,
                key,
                listing,
                quantity,
            } => {
                let command = HotCommand::JoinWaitlist {
                    reservation: ReservationId(id_of(buyer, key)),
                    buyer,
                    buyer_name: "b".to_owned(),
                    listing,
                    quantity,
                };
                let answer = self.hot(command)?;
                self.heard(buyer, &answer)
            }
            Wish::Leave { buyer, listing } => {
                let answer = self.hot(HotCommand::LeaveWaitlist { buyer, listing })?;
                self.heard(buyer, &answer)
            }
            Wish::Checkout { buyer, key, bag } => self.checkout(buyer, key, &bag),
            Wish::Cancel { order } => {
                let _ = self.step(order, OrderInput::CancelAsked)?;
                Ok(())
            }
        }
    }

    fn reserve(&mut self, buyer: UserId, key: u64, listing: ListingId, quantity: u32) -> Verdict {
        let answer = self.hot(HotCommand::Reserve(Reserve {
            reservation: ReservationId(id_of(buyer, key)),
            buyer,
            buyer_name: "b".to_owned(),
            listing,
            quantity,
            media_time: None,
        }))?;
        self.heard(buyer, &answer)?;
        let queue = [RefusalCode::SoldOut, RefusalCode::WaitlistFirst];
        if let HotAnswer::Refused(refused) = &answer
            && queue.contains(&refused.code)
            && self.dice.chance(40)
        {
            let key = self.new_key();
            let wish = Wish::Join {
                buyer,
                key,
                listing,
                quantity,
            };
            self.remember(&wish);
            let at = self.dice.range(100, 3_000);
            self.plan(at, Act::Wish(wish));
        }
        Ok(())
    }

    /// An answer must say what the buyer's own events said.
    fn heard(&mut self, buyer: UserId, answer: &HotAnswer) -> Verdict {
        match answer {
            HotAnswer::Reservation { reservation, .. } => {
                let open = [ReservationState::Reserved, ReservationState::CheckingOut];
                if open.contains(&reservation.state) {
                    self.oracle.mine(buyer, std::slice::from_ref(reservation))?;
                }
                Ok(())
            }
            HotAnswer::Refused(_) => {
                self.tally.refusals += 1;
                Ok(())
            }
            HotAnswer::NotLoaded => Err("not loaded, though it is up".to_owned()),
            HotAnswer::Bag(_) | HotAnswer::Waiting { .. } => Ok(()),
            HotAnswer::Done | HotAnswer::Ticked { .. } => Ok(()),
        }
    }

    pub(crate) fn host(&mut self) -> Verdict {
        if self.is_over() {
            return Ok(());
        }
        let again = self.dice.range(20_000, 180_000);
        self.plan(again, Act::Host);
        if !self.up {
            return Ok(());
        }
        let listing = self.listings[self.dice.index(self.listings.len())];
        match self.dice.range(0, 9) {
            0..5 => {
                let total = self.dice.range(0, 40) as u32;
                let fence_ms = 5_000;
                let answer = self.hot(HotCommand::FenceTotal {
                    listing,
                    total,
                    fence_ms,
                })?;
                if answer == HotAnswer::Done {
                    let at = self.dice.range(1, 300);
                    let boot = self.boot;
                    self.plan(
                        at,
                        Act::SetTotal {
                            boot,
                            listing,
                            total,
                        },
                    );
                }
                Ok(())
            }
            5..7 => {
                let price = Money::new(self.dice.range(100, 9_900), Currency::EUR);
                let mirror = self.ledger.set_price(listing, price);
                self.send(mirror.into_iter().collect());
                Ok(())
            }
            _ => self.refund_one(),
        }
    }

    fn refund_one(&mut self) -> Verdict {
        let paid: Vec<_> = self
            .ledger
            .orders
            .iter()
            .filter(|(_, order)| order.life.phase.state() == OrderState::Paid)
            .map(|(id, _)| *id)
            .collect();
        if paid.is_empty() {
            return Ok(());
        }
        let order = paid[self.dice.index(paid.len())];
        let restock = self.dice.chance(50);
        self.oracle.refund_asked(order, restock);
        self.step(order, OrderInput::RefundAsked { restock })
            .map(drop)
    }

    pub(crate) fn end_show(&mut self) -> Verdict {
        if !self.up {
            self.plan(1_000, Act::EndShow);
            return Ok(());
        }
        self.ended = true;
        self.hot(HotCommand::CloseSelling)?;
        self.oracle.selling_closed();
        Ok(())
    }

    pub(crate) fn new_key(&mut self) -> u64 {
        self.wishes_made += 1;
        self.wishes_made
    }

    fn remember(&mut self, wish: &Wish) {
        if let Some(buyer) = wish.buyer() {
            let old = self.history.entry(buyer).or_default();
            if old.len() >= 4 {
                old.remove(0);
            }
            old.push((self.now, wish.clone()));
        }
    }
}
