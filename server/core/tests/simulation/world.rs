//! One seed's world: a clock, a queue of what happens next, one show on one node, its ledger, its
//! journal and its provider, and the crashes. What people and the shop do is in `people` and
//! `shop`.

use std::collections::BTreeMap;

use vetrina_core::checkout::{ClaimRequest, StockRow};
use vetrina_core::hot::{
    CheckoutOutcome, HotAnswer, HotCommand, HotOutput, Mirror, Restore, ShowStock,
};
use vetrina_core::order::OrderInput;
use vetrina_protocol::id::{ListingId, OrderId, ReservationId, UserId};
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::OrderState;

use crate::dice::Dice;
use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::oracle::{Oracle, Verdict};
use crate::people::Wish;
use crate::provider::Provider;

const START: UnixMs = UnixMs(1_800_000_000_000);
pub(crate) const HOUR_MS: i64 = 3_600_000;
/// Fifty times what a show takes; beyond it something goes round in circles.
const STEPS_MAX: u64 = 400_000;

/// What is going to happen. `boot` is the node's life that planned it: a crash forgets its plans.
pub(crate) enum Act {
    Visit(UserId),
    Wish(Wish),
    Flash(ListingId),
    Host,
    EndShow,
    Tick,
    Claims {
        boot: u32,
    },
    Mirror {
        boot: u32,
        mirror: Mirror,
    },
    EndCheckout {
        boot: u32,
        order: OrderId,
        bag: Vec<ReservationId>,
        outcome: CheckoutOutcome,
    },
    SetTotal {
        boot: u32,
        listing: ListingId,
        total: u32,
    },
    Reclaim {
        boot: u32,
        order: OrderId,
    },
    Reclaimed {
        boot: u32,
        order: OrderId,
        seats: Vec<ReservationId>,
    },
    AskCancel {
        boot: u32,
        order: OrderId,
    },
    AskRefund {
        boot: u32,
        order: OrderId,
        key: u64,
    },
    Pay {
        order: OrderId,
        late: bool,
    },
    Webhook {
        order: OrderId,
        input: OrderInput,
    },
    Reconcile,
    Crash,
    Return {
        crashed_at: UnixMs,
    },
}

/// How many of what a run has seen; the sum is printed, so that a run that tests nothing shows.
#[derive(Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) steps: u64,
    pub(crate) simulated_ms: u64,
    pub(crate) buyers: u64,
    pub(crate) grants: u64,
    pub(crate) offers: u64,
    pub(crate) refusals: u64,
    pub(crate) crashes: u64,
    pub(crate) paid: u64,
    pub(crate) refunded: u64,
    pub(crate) reclaimed: u64,
    pub(crate) claims_refused: u64,
}

pub(crate) struct World {
    pub(crate) now: UnixMs,
    pub(crate) dice: Dice,
    /// Nothing is lost or late in every second world; its oracle is stricter.
    pub(crate) strict: bool,
    pub(crate) buyers: usize,
    pub(crate) listings: Vec<ListingId>,
    pub(crate) fence_ms: i64,
    pub(crate) deadline_ms: i64,
    pub(crate) ttl_ms: i64,
    pub(crate) hot: ShowStock,
    pub(crate) up: bool,
    pub(crate) boot: u32,
    pub(crate) ended: bool,
    pub(crate) ledger: Ledger,
    pub(crate) journal: Journal,
    pub(crate) provider: Provider,
    pub(crate) oracle: Oracle,
    pub(crate) claims: Vec<ClaimRequest>,
    pub(crate) claims_due: bool,
    pub(crate) wishes_made: u64,
    pub(crate) history: BTreeMap<UserId, Vec<(UnixMs, Wish)>>,
    pub(crate) tally: Tally,
    plans: BTreeMap<(UnixMs, u64), Act>,
    planned: u64,
    tick_at: Option<UnixMs>,
    recount_every: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let strict = seed.is_multiple_of(2);
        let fence_ms = if strict {
            30_000
        } else {
            dice.range(500, 5_000)
        };
        let mut world = Self {
            now: START,
            strict,
            buyers: dice.index(200) + 100,
            listings: (1..=2 + dice.index(4) as u128).map(ListingId).collect(),
            fence_ms,
            deadline_ms: dice.range(60_000, 600_000),
            ttl_ms: dice.range(20_000, 180_000),
            hot: ShowStock::new(),
            up: true,
            boot: 0,
            ended: false,
            ledger: Ledger::default(),
            journal: Journal::default(),
            provider: Provider::default(),
            oracle: Oracle::new(strict, fence_ms),
            claims: Vec::new(),
            claims_due: false,
            wishes_made: 0,
            history: BTreeMap::new(),
            tally: Tally::default(),
            plans: BTreeMap::new(),
            planned: 0,
            tick_at: None,
            recount_every: if seed.is_multiple_of(20) { 1 } else { 64 },
            dice,
        };
        world.stock_up();
        world
    }

    /// Runs until everything has come to rest.
    pub(crate) fn run(mut self) -> Result<Tally, String> {
        self.open()?;
        while let Some(((at, _), act)) = self.plans.pop_first() {
            self.now = at;
            self.tally.steps += 1;
            if self.now.since(START) > 3 * HOUR_MS || self.tally.steps > STEPS_MAX {
                let waiting = self.ledger.orders.values().filter(|order| {
                    !matches!(
                        order.life.phase.state(),
                        OrderState::Paid
                            | OrderState::Expired
                            | OrderState::Canceled
                            | OrderState::Refunded
                    )
                });
                let phases: Vec<_> = waiting.map(|order| order.life.phase).collect();
                let due = self.hot.next_due();
                return Err(format!("it does not come to rest: {phases:?}, due {due:?}"));
            }
            let told = self.act(act);
            told.map_err(|complaint| format!("{} s: {complaint}", at.since(START) / 1_000))?;
        }
        self.close()
    }

    fn stock_up(&mut self) {
        for listing in self.listings.clone() {
            let total = self.dice.range(1, 30) as u32;
            let per_buyer = self.dice.range(1, 4) as u32;
            let price = Money::new(self.dice.range(100, 9_900), Currency::EUR);
            let row = StockRow {
                listing,
                total,
                claimed: 0,
                paid: 0,
                per_buyer,
                version: 1,
            };
            self.ledger.add(row, price);
            self.oracle.stocked(listing, total, per_buyer);
        }
    }

    fn open(&mut self) -> Verdict {
        self.load()?;
        for buyer in 1..=self.buyers {
            let at = self.dice.range(0, HOUR_MS / 4);
            self.plan(at, Act::Visit(UserId(buyer as u128)));
        }
        for _ in 0..self.dice.range(2, 6) {
            let listing = self.listings[self.dice.index(self.listings.len())];
            let at = self.dice.range(0, HOUR_MS);
            self.plan(at, Act::Flash(listing));
        }
        if self.dice.chance(60) {
            let at = self.dice.range(HOUR_MS * 3 / 4, HOUR_MS);
            self.plan(at, Act::EndShow);
        }
        if !self.strict {
            for _ in 0..self.dice.range(1, 8) {
                let at = self.dice.range(0, HOUR_MS);
                self.plan(at, Act::Crash);
            }
        }
        self.plan(1_000, Act::Host);
        self.plan(10_000, Act::Reconcile);
        Ok(())
    }

    fn close(mut self) -> Result<Tally, String> {
        self.read_everything()?;
        let stocks: Vec<_> = self.hot.stocks().collect();
        self.oracle.at_the_end(&self.provider, &stocks)?;
        self.tally.simulated_ms = self.now.since(START).unsigned_abs();
        self.tally.buyers = self.buyers as u64;
        self.tally.grants = self.oracle.grants;
        self.tally.offers = self.oracle.offers;
        self.tally.reclaimed = self.oracle.reclaims;
        self.tally.paid = self.oracle.paid_orders();
        self.tally.refunded = self.oracle.refunded_orders();
        Ok(self.tally)
    }

    pub(crate) fn plan(&mut self, in_ms: i64, act: Act) {
        self.planned += 1;
        self.plans
            .insert((self.now.plus_ms(in_ms), self.planned), act);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.now.since(START) >= HOUR_MS
    }

    /// Nothing else is planned.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.plans.is_empty()
    }

    fn act(&mut self, act: Act) -> Verdict {
        match act {
            Act::Visit(buyer) => self.visit(buyer),
            Act::Wish(wish) => self.wish(wish),
            Act::Flash(listing) => self.flash(listing),
            Act::Host => self.host(),
            Act::EndShow => self.end_show(),
            Act::Tick => self.tick(),
            Act::Claims { boot } if boot == self.boot => self.commit_claims(),
            Act::Mirror { boot, mirror } if boot == self.boot => {
                self.hot(HotCommand::Mirror(mirror)).map(drop)
            }
            Act::EndCheckout {
                boot,
                order,
                bag,
                outcome,
            } if boot == self.boot => self
                .hot(HotCommand::EndCheckout {
                    order,
                    reservations: bag,
                    outcome,
                })
                .map(drop),
            Act::SetTotal {
                boot,
                listing,
                total,
            } if boot == self.boot => self.set_total(listing, total),
            Act::Reclaim { boot, order } if boot == self.boot => self.reclaim(order),
            Act::Reclaimed { boot, order, seats } if boot == self.boot => {
                self.finish_reclaim(order, &seats)
            }
            Act::AskCancel { boot, order } if boot == self.boot => self.ask_cancel(order),
            Act::AskRefund { boot, order, key } if boot == self.boot => self.ask_refund(order, key),
            Act::Pay { order, late } => self.pay(order, late),
            Act::Webhook { order, input } => self.webhook(order, input),
            Act::Reconcile => self.reconcile(),
            Act::Crash => self.crash(),
            Act::Return { crashed_at } => self.come_back(crashed_at),
            // Planned by a life of the node that is over.
            _ => Ok(()),
        }
    }

    /// One command to the hot store, heard by the oracle, written to the journal.
    pub(crate) fn hot(&mut self, command: HotCommand) -> Result<HotAnswer, String> {
        let answer = self.hot.apply(self.now, command);
        self.listen()?;
        if self.tally.steps.is_multiple_of(self.recount_every) {
            self.hot.check()?;
        }
        self.plan_tick();
        Ok(answer)
    }

    fn plan_tick(&mut self) {
        if let Some(due) = self.hot.next_due()
            && self.tick_at.is_none_or(|at| at > due)
        {
            self.tick_at = Some(due);
            self.plan(due.since(self.now).max(0), Act::Tick);
        }
    }

    fn listen(&mut self) -> Verdict {
        let outputs = self.hot.drain_outputs();
        self.journal.write(self.now, self.hot.drain_changes());
        for output in &outputs {
            self.oracle.hear(self.now, output)?;
            if let HotOutput::WaitlistOffer { buyer, .. } = output {
                let at = self.dice.range(1_000, 60_000);
                self.plan(at, Act::Visit(*buyer));
            }
        }
        Ok(())
    }

    fn tick(&mut self) -> Verdict {
        if self.tick_at.is_some_and(|at| at <= self.now) {
            self.tick_at = None;
        }
        if self.up && self.hot.next_due().is_some_and(|due| due <= self.now) {
            self.hot(HotCommand::Tick)?;
        }
        self.plan_tick();
        Ok(())
    }

    fn crash(&mut self) -> Verdict {
        if !self.up {
            return Ok(());
        }
        self.tally.crashes += 1;
        self.read_everything()?;
        self.journal.crash(self.now, &mut self.dice);
        self.hot = ShowStock::new();
        self.up = false;
        self.tick_at = None;
        if self.dice.chance(50) {
            // The whole node dies. What had reached the ledger may have been committed, unheard.
            self.boot += 1;
            self.claims_due = false;
            let batch = std::mem::take(&mut self.claims);
            if self.dice.chance(50) {
                self.commit(&batch)?;
            }
        }
        let away_ms = self.dice.range(50, 10_000);
        self.plan(
            away_ms,
            Act::Return {
                crashed_at: self.now,
            },
        );
        Ok(())
    }

    fn come_back(&mut self, crashed_at: UnixMs) -> Verdict {
        let (rows, waiting) = (self.journal.reservations(), self.journal.waiting());
        self.oracle
            .recovered(self.now, crashed_at, &rows, &waiting)?;
        self.up = true;
        self.load()?;
        self.read_everything()
    }

    /// Mirrors, then the journal's rows.
    fn load(&mut self) -> Verdict {
        let rows = self.journal.reservations();
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        for listing in self.listings.clone() {
            let mirror = self.ledger.whole_mirror(listing, &ids);
            self.hot(HotCommand::Mirror(mirror))?;
        }
        let restore = Restore {
            reservation_ttl_ms: self.ttl_ms,
            selling_closed: self.ended,
            reservations: rows,
            waitlist: self.journal.waiting(),
        };
        self.hot(HotCommand::Restore(restore)).map(drop)
    }

    /// Every buyer reads the own state, as after a reconnect: it must be what they were told.
    pub(crate) fn read_everything(&mut self) -> Verdict {
        let mut open = 0;
        for buyer in 1..=self.buyers {
            let buyer = UserId(buyer as u128);
            let mine = self.hot.reservations_of(buyer);
            open += mine.len();
            self.oracle.mine(buyer, &mine)?;
        }
        if open == self.oracle.open() {
            return Ok(());
        }
        Err(format!(
            "{open} reservations are open, {} were told so",
            self.oracle.open()
        ))
    }
}
