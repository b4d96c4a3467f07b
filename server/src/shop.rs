//! What can be done in a shop: one closed list of commands, each in a file of its own: validate,
//! decide (core), store, publish. The channel and REST call the same functions, so a pin is a pin
//! wherever it comes from.
//!
//! It refuses to know sockets, HTTP and SQL. A command that has begun runs to its end even if
//! nobody stays to hear the answer; the answer is kept under the command's key and repeated.

mod answers;
mod checkout;
mod command;
mod comment;
mod facts;
mod ids;
mod limits;
mod listing;
mod moderation;
mod orders;
mod pin;
mod private;
mod reserve;
mod scene;
mod show;
mod upkeep;
mod waitlist;

use std::sync::Arc;

use vetrina_core::hot::{HotAnswer, HotCommand};
use vetrina_core::refused::Refused;
use vetrina_protocol::id::ShowId;
use vetrina_protocol::server::Done;
use vetrina_protocol::time::MediaTime;

pub use command::{Ask, Command, Key, Wish};
pub use facts::ShowFacts;

use crate::clock::Clock;
use crate::ops::metrics::{Metrics, Part, ReservationOutcome};
use crate::origins::Origins;
use crate::payment::intents::Intents;
use answers::{Answers, RemoteAnswers};
use facts::Facts;
use orders::LateMirrors;
use scene::Scenes;
use vetrina_store::{HotStore, Ledger, Shared, StoreError};

/// The broadcasts as the shop needs them.
pub trait MediaClock: Send + Sync {
    /// Media time of the newest video frame of a show that reached the server.
    fn newest_frame(&self, show: ShowId) -> Option<MediaTime>;

    /// The show has ended: its broadcast ends with it. Returns at once.
    fn end(&self, show: ShowId);
}

/// Everything that a shop stands on.
pub struct Parts {
    /// Who may try, the logs, private facts.
    pub hot: Arc<dyn HotStore>,
    /// What is promised.
    pub ledger: Arc<dyn Ledger>,
    /// First answers and rates of all nodes; none: this is the only one.
    pub shared: Option<Arc<dyn Shared>>,
    /// Opens payments; without a provider nobody can check out.
    pub payments: Option<Intents>,
    /// Video.
    pub media: Arc<dyn MediaClock>,
    /// Where it is.
    pub origins: Origins,
    /// The server's time.
    pub clock: Clock,
    /// Figures.
    pub metrics: Metrics,
}

/// The shop of this node. Clones share it.
#[derive(Clone)]
pub struct Shop {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    answers: Answers,
    facts: Facts,
    scenes: Scenes,
    late_mirrors: LateMirrors,
}

impl std::fmt::Debug for Shop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shop")
    }
}

impl Shop {
    /// Opens the shop.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            inner: Arc::new(Inner {
                parts,
                answers: Answers::default(),
                facts: Facts::default(),
                scenes: Scenes::default(),
                late_mirrors: LateMirrors::default(),
            }),
        }
    }

    /// Carries out one command. With a key the first answer is kept for ten minutes and repeated;
    /// refusals that waiting may cure are not kept. `id` of the answer is 0: it is the caller's
    /// own.
    ///
    /// # Errors
    /// The table in `protocol/README.md` says which refusals a command knows.
    pub async fn carry_out(&self, ask: Ask, command: Command) -> Result<Done, Refused> {
        let answer = self.answer(ask, command).await;
        self.inner
            .parts
            .metrics
            .command(answer.as_ref().map(|_| ()).map_err(|r| r.code));
        answer
    }

    async fn answer(&self, ask: Ask, command: Command) -> Result<Done, Refused> {
        command.check_role(ask.by.role)?;
        let facts = self.facts(ask.show).await?;
        facts.check_scope(&ask.by)?;
        let shop = self.clone();
        let Some(key) = ask.key.clone() else {
            return self
                .detached(async move { shop.run(&ask, command).await })
                .await;
        };
        key.check()?;
        let now = self.inner.parts.clock.now();
        let slot = self.inner.answers.slot(ask.show, ask.by.user, &key, now)?;
        self.detached(async move { slot.first_answer(shop.once(&ask, &key, command)).await })
            .await
    }

    /// The first answer that any node gave to this key.
    async fn once(&self, ask: &Ask, key: &Key, command: Command) -> Result<Done, Refused> {
        match self.shared() {
            // What is known by ids made of its key is recognised by the stores themselves.
            Some(shared) if !command.is_known_by_its_ids() => {
                let answers = RemoteAnswers::of(shared, ask.show, ask.by.user);
                let known = answers.recall(key).await;
                if let Some(known) = known.map_err(|error| self.refusal(error))? {
                    return known?;
                }
                let answer = self.run(ask, command).await;
                if let Err(error) = answers.remember(key, &answer).await {
                    self.metrics().error(Part::Store);
                    tracing::warn!(%error, show = %ask.show, "other nodes do not know an answer");
                }
                answer
            }
            _ => self.run(ask, command).await,
        }
    }

    /// Runs a command in a task of its own, so that a session that ends in the middle of a checkout
    /// leaves no half of it behind, and a retry waits for the first try.
    async fn detached(
        &self,
        command: impl Future<Output = Result<Done, Refused>> + Send + 'static,
    ) -> Result<Done, Refused> {
        match tokio::spawn(command).await {
            Ok(answer) => answer,
            Err(error) => {
                self.inner.parts.metrics.error(Part::Shop);
                tracing::error!(%error, "a command panicked; its client was answered `internal`");
                Err(crate::refused::internal())
            }
        }
    }

    async fn run(&self, ask: &Ask, command: Command) -> Result<Done, Refused> {
        match command {
            Command::Reserve(wish) => {
                let answer = self.reserve(ask, wish).await;
                let outcome = match answer {
                    Ok(_) => ReservationOutcome::Granted,
                    Err(_) => ReservationOutcome::Refused,
                };
                self.inner.parts.metrics.reservation(outcome);
                answer
            }
            Command::ExtendReservation(reservation) => self.extend(ask, reservation).await,
            Command::ReleaseReservation(reservation) => self.release(ask, reservation).await,
            Command::JoinWaitlist { listing, quantity } => {
                self.join_waitlist(ask, listing, quantity).await
            }
            Command::LeaveWaitlist { listing } => self.leave_waitlist(ask, listing).await,
            Command::Checkout {
                reservations,
                delivery,
            } => self.checkout(ask, reservations, delivery).await,
            Command::BuyNow { wish, delivery } => self.buy_now(ask, wish, delivery).await,
            Command::CancelOrder(order) => self.cancel_order(ask, order).await,
            Command::Comment { text, media_time } => self.comment(ask, &text, media_time).await,
            Command::StartShow => self.start_show(ask.show).await,
            Command::EndShow => self.end_show(ask.show).await,
            Command::Pin {
                listing,
                media_time,
            } => self.pin(ask.show, listing, media_time).await,
            Command::Unpin => self.unpin(ask.show).await,
            Command::ChangeListing { listing, change } => {
                self.change_listing(ask.show, listing, change).await
            }
            Command::OrderListings(listings) => self.order_listings(ask.show, listings).await,
            Command::DeleteComment(comment) => self.delete_comment(ask.show, comment).await,
            Command::MuteViewer { viewer, muted } => {
                self.mute_viewer(ask.show, viewer, muted).await
            }
            Command::SlowMode { seconds } => self.slow_mode(ask.show, seconds).await,
        }
    }

    /// The hot store, for the channel's rooms.
    #[must_use]
    pub fn hot(&self) -> &Arc<dyn HotStore> {
        &self.inner.parts.hot
    }

    /// What all nodes know, if there are others.
    #[must_use]
    pub fn shared(&self) -> Option<&Arc<dyn Shared>> {
        self.inner.parts.shared.as_ref()
    }

    /// The ledger, for reading.
    #[must_use]
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.inner.parts.ledger
    }

    /// The server's time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.parts.clock
    }

    /// This process's figures.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.inner.parts.metrics
    }

    /// One hot command whose refusal is an answer like any other.
    async fn apply(
        &self,
        show: ShowId,
        command: HotCommand,
    ) -> Result<vetrina_store::hot::Applied, Refused> {
        let applied = self
            .hot()
            .apply(show, command)
            .await
            .map_err(|e| self.refusal(e))?;
        match applied.answer {
            HotAnswer::Refused(refused) => Err(refused),
            _ => Ok(applied),
        }
    }

    /// What a client is told of a store's error. Busy and silent stores count as failures.
    fn refusal(&self, error: StoreError) -> Refused {
        if !matches!(error, StoreError::Refused(_)) {
            self.inner.parts.metrics.error(Part::Store);
        }
        error.refusal()
    }

    /// The hot store answered a command with something that is not its answer: our bug.
    fn unexpected(&self, command: &'static str, answer: &HotAnswer) -> Refused {
        self.inner.parts.metrics.error(Part::Shop);
        tracing::error!(
            command,
            ?answer,
            "the hot store's answer is not one to this command"
        );
        crate::refused::internal()
    }
}
