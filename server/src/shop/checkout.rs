//! From reservations to an order: fence in the hot store, claim in the ledger, mirror, pay page.
//!
//! The ledger's silence is never a refusal: the client is told to try again with the same key, and
//! meanwhile this node asks on until it knows.

use std::time::Duration;

use vetrina_core::checkout::{ClaimLine, ClaimRequest};
use vetrina_core::hot::{CheckoutOutcome, HotAnswer, HotCommand};
use vetrina_core::limits::CHECKOUT_FENCE_MS_DEFAULT;
use vetrina_core::refused::Refused;
use vetrina_core::text;
use vetrina_protocol::client::Delivery;
use vetrina_protocol::id::{OrderId, ReservationId};
use vetrina_protocol::refusal::{Advice, RefusalCode};
use vetrina_protocol::server::Done;
use vetrina_protocol::view::{OrderState, Reservation};

use super::Shop;
use super::command::{Ask, Wish};
use super::ids;
use super::limits::{
    CLAIM_TRIES_MAX, DELIVERY_EMAIL_CHARS_MAX, DELIVERY_LINE_CHARS_MAX, DELIVERY_LINES_MAX,
    DELIVERY_NAME_CHARS_MAX, DELIVERY_POSTCODE_CHARS_MAX, PAYMENT_OPEN_WITHIN, TOLD_WITHIN,
};
use crate::ops::metrics::Part;
use crate::refused::invalid;
use vetrina_store::StoreError;
use vetrina_store::ledger::{Checkout, Claimed, OrderRow};

impl Shop {
    pub(super) async fn buy_now(
        &self,
        ask: &Ask,
        wish: Wish,
        delivery: Option<Delivery>,
    ) -> Result<Done, Refused> {
        let delivery = self.may_check_out(delivery)?;
        let order = ids::order(ask, ask.need_key()?);
        match self.make_reservation(ask, wish).await {
            Ok(reservation) => {
                self.order_bag(ask, order, vec![reservation.id], delivery)
                    .await
            }
            Err(refused) => self.earlier_order(ask, order, delivery, refused).await,
        }
    }

    pub(super) async fn checkout(
        &self,
        ask: &Ask,
        reservations: Vec<ReservationId>,
        delivery: Option<Delivery>,
    ) -> Result<Done, Refused> {
        let delivery = self.may_check_out(delivery)?;
        let order = ids::order(ask, ask.need_key()?);
        self.order_bag(ask, order, reservations, delivery).await
    }

    fn may_check_out(&self, delivery: Option<Delivery>) -> Result<Option<Delivery>, Refused> {
        if self.inner.parts.payments.is_none() {
            return Err(Refused::new(
                RefusalCode::PaymentUnavailable,
                "this shop has no payment provider; the seller must set one up",
            ));
        }
        delivery.map(check_delivery).transpose()
    }

    async fn order_bag(
        &self,
        ask: &Ask,
        order: OrderId,
        reservations: Vec<ReservationId>,
        delivery: Option<Delivery>,
    ) -> Result<Done, Refused> {
        let begin = HotCommand::BeginCheckout {
            order,
            buyer: ask.by.user,
            reservations: reservations.clone(),
            fence_ms: CHECKOUT_FENCE_MS_DEFAULT,
        };
        let bag = match self.apply(ask.show, begin).await {
            Ok(applied) => match applied.answer {
                HotAnswer::Bag(bag) => bag,
                answer => return Err(self.unexpected("BeginCheckout", &answer)),
            },
            Err(refused) => return self.earlier_order(ask, order, delivery, refused).await,
        };
        let lines = bag.iter().map(claim_line).collect();
        self.claim(ask, order, lines, delivery).await
    }

    /// The hot store may have forgotten the reservations of an order that this key made before:
    /// then the ledger's answer counts, and not the refusal.
    async fn earlier_order(
        &self,
        ask: &Ask,
        order: OrderId,
        delivery: Option<Delivery>,
        refused: Refused,
    ) -> Result<Done, Refused> {
        if refused.code.advice() == Advice::Retry {
            return Err(refused);
        }
        let known = self
            .ledger()
            .order(order)
            .await
            .map_err(|error| self.refusal(error))?;
        let Some(known) = known.filter(|known| known.buyer == ask.by.user) else {
            return Err(refused);
        };
        let lines = known.lines.iter().map(|line| ClaimLine {
            reservation: line.reservation,
            listing: line.listing,
            quantity: line.quantity,
            unit_price: line.unit_price,
        });
        self.claim(ask, order, lines.collect(), delivery).await
    }

    async fn claim(
        &self,
        ask: &Ask,
        order: OrderId,
        lines: Vec<ClaimLine>,
        delivery: Option<Delivery>,
    ) -> Result<Done, Refused> {
        let key = ask.need_key()?;
        let checkout = Checkout {
            claim: ClaimRequest {
                order,
                buyer: ask.by.user,
                key: key.text.clone(),
                body: key.body,
                lines,
            },
            show: ask.show,
            buyer_name: ask.by.name.clone(),
            delivery,
            now: self.clock().now(),
        };
        match self.ledger().claim(checkout.clone()).await {
            Ok(claimed) => {
                let row = self.claimed(&checkout, claimed).await;
                let row = self.with_pay_page(row).await;
                Ok(Done {
                    order: Some(row.view()),
                    ..Done::default()
                })
            }
            Err(StoreError::Refused(refused)) => {
                self.claim_refused(&checkout).await;
                Err(refused)
            }
            Err(StoreError::Busy(what)) => {
                // Nothing was written, so nothing is in doubt.
                self.claim_refused(&checkout).await;
                Err(self.refusal(StoreError::Busy(what)))
            }
            Err(error @ StoreError::Unavailable(_)) => {
                let shop = self.clone();
                tokio::spawn(async move { shop.ask_on(checkout).await });
                Err(self.refusal(error))
            }
        }
    }

    /// Tells the hot store, the buyer and the desk of a claim. It is on disk: who asked does not
    /// wait for a hot store that is away.
    async fn claimed(&self, checkout: &Checkout, claimed: Claimed) -> OrderRow {
        let row = claimed.order.clone();
        let (shop, checkout) = (self.clone(), checkout.clone());
        let telling = tokio::spawn(async move {
            shop.mirror(checkout.show, claimed.mirrors).await;
            shop.end_checkout(&checkout, CheckoutOutcome::Claimed).await;
            if !claimed.existing {
                shop.metrics().order(OrderState::Pending);
                shop.tell_order(&claimed.order).await;
            }
        });
        if let Ok(Err(error)) = tokio::time::timeout(TOLD_WITHIN, telling).await {
            self.metrics().error(Part::Shop);
            tracing::error!(%error, order = %row.id, "telling of an order panicked");
        }
        row
    }

    async fn claim_refused(&self, checkout: &Checkout) {
        self.end_checkout(checkout, CheckoutOutcome::Failed).await;
    }

    async fn end_checkout(&self, checkout: &Checkout, outcome: CheckoutOutcome) {
        let command = HotCommand::EndCheckout {
            order: checkout.claim.order,
            reservations: checkout
                .claim
                .lines
                .iter()
                .map(|line| line.reservation)
                .collect(),
            outcome,
        };
        if let Err(refused) = self.apply(checkout.show, command).await {
            // The fence passes by itself, and the mirror names what was claimed.
            tracing::warn!(%refused, "the hot store did not take the end of a checkout");
        }
    }

    /// Finds out what became of a claim that the ledger did not answer: the same claim again, until
    /// it does. A client that retries with its key meanwhile does no harm.
    async fn ask_on(&self, checkout: Checkout) {
        for attempt in 0..CLAIM_TRIES_MAX {
            tokio::time::sleep(Duration::from_secs(1 << attempt)).await;
            match self.ledger().claim(checkout.clone()).await {
                Ok(claimed) => {
                    // Even if it was written the first time, nobody has been told yet.
                    let told = Claimed {
                        existing: false,
                        ..claimed
                    };
                    self.claimed(&checkout, told).await;
                    return;
                }
                Err(StoreError::Refused(_)) => {
                    self.claim_refused(&checkout).await;
                    return;
                }
                Err(StoreError::Busy(_) | StoreError::Unavailable(_)) => {}
            }
        }
        self.metrics().error(Part::Shop);
        let order = checkout.claim.order;
        tracing::error!(%order, tries = CLAIM_TRIES_MAX, "the ledger never said if it claimed");
    }

    /// The order with its pay page, if the provider is quick. When it is not, the page is told by
    /// `OrderChanged` as soon as it is there.
    async fn with_pay_page(&self, row: OrderRow) -> OrderRow {
        let Some(intents) = self.inner.parts.payments.clone() else {
            return row;
        };
        if row.payment.is_some() || !row.life.phase.is_payable() {
            return row;
        }
        let shop = self.clone();
        let pending = row.clone();
        let opening = tokio::spawn(async move {
            let opened = intents.open(pending).await;
            match &opened {
                Ok(row) => {
                    let row = row.clone();
                    tokio::spawn(async move { shop.tell_order(&row).await });
                }
                // The outbox has this order too, and goes on trying.
                Err(error) => tracing::warn!(%error, "a payment could not be opened at once"),
            }
            opened.ok()
        });
        match tokio::time::timeout(PAYMENT_OPEN_WITHIN, opening).await {
            Ok(Ok(Some(opened))) => opened,
            Ok(Err(error)) => {
                self.metrics().error(Part::Payment);
                tracing::error!(%error, order = %row.id, "opening a payment panicked");
                row
            }
            Ok(Ok(None)) | Err(_) => row,
        }
    }
}

fn claim_line(reservation: &Reservation) -> ClaimLine {
    ClaimLine {
        reservation: reservation.id,
        listing: reservation.listing,
        quantity: reservation.quantity,
        unit_price: reservation.unit_price,
    }
}

/// An address with everything invisible taken out.
fn check_delivery(delivery: Delivery) -> Result<Delivery, Refused> {
    if delivery.lines.is_empty() || delivery.lines.len() > DELIVERY_LINES_MAX {
        let what = format_args!("must have from 1 to {DELIVERY_LINES_MAX} lines");
        return Err(invalid("delivery.lines", what));
    }
    let line = |line: &String| field("delivery.lines", line, DELIVERY_LINE_CHARS_MAX);
    let country = delivery.country.as_bytes();
    if country.len() != 2 || !country.iter().all(u8::is_ascii_uppercase) {
        return Err(invalid(
            "delivery.country",
            "must be two capital letters, such as IT",
        ));
    }
    Ok(Delivery {
        name: field("delivery.name", &delivery.name, DELIVERY_NAME_CHARS_MAX)?,
        email: delivery.email.as_deref().map(check_email).transpose()?,
        lines: delivery.lines.iter().map(line).collect::<Result<_, _>>()?,
        postcode: field(
            "delivery.postcode",
            &delivery.postcode,
            DELIVERY_POSTCODE_CHARS_MAX,
        )?,
        city: field("delivery.city", &delivery.city, DELIVERY_LINE_CHARS_MAX)?,
        country: delivery.country,
    })
}

fn check_email(email: &str) -> Result<String, Refused> {
    let email = field("delivery.email", email, DELIVERY_EMAIL_CHARS_MAX)?;
    match email.split_once('@') {
        Some((user, host)) if !user.is_empty() && !host.is_empty() && !email.contains(' ') => {
            Ok(email)
        }
        _ => Err(invalid(
            "delivery.email",
            "must be an address such as anna@example.org",
        )),
    }
}

fn field(name: &str, value: &str, chars_max: usize) -> Result<String, Refused> {
    let value = text::clean(value);
    if value.is_empty() || value.chars().count() > chars_max {
        return Err(invalid(
            name,
            format_args!("must have from 1 to {chars_max} characters"),
        ));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery() -> Delivery {
        Delivery {
            name: "Anna Bianchi".into(),
            email: Some("anna@example.org".into()),
            lines: vec!["Via Roma 1".into()],
            postcode: "20121".into(),
            city: "Milano".into(),
            country: "IT".into(),
        }
    }

    #[test]
    fn an_address_is_checked_field_by_field() {
        assert!(check_delivery(delivery()).is_ok());
        type Spoil = fn(&mut Delivery);
        let wrong: [(&str, Spoil); 7] = [
            ("delivery.name", |d| d.name = "  ".into()),
            ("delivery.name", |d| d.name = "x".repeat(101)),
            ("delivery.email", |d| d.email = Some("anna".into())),
            ("delivery.lines", |d| d.lines.clear()),
            ("delivery.lines", |d| d.lines = vec!["x".into(); 5]),
            ("delivery.city", |d| d.city = "\u{202e}".into()),
            ("delivery.country", |d| d.country = "it".into()),
        ];
        for (name, change) in wrong {
            let mut changed = delivery();
            change(&mut changed);
            let refused = check_delivery(changed).unwrap_err();
            assert!(refused.message.starts_with(name), "{name}: {refused}");
        }
    }
}
