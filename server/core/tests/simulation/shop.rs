//! What the shop does between the hot store, the ledger and the provider: the flows that the
//! server's `shop/` has, with every answer late, doubled, lost or out of order.

use vetrina_core::checkout::{BodyDigest, ClaimAnswer, ClaimLine, ClaimRequest};
use vetrina_core::hot::{CheckoutOutcome, HotAnswer, HotCommand, Mirror, OrderedUnits};
use vetrina_core::order::{OrderInput, OrderOutput, OrderPhase, OrderStep};
use vetrina_protocol::id::{ListingId, OrderId, ReservationId, UserId};
use vetrina_protocol::refusal::RefusalCode;

use crate::oracle::Verdict;
use crate::people::{Wish, id_of};
use crate::provider::Word;
use crate::world::{Act, World};

/// What the ledger took in one transaction.
const BATCH: usize = 64;

impl World {
    pub(crate) fn checkout(&mut self, buyer: UserId, key: u64, bag: &[ReservationId]) -> Verdict {
        let order = OrderId(id_of(buyer, key));
        if self.ledger.keys.contains_key(&(buyer, key.to_string())) {
            // The key is looked up first: the order exists, its payment may have to be opened.
            self.open_payment(order);
            return Ok(());
        }
        let fence_ms = self.fence_ms;
        let reservations = bag.to_vec();
        let begin = HotCommand::BeginCheckout {
            order,
            buyer,
            reservations,
            fence_ms,
        };
        let HotAnswer::Bag(views) = self.hot(begin)? else {
            self.tally.refusals += 1;
            return Ok(());
        };
        let lines: Vec<_> = views
            .iter()
            .map(|view| ClaimLine {
                reservation: view.id,
                listing: view.listing,
                quantity: view.quantity,
                unit_price: view.unit_price,
            })
            .collect();
        let body = digest(bag);
        self.claims.push(ClaimRequest {
            order,
            buyer,
            key: key.to_string(),
            body,
            lines,
        });
        if self.dice.chance(2) {
            // A bug in a client: the same key for another bag, at the same time.
            let mut rude = self.claims[self.claims.len() - 1].clone();
            rude.body = BodyDigest([255; 32]);
            self.claims.push(rude);
        }
        if !self.claims_due {
            self.claims_due = true;
            let slow = !self.strict && self.dice.chance(5);
            let at = if slow {
                self.dice.range(100, 15_000)
            } else {
                self.dice.range(1, 30)
            };
            let boot = self.boot;
            self.plan(at, Act::Claims { boot });
        }
        Ok(())
    }

    pub(crate) fn commit_claims(&mut self) -> Verdict {
        let rest = self.claims.split_off(self.claims.len().min(BATCH));
        let batch = std::mem::replace(&mut self.claims, rest);
        self.claims_due = !self.claims.is_empty();
        let boot = self.boot;
        if self.claims_due {
            self.plan(5, Act::Claims { boot });
        }
        let (answers, mirrors) = self.commit(&batch)?;
        self.send(mirrors);
        for (request, answer) in batch.into_iter().zip(answers) {
            let order = request.order;
            let outcome = match answer {
                ClaimAnswer::Claimed { .. } | ClaimAnswer::Existing { .. } => {
                    self.open_payment(order);
                    CheckoutOutcome::Claimed
                }
                ClaimAnswer::Refused(refused) if refused.code == RefusalCode::KeyReused => continue,
                ClaimAnswer::Refused(_) => CheckoutOutcome::Failed,
            };
            if !self.strict && self.dice.chance(3) {
                continue;
            }
            let bag = request.lines.iter().map(|line| line.reservation).collect();
            let at = self.dice.range(0, 150);
            self.plan(
                at,
                Act::EndCheckout {
                    boot,
                    order,
                    bag,
                    outcome,
                },
            );
        }
        Ok(())
    }

    /// One transaction, and what the oracle learns from it.
    pub(crate) fn commit(
        &mut self,
        batch: &[ClaimRequest],
    ) -> Result<(Vec<ClaimAnswer>, Vec<Mirror>), String> {
        let (answers, mirrors) = self.ledger.claim(self.now, self.deadline_ms, batch);
        for (request, answer) in batch.iter().zip(&answers) {
            match answer {
                ClaimAnswer::Claimed { order, total } => {
                    let bag: Vec<_> = request.lines.iter().map(|line| line.reservation).collect();
                    self.oracle.claimed(*order, request.buyer, &bag, *total)?;
                }
                ClaimAnswer::Existing { .. } => {}
                // The client's own doing: a key or a reservation used twice.
                ClaimAnswer::Refused(refused)
                    if matches!(
                        refused.code,
                        RefusalCode::KeyReused | RefusalCode::ReservationClosed
                    ) => {}
                ClaimAnswer::Refused(refused) => {
                    self.tally.claims_refused += 1;
                    self.oracle.claim_refused(request.order, &refused.message)?;
                }
            }
        }
        Ok((answers, mirrors))
    }

    fn open_payment(&mut self, order: OrderId) {
        let Some(row) = self.ledger.orders.get(&order) else {
            return;
        };
        if row.life.phase != OrderPhase::Pending || self.provider.intents.contains_key(&order) {
            return;
        }
        let sum: i64 = row
            .lines
            .iter()
            .map(|line| line.unit_price.amount_minor * i64::from(line.quantity))
            .sum();
        let amount = vetrina_protocol::money::Money::new(sum, row.lines[0].unit_price.currency);
        self.provider.open(order, amount);
        match self.dice.range(0, 9) {
            0 => {
                let at = self.dice.range(1_000, self.deadline_ms);
                self.plan(at, Act::Wish(Wish::Cancel { order }));
            }
            // Walks away.
            1 => {}
            // Pays at the last moment, or after it.
            2 => {
                let at = self.deadline_ms + self.dice.range(-2_000, 12_000);
                self.plan(at, Act::Pay { order, late: false });
            }
            _ => {
                let at = self.dice.range(2_000, self.deadline_ms);
                self.plan(at, Act::Pay { order, late: false });
            }
        }
    }

    pub(crate) fn pay(&mut self, order: OrderId, late: bool) -> Verdict {
        if !late && self.dice.chance(20) {
            let at = self.dice.range(10, 3_000);
            self.plan(
                at,
                Act::Webhook {
                    order,
                    input: OrderInput::ProviderDeclined,
                },
            );
            if self.dice.chance(70) {
                let at = self.dice.range(2_000, 60_000);
                self.plan(at, Act::Pay { order, late: false });
            }
            return Ok(());
        }
        if self.provider.pay(order, late) != Some(Word::Charged) {
            return Ok(());
        }
        let input = OrderInput::ProviderSucceeded { at: self.now };
        // Late payments have no deadline that would ask again: their webhook is retried until it
        // arrives, as a provider does.
        let lost = !late && self.dice.chance(5);
        if !lost {
            let at = if self.dice.chance(5) {
                self.dice.range(60_000, 900_000)
            } else {
                self.dice.range(10, 5_000)
            };
            self.plan(at, Act::Webhook { order, input });
        }
        self.repeat(order, input);
        Ok(())
    }

    fn repeat(&mut self, order: OrderId, input: OrderInput) {
        if self.dice.chance(15) {
            for _ in 0..self.dice.range(1, 3) {
                let at = self.dice.range(10, 1_200_000);
                self.plan(at, Act::Webhook { order, input });
            }
        }
    }

    pub(crate) fn webhook(&mut self, order: OrderId, input: OrderInput) -> Verdict {
        if !self.up {
            let at = self.dice.range(1_000, 10_000);
            self.plan(at, Act::Webhook { order, input });
            return Ok(());
        }
        self.step(order, input).map(drop)
    }

    /// One input of an order, and everything that follows from it.
    pub(crate) fn step(&mut self, order: OrderId, input: OrderInput) -> Result<bool, String> {
        let Ok((step, mirrors)) = self.ledger.step(self.now, order, input) else {
            self.tally.refusals += 1;
            return Ok(false);
        };
        self.send(mirrors);
        self.follow(order, &step)?;
        Ok(step.changed)
    }

    fn follow(&mut self, order: OrderId, step: &OrderStep) -> Verdict {
        let Some(row) = self.ledger.orders.get(&order) else {
            return Ok(());
        };
        let (state, key) = (row.life.phase.state(), row.life.version);
        if step.changed {
            self.oracle
                .order_told(order, state, self.provider.intents.get(&order))?;
        }
        let boot = self.boot;
        for output in &step.outputs {
            let at = self.dice.range(10, 800);
            match output {
                OrderOutput::CancelIntent => self.plan(at, Act::AskCancel { boot, order }),
                OrderOutput::Reclaim => self.plan(at, Act::Reclaim { boot, order }),
                OrderOutput::Refund => self.plan(at, Act::AskRefund { boot, order, key }),
                OrderOutput::MarkPaid | OrderOutput::ReleaseUnits { .. } => {}
            }
        }
        Ok(())
    }

    pub(crate) fn ask_cancel(&mut self, order: OrderId) -> Verdict {
        let word = self.provider.cancel(order);
        let input = match word {
            Word::AlreadyCharged => OrderInput::ProviderSucceeded { at: self.now },
            Word::Charged | Word::Canceled => OrderInput::ProviderCanceled,
        };
        if word == Word::Canceled && self.dice.chance(8) {
            // The bank had said yes a moment before.
            let at = self.dice.range(10, 300_000);
            self.plan(at, Act::Pay { order, late: true });
        }
        if !self.dice.chance(10) {
            let at = self.dice.range(10, 3_000);
            self.plan(at, Act::Webhook { order, input });
        }
        self.repeat(order, input);
        Ok(())
    }

    pub(crate) fn ask_refund(&mut self, order: OrderId, key: u64) -> Verdict {
        if !self.provider.refund(order, key) {
            return Err(format!(
                "{order}: a refund was asked for, and there is no charge"
            ));
        }
        self.oracle
            .refunded(order, &self.provider.intents[&order])?;
        if !self.dice.chance(10) {
            let at = self.dice.range(10, 3_000);
            self.plan(
                at,
                Act::Webhook {
                    order,
                    input: OrderInput::RefundConfirmed,
                },
            );
        }
        self.repeat(order, OrderInput::RefundConfirmed);
        Ok(())
    }

    /// A late payment: units aside as any buyer would, then the ledger.
    pub(crate) fn reclaim(&mut self, order: OrderId) -> Verdict {
        let boot = self.boot;
        if !self.up {
            self.plan(1_000, Act::Reclaim { boot, order });
            return Ok(());
        }
        let row = &self.ledger.orders[&order];
        if row.life.phase != OrderPhase::Reclaiming {
            return Ok(());
        }
        let seats: Vec<_> = (1u128..)
            .zip(&row.lines)
            .map(|(number, _)| ReservationId((number << 100) | order.0))
            .collect();
        let lines = row
            .lines
            .iter()
            .zip(&seats)
            .map(|(line, seat)| OrderedUnits {
                reservation: *seat,
                listing: line.listing,
                quantity: line.quantity,
                unit_price: line.unit_price,
            })
            .collect();
        let command = HotCommand::ReserveForOrder {
            order,
            buyer: row.buyer,
            buyer_name: "b".to_owned(),
            lines,
            fence_ms: self.fence_ms,
        };
        let seats = match self.hot(command)? {
            HotAnswer::Bag(_) => seats,
            _ => Vec::new(),
        };
        let at = self.dice.range(1, 200);
        self.plan(at, Act::Reclaimed { boot, order, seats });
        Ok(())
    }

    pub(crate) fn finish_reclaim(&mut self, order: OrderId, seats: &[ReservationId]) -> Verdict {
        let (taken, step, mirrors) = self.ledger.reclaim(self.now, order, seats);
        if taken {
            self.oracle.reclaimed(order, seats)?;
        } else if !seats.is_empty() && step.changed {
            self.oracle.claim_refused(order, "late payment")?;
        }
        self.send(mirrors);
        self.follow(order, &step)?;
        if step.changed && !seats.is_empty() {
            let outcome = if taken {
                CheckoutOutcome::Claimed
            } else {
                CheckoutOutcome::Failed
            };
            let (boot, bag) = (self.boot, seats.to_vec());
            let at = self.dice.range(0, 150);
            self.plan(
                at,
                Act::EndCheckout {
                    boot,
                    order,
                    bag,
                    outcome,
                },
            );
        }
        Ok(())
    }

    /// Mirrors travel to the hot store, each at its own pace.
    pub(crate) fn send(&mut self, mirrors: Vec<Mirror>) {
        for mirror in mirrors {
            let at = self.dice.range(0, 120);
            let boot = self.boot;
            self.plan(at, Act::Mirror { boot, mirror });
        }
    }

    pub(crate) fn set_total(&mut self, listing: ListingId, total: u32) -> Verdict {
        if let Some(mirror) = self.ledger.set_total(listing, total) {
            self.oracle.total_set(listing, total)?;
            self.send(vec![mirror]);
        }
        Ok(())
    }

    /// Looks after orders that wait for time or for an answer that did not come.
    pub(crate) fn reconcile(&mut self) -> Verdict {
        let patience_ms = 15_000;
        let waiting: Vec<_> = self
            .ledger
            .orders
            .iter()
            .filter(|(_, order)| {
                use OrderPhase as P;
                !matches!(
                    order.life.phase,
                    P::Paid | P::Expired | P::Canceled | P::Refunded
                )
            })
            .map(|(id, order)| (*id, self.now.since(order.changed_at) >= patience_ms))
            .collect();
        if !waiting.is_empty() || !self.is_at_rest() {
            self.plan(10_000, Act::Reconcile);
        }
        if !self.up {
            return Ok(());
        }
        for (order, silent) in waiting {
            let now = self.now;
            let expired = self.step(order, OrderInput::DeadlinePassed { now })?;
            if silent && !expired {
                self.step(order, OrderInput::Resume)?;
            }
        }
        Ok(())
    }
}

fn digest(bag: &[ReservationId]) -> BodyDigest {
    let sum = bag.iter().fold(0u128, |sum, id| sum.rotate_left(7) ^ id.0);
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&sum.to_be_bytes());
    BodyDigest(bytes)
}
