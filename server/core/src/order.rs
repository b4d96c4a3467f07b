//! One order's life between the ledger and the payment provider: a closed set of inputs, applied
//! in any order and as often as they come, each with at most one effect.
//!
//! It refuses to know SQL, HTTP and the provider's words. Outputs must be stored together with the
//! new state (an outbox) and carried out with the order's id as the provider's idempotency key;
//! [`OrderInput::Resume`] names again what may not have been carried out.

use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::OrderState;

use crate::breakage::{self, Breakage};
use crate::refused::Refused;

/// Where an order is, finer than buyers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrderPhase {
    /// Units are claimed, payment is open.
    Pending,
    /// The last try was declined; payment is open.
    Declined,
    /// Its time ran out; the provider was asked to cancel and has not confirmed. Units are kept.
    ExpiringPending,
    /// The same, after a decline.
    ExpiringDeclined,
    /// The buyer gave it up; the provider was asked to cancel and has not confirmed.
    CancelingPending,
    /// The same, after a decline.
    CancelingDeclined,
    /// Paid.
    Paid,
    /// Not paid in time; units are back.
    Expired,
    /// Given up; units are back.
    Canceled,
    /// Paid after it had expired; the ledger is asked for the units again.
    Reclaiming,
    /// Money is on its way back; units were not kept.
    Refunding,
    /// Money is on its way back by the seller's wish; units return when it is.
    RefundingWithRestock,
    /// Money is on its way back by the seller's wish; the units stay sold (broken, kept by the
    /// buyer).
    RefundingKeepingUnits,
    /// Money is back.
    Refunded,
}

impl OrderPhase {
    /// Every phase; for stores and tests.
    pub const ALL: [Self; 14] = [
        Self::Pending,
        Self::Declined,
        Self::ExpiringPending,
        Self::ExpiringDeclined,
        Self::CancelingPending,
        Self::CancelingDeclined,
        Self::Paid,
        Self::Expired,
        Self::Canceled,
        Self::Reclaiming,
        Self::Refunding,
        Self::RefundingWithRestock,
        Self::RefundingKeepingUnits,
        Self::Refunded,
    ];

    /// The name a store keeps.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Declined => "declined",
            Self::ExpiringPending => "expiring_pending",
            Self::ExpiringDeclined => "expiring_declined",
            Self::CancelingPending => "canceling_pending",
            Self::CancelingDeclined => "canceling_declined",
            Self::Paid => "paid",
            Self::Expired => "expired",
            Self::Canceled => "canceled",
            Self::Reclaiming => "reclaiming",
            Self::Refunding => "refunding",
            Self::RefundingWithRestock => "refunding_with_restock",
            Self::RefundingKeepingUnits => "refunding_keeping_units",
            Self::Refunded => "refunded",
        }
    }

    /// The phase a store kept.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == name)
    }

    /// As its buyer sees it: waiting for the provider's word looks like what it was before.
    #[must_use]
    pub const fn state(self) -> OrderState {
        match self {
            Self::Pending | Self::ExpiringPending | Self::CancelingPending => OrderState::Pending,
            Self::Declined | Self::ExpiringDeclined | Self::CancelingDeclined => {
                OrderState::Declined
            }
            Self::Paid => OrderState::Paid,
            Self::Expired | Self::Reclaiming => OrderState::Expired,
            Self::Canceled => OrderState::Canceled,
            Self::Refunding | Self::RefundingWithRestock | Self::RefundingKeepingUnits => {
                OrderState::Refunding
            }
            Self::Refunded => OrderState::Refunded,
        }
    }

    /// The buyer may still try to pay: the pay page is shown.
    #[must_use]
    pub const fn is_payable(self) -> bool {
        matches!(self, Self::Pending | Self::Declined)
    }

    /// The ledger counts its units in `claimed`.
    #[must_use]
    pub const fn has_units(self) -> bool {
        match self {
            Self::Pending
            | Self::Declined
            | Self::ExpiringPending
            | Self::ExpiringDeclined
            | Self::CancelingPending
            | Self::CancelingDeclined
            | Self::Paid
            | Self::RefundingWithRestock
            | Self::RefundingKeepingUnits => true,
            // A refunded order may have kept its units; the ledger's counters say.
            Self::Expired
            | Self::Canceled
            | Self::Reclaiming
            | Self::Refunding
            | Self::Refunded => false,
        }
    }
}

/// The part of an order that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderLife {
    /// Where it is.
    pub phase: OrderPhase,
    /// Until when it may be paid.
    pub pay_by: UnixMs,
    /// When the provider took the money.
    pub paid_at: Option<UnixMs>,
    /// Grows with every change.
    pub version: u64,
}

/// Everything that can happen to an order after its claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderInput {
    /// The provider declined a try.
    ProviderDeclined,
    /// The provider has the money: by webhook, by our query, or as its answer to a cancellation.
    ProviderSucceeded {
        /// When it took it.
        at: UnixMs,
    },
    /// The provider will never take money for this order: it confirmed our cancellation, or
    /// cancelled by itself, or knows no intent of this order and cannot make one any more.
    ProviderCanceled,
    /// Time passed. Before `pay_by` it means nothing.
    DeadlinePassed {
        /// Now.
        now: UnixMs,
    },
    /// The buyer gives it up.
    CancelAsked,
    /// The ledger promised the units again, in this same transaction.
    Reclaimed,
    /// The ledger could not.
    ReclaimRefused,
    /// The seller gives the money back.
    RefundAsked {
        /// The units return to the stock.
        restock: bool,
    },
    /// The provider confirmed the refund.
    RefundConfirmed,
    /// After a restart, or when the outside was silent for too long: say again what is waited for.
    Resume,
}

/// What must be done because of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderOutput {
    /// In the same transaction: count the units as paid
    /// ([`crate::checkout::ClaimBook::mark_paid`]).
    MarkPaid,
    /// In the same transaction: give the units back.
    ReleaseUnits {
        /// They were counted as paid.
        paid: bool,
    },
    /// Ask the provider to cancel; its answer is `ProviderCanceled` or `ProviderSucceeded`.
    CancelIntent,
    /// Reserve the units in the hot store ([`crate::hot::HotCommand::ReserveForOrder`]: nobody in a
    /// queue is overtaken, no reservation is undercut), then [`crate::checkout::ClaimBook::take`]
    /// them; answer with
    /// `Reclaimed` or, when either refuses, `ReclaimRefused`.
    Reclaim,
    /// Ask the provider for a refund of the whole order.
    Refund,
}

/// What an input did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderStep {
    /// The phase changed: store it and tell the buyer and the desk.
    pub changed: bool,
    /// To be carried out; at most two.
    pub outputs: Vec<OrderOutput>,
}

impl OrderLife {
    /// A new order, just claimed.
    #[must_use]
    pub const fn new(pay_by: UnixMs) -> Self {
        Self {
            phase: OrderPhase::Pending,
            pay_by,
            paid_at: None,
            version: 1,
        }
    }

    /// One input. What has no effect in this phase (a duplicate, an overtaken answer) changes
    /// nothing and asks for nothing.
    ///
    /// # Errors
    /// `order_closed` for a wish (`CancelAsked`, `RefundAsked`) that this phase does not allow.
    pub fn apply(&mut self, input: OrderInput) -> Result<OrderStep, Refused> {
        let (phase, outputs) = self.decide(input)?;
        let changed = phase != self.phase;
        if changed {
            self.phase = phase;
            self.version += 1;
        }
        Ok(OrderStep { changed, outputs })
    }

    fn decide(&mut self, input: OrderInput) -> Result<(OrderPhase, Vec<OrderOutput>), Refused> {
        use OrderPhase as P;
        let same = (self.phase, Vec::new());
        Ok(match input {
            OrderInput::ProviderDeclined => match self.phase {
                P::Pending => (P::Declined, Vec::new()),
                P::ExpiringPending => (P::ExpiringDeclined, Vec::new()),
                P::CancelingPending => (P::CancelingDeclined, Vec::new()),
                _ => same,
            },
            OrderInput::ProviderSucceeded { at } => self.succeeded(at),
            OrderInput::ProviderCanceled => self.canceled(),
            OrderInput::DeadlinePassed { now } => match self.phase {
                P::Pending if now >= self.pay_by => {
                    (P::ExpiringPending, vec![OrderOutput::CancelIntent])
                }
                P::Declined if now >= self.pay_by => {
                    (P::ExpiringDeclined, vec![OrderOutput::CancelIntent])
                }
                _ => same,
            },
            OrderInput::CancelAsked => self.cancel_asked()?,
            OrderInput::Reclaimed => match self.phase {
                P::Reclaiming => (P::Paid, vec![OrderOutput::MarkPaid]),
                _ => same,
            },
            OrderInput::ReclaimRefused => match self.phase {
                P::Reclaiming => (P::Refunding, vec![OrderOutput::Refund]),
                _ => same,
            },
            OrderInput::RefundAsked { restock } => self.refund_asked(restock)?,
            OrderInput::RefundConfirmed => match self.phase {
                P::Refunding | P::RefundingKeepingUnits => (P::Refunded, Vec::new()),
                P::RefundingWithRestock => {
                    (P::Refunded, vec![OrderOutput::ReleaseUnits { paid: true }])
                }
                _ => same,
            },
            OrderInput::Resume => (self.phase, self.awaited()),
        })
    }

    fn succeeded(&mut self, at: UnixMs) -> (OrderPhase, Vec<OrderOutput>) {
        use OrderPhase as P;
        match self.phase {
            // The cancellation that was asked for came too late: the money decides.
            P::Pending
            | P::Declined
            | P::ExpiringPending
            | P::ExpiringDeclined
            | P::CancelingPending
            | P::CancelingDeclined => {
                self.paid_at = Some(at);
                (P::Paid, vec![OrderOutput::MarkPaid])
            }
            P::Expired => {
                self.paid_at = Some(at);
                (P::Reclaiming, vec![OrderOutput::Reclaim])
            }
            // The buyer had given it up: the money goes back, the goods are not forced on them.
            P::Canceled => {
                self.paid_at = Some(at);
                (P::Refunding, vec![OrderOutput::Refund])
            }
            P::Refunding | P::Refunded if breakage::is_on(Breakage::DoubleRefund) => {
                self.version += 1;
                (self.phase, vec![OrderOutput::Refund])
            }
            P::Paid
            | P::Reclaiming
            | P::Refunding
            | P::RefundingWithRestock
            | P::RefundingKeepingUnits
            | P::Refunded => (self.phase, Vec::new()),
        }
    }

    fn canceled(&self) -> (OrderPhase, Vec<OrderOutput>) {
        use OrderPhase as P;
        let release = vec![OrderOutput::ReleaseUnits { paid: false }];
        match self.phase {
            P::Pending | P::Declined | P::ExpiringPending | P::ExpiringDeclined => {
                (P::Expired, release)
            }
            P::CancelingPending | P::CancelingDeclined => (P::Canceled, release),
            phase => (phase, Vec::new()),
        }
    }

    fn cancel_asked(&self) -> Result<(OrderPhase, Vec<OrderOutput>), Refused> {
        use OrderPhase as P;
        match self.phase {
            P::Pending => Ok((P::CancelingPending, vec![OrderOutput::CancelIntent])),
            P::Declined => Ok((P::CancelingDeclined, vec![OrderOutput::CancelIntent])),
            P::CancelingPending | P::CancelingDeclined | P::Canceled => {
                Ok((self.phase, Vec::new()))
            }
            // Asked to cancel already, for another reason; the buyer's wish is the better word.
            P::ExpiringPending => Ok((P::CancelingPending, Vec::new())),
            P::ExpiringDeclined => Ok((P::CancelingDeclined, Vec::new())),
            P::Paid => Err(closed("this order is paid; ask the seller for a refund")),
            P::Expired | P::Reclaiming => Err(closed("this order has expired already")),
            P::Refunding | P::RefundingWithRestock | P::RefundingKeepingUnits | P::Refunded => {
                Err(closed("this order is refunded already"))
            }
        }
    }

    fn refund_asked(&self, restock: bool) -> Result<(OrderPhase, Vec<OrderOutput>), Refused> {
        use OrderPhase as P;
        match self.phase {
            P::Paid if restock => Ok((P::RefundingWithRestock, vec![OrderOutput::Refund])),
            P::Paid => Ok((P::RefundingKeepingUnits, vec![OrderOutput::Refund])),
            P::Refunding | P::RefundingWithRestock | P::RefundingKeepingUnits | P::Refunded => {
                Ok((self.phase, Vec::new()))
            }
            P::Reclaiming => Err(closed(
                "this order was paid late and is being decided; wait",
            )),
            P::Pending
            | P::Declined
            | P::ExpiringPending
            | P::ExpiringDeclined
            | P::CancelingPending
            | P::CancelingDeclined
            | P::Expired
            | P::Canceled => Err(closed("this order is not paid; there is nothing to refund")),
        }
    }

    fn awaited(&self) -> Vec<OrderOutput> {
        use OrderPhase as P;
        match self.phase {
            P::ExpiringPending
            | P::ExpiringDeclined
            | P::CancelingPending
            | P::CancelingDeclined => vec![OrderOutput::CancelIntent],
            P::Reclaiming => vec![OrderOutput::Reclaim],
            P::Refunding | P::RefundingWithRestock | P::RefundingKeepingUnits => {
                vec![OrderOutput::Refund]
            }
            P::Pending | P::Declined | P::Paid | P::Expired | P::Canceled | P::Refunded => {
                Vec::new()
            }
        }
    }
}

fn closed(message: &'static str) -> Refused {
    Refused::new(RefusalCode::OrderClosed, message)
}

#[cfg(test)]
mod tests;
