//! Opens the payment of an order: asks the provider, writes its answer into the ledger. Whoever
//! asks for the same order at the same time (the buyer's checkout, the worker) shares one call.

use std::sync::Arc;

use dashmap::DashMap;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use vetrina_protocol::id::OrderId;

use super::provider::{IntentRequest, PaymentProvider, ProviderError};
use vetrina_store::ledger::{OrderRow, PaymentRow};
use vetrina_store::{Ledger, StoreError};

/// Why a payment is not open. The order and its units are kept: the worker tries again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// The provider's side.
    #[error("{0}")]
    Provider(Arc<ProviderError>),
    /// The ledger's side.
    #[error("{0}")]
    Store(StoreError),
}

type Opening = Shared<BoxFuture<'static, Result<OrderRow, OpenError>>>;

/// Payments being opened. Cheap to clone.
#[derive(Clone)]
pub struct Intents {
    ledger: Arc<dyn Ledger>,
    provider: Arc<dyn PaymentProvider>,
    /// As many as calls in flight: bounded by the sessions and the worker's own bound.
    opening: Arc<DashMap<OrderId, Opening>>,
}

impl Intents {
    /// With the provider that takes the money.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, provider: Arc<dyn PaymentProvider>) -> Self {
        Self {
            ledger,
            provider,
            opening: Arc::default(),
        }
    }

    /// Opens the payment of an order and gives the order with its pay page. Goes on in the
    /// background when the caller stops waiting.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(&self, order: OrderRow) -> Result<OrderRow, OpenError> {
        if order.payment.is_some() {
            return Ok(order);
        }
        let id = order.id;
        let opening = self
            .opening
            .entry(id)
            .or_insert_with(|| {
                let this = self.clone();
                let task = tokio::spawn(async move {
                    let opened = this.ask(order).await;
                    this.opening.remove(&id);
                    opened
                });
                // A panic in there is our bug; the worker asks again.
                task.map(|joined| {
                    joined.unwrap_or_else(|error| {
                        let error = ProviderError::Unknown(error.to_string());
                        Err(OpenError::Provider(Arc::new(error)))
                    })
                })
                .boxed()
                .shared()
            })
            .clone();
        opening.await
    }

    async fn ask(&self, order: OrderRow) -> Result<OrderRow, OpenError> {
        let request = IntentRequest {
            order: order.id,
            amount: order.total,
            description: order.number,
            pay_by: order.life.pay_by,
        };
        let intent = self
            .provider
            .create_intent(&request)
            .await
            .map_err(|error| OpenError::Provider(Arc::new(error)))?;
        let payment = PaymentRow {
            provider: self.provider.name().to_owned(),
            intent: intent.id,
            pay_url: intent.pay_url,
        };
        self.ledger
            .set_payment(order.id, payment)
            .await
            .map_err(OpenError::Store)
    }
}
