//! Claims, orders, payments and the outbox.

use async_trait::async_trait;
use tokio::sync::watch;
use vetrina_core::checkout::ClaimRequest;
use vetrina_core::hot::Mirror;
use vetrina_core::order::{OrderInput, OrderLife};
use vetrina_protocol::client::Delivery;
use vetrina_protocol::id::{ListingId, OrderId, ReservationId, SellerId, ShowId, UserId};
use vetrina_protocol::money::Money;
use vetrina_protocol::rest::Page;
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::{Order, OrderLine, PaymentPage};

use super::PageRequest;
use crate::StoreError;

/// A checkout to be claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// What core decides over.
    pub claim: ClaimRequest,
    /// In which show; every line must be one of its listings.
    pub show: ShowId,
    /// Display name, for the desk.
    pub buyer_name: String,
    /// Where to send it.
    pub delivery: Option<Delivery>,
    /// Now. The order may be paid for the show's `order_deadline_s` from here.
    pub now: UnixMs,
}

/// The ledger promised the units.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The order, new or the one that this key made before.
    pub order: OrderRow,
    /// It existed; nothing was done now.
    pub existing: bool,
    /// For the hot store, with the reservations settled; send them also when it existed.
    pub mirrors: Vec<Mirror>,
}

/// An order.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderRow {
    /// Id.
    pub id: OrderId,
    /// Short and unique within the seller, such as `V-1042`.
    pub number: String,
    /// Whose sale.
    pub seller: SellerId,
    /// In which show.
    pub show: ShowId,
    /// Who buys.
    pub buyer: UserId,
    /// Display name.
    pub buyer_name: String,
    /// Where it is; what decides. `version` here grows with every change of the whole order.
    pub life: OrderLife,
    /// What.
    pub lines: Vec<OrderLineRow>,
    /// Sum to pay.
    pub total: Money,
    /// When it was made.
    pub created_at: UnixMs,
    /// The provider's side, once it answered.
    pub payment: Option<PaymentRow>,
    /// Where it goes. Personal: only for its buyer and the fulfilment role.
    pub delivery: Option<Delivery>,
}

/// One reservation of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLineRow {
    /// The reservation it was.
    pub reservation: ReservationId,
    /// Of what.
    pub listing: ListingId,
    /// Title at the time of sale.
    pub title: String,
    /// Variant at the time of sale.
    pub variant: Option<String>,
    /// Units.
    pub quantity: u32,
    /// Price of one.
    pub unit_price: Money,
}

/// The payment of an order at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentRow {
    /// The provider's name.
    pub provider: String,
    /// The provider's id of it.
    pub intent: String,
    /// The provider's page for the buyer.
    pub pay_url: String,
}

impl OrderRow {
    /// As its buyer sees it: with the pay page while it may be paid, and with the address.
    #[must_use]
    pub fn view(&self) -> Order {
        let payment = self
            .payment
            .as_ref()
            .filter(|_| self.life.phase.is_payable());
        Order {
            id: self.id,
            number: self.number.clone(),
            show: self.show,
            state: self.life.phase.state(),
            lines: self.lines.iter().map(OrderLineRow::view).collect(),
            total: self.total,
            created_at_ms: self.created_at,
            pay_by_ms: self.life.pay_by,
            paid_at_ms: self.life.paid_at,
            payment: payment.map(|payment| PaymentPage {
                provider: payment.provider.clone(),
                url: payment.pay_url.clone(),
            }),
            delivery: self.delivery.clone(),
            version: self.life.version,
        }
    }

    /// As the seller's staff sees it: without the pay page; the address for fulfilment only.
    #[must_use]
    pub fn staff_view(&self, fulfilment: bool) -> Order {
        let mut order = self.view();
        order.payment = None;
        order.delivery = order.delivery.filter(|_| fulfilment);
        order
    }
}

impl OrderLineRow {
    /// As everybody who may see the order sees it.
    #[must_use]
    pub fn view(&self) -> OrderLine {
        let total = Money::new(
            self.unit_price
                .amount_minor
                .saturating_mul(i64::from(self.quantity)),
            self.unit_price.currency,
        );
        OrderLine {
            reservation: self.reservation,
            listing: self.listing,
            title: self.title.clone(),
            variant: self.variant.clone(),
            quantity: self.quantity,
            unit_price: self.unit_price,
            total,
        }
    }
}

/// Something happened to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRequest {
    /// Which.
    pub order: OrderId,
    /// What. `Reclaimed` takes the units in the same transaction; when the ledger cannot give
    /// them, `ReclaimRefused` is applied instead.
    pub input: OrderInput,
    /// By which webhook, so that each is applied once whatever is repeated.
    pub webhook: Option<WebhookId>,
    /// With `Reclaimed`: the hot store's reservations that hold the units meanwhile.
    pub seats: Vec<ReclaimSeat>,
}

/// A reservation that was made for a late payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReclaimSeat {
    /// Of what.
    pub listing: ListingId,
    /// Which.
    pub reservation: ReservationId,
}

/// A provider's event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookId {
    /// The provider's name.
    pub provider: String,
    /// The provider's id of the event.
    pub event: String,
}

/// What an input did to an order.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderChange {
    /// As it is now.
    pub order: OrderRow,
    /// The phase changed: tell the buyer and the desk.
    pub changed: bool,
    /// This webhook was applied before; nothing was done.
    pub duplicate: bool,
    /// For the hot store.
    pub mirrors: Vec<Mirror>,
}

/// What must be done outside because of an order. Stored in the transaction that decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkKind {
    /// Open the payment at the provider ([`Orders::set_payment`]); made with every claim.
    OpenIntent,
    /// Ask the provider to cancel.
    CancelIntent,
    /// Reserve the units again for a late payment.
    Reclaim,
    /// Ask the provider for the money back.
    Refund,
}

impl WorkKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::OpenIntent,
        Self::CancelIntent,
        Self::Reclaim,
        Self::Refund,
    ];

    /// The name in the outbox.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenIntent => "open_intent",
            Self::CancelIntent => "cancel_intent",
            Self::Reclaim => "reclaim",
            Self::Refund => "refund",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// One piece of work, leased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Its number in the outbox.
    pub id: i64,
    /// What.
    pub kind: WorkKind,
    /// For which order.
    pub order: OrderId,
    /// How often it was taken, this time included.
    pub attempts: u32,
    /// Until when it is this worker's. An expired lease may be finished all the same, unless
    /// another worker has taken it.
    pub leased_until: UnixMs,
}

/// Orders and what follows from them. One reservation makes at most one order line, ever; one key
/// of a buyer at most one order.
#[async_trait]
pub trait Orders: Send + Sync {
    /// Claims all lines or none. Concurrent claims are decided together, in the order they came,
    /// in one transaction. Refused as [`vetrina_core::checkout::ClaimAnswer::Refused`] says, and
    /// `show_unknown`; a listing of another show is `listing_unknown`.
    async fn claim(&self, checkout: Checkout) -> Result<Claimed, StoreError>;

    /// One order.
    async fn order(&self, order: OrderId) -> Result<Option<OrderRow>, StoreError>;
    /// A buyer's orders in one show or in all, newest first, at most `limit`.
    async fn orders_of_buyer(
        &self,
        buyer: UserId,
        show: Option<ShowId>,
        limit: u32,
    ) -> Result<Vec<OrderRow>, StoreError>;
    /// Everybody who has an order in this show, each once.
    async fn buyers_of_show(&self, show: ShowId) -> Result<Vec<UserId>, StoreError>;
    /// A show's orders, newest first.
    async fn orders_of_show(
        &self,
        show: ShowId,
        page: PageRequest,
    ) -> Result<Page<OrderRow>, StoreError>;
    /// A seller's orders, newest first.
    async fn orders_of_seller(
        &self,
        seller: SellerId,
        page: PageRequest,
    ) -> Result<Page<OrderRow>, StoreError>;

    /// Applies one input by core's rules with everything that follows, in one transaction: counters
    /// and inventory, outbox work, the webhook's mark. Refused: `order_unknown`, `order_closed`.
    /// A webhook for an unknown order is not marked.
    async fn order_input(&self, request: OrderRequest) -> Result<OrderChange, StoreError>;
    /// Remembers where an order is paid. The first answer stays; the order as it is now comes
    /// back. Refused: `order_unknown`.
    async fn set_payment(
        &self,
        order: OrderId,
        payment: PaymentRow,
    ) -> Result<OrderRow, StoreError>;
    /// Orders that may still be paid though their time is over, oldest first.
    async fn orders_past_deadline(
        &self,
        now: UnixMs,
        limit: u32,
    ) -> Result<Vec<OrderId>, StoreError>;
    /// Orders that wait for the provider's word (unpaid, cancelling, refunding) and were made
    /// before `made_before`, after `after` in order of id: for the reconciliation query.
    async fn orders_awaiting_provider(
        &self,
        made_before: UnixMs,
        after: Option<OrderId>,
        limit: u32,
    ) -> Result<Vec<OrderRow>, StoreError>;

    /// Takes due work of these kinds, oldest first, and leases it until `now + lease_ms`.
    async fn take_work(
        &self,
        worker: &str,
        kinds: &[WorkKind],
        now: UnixMs,
        lease_ms: i64,
        limit: u32,
    ) -> Result<Vec<Work>, StoreError>;
    /// Done: forget it. False when another worker took it over meanwhile.
    async fn finish_work(&self, worker: &str, work: i64) -> Result<bool, StoreError>;
    /// Not done: due again at `not_before`. False as above.
    async fn retry_work(
        &self,
        worker: &str,
        work: i64,
        not_before: UnixMs,
    ) -> Result<bool, StoreError>;
    /// Changes when new work was stored here, so that workers need not poll often.
    fn work_watch(&self) -> watch::Receiver<u64>;
}
