//! A small world for the suite: a seller, a show, listings, buyers, and a clock that moves when it
//! is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use vetrina_core::checkout::{BodyDigest, ClaimLine, ClaimRequest};
use vetrina_core::hot::{HotAnswer, HotCommand, Reserve};
use vetrina_core::order::OrderInput;
use vetrina_core::show::ShowTransition;
use vetrina_protocol::id::{
    ListingId, OrderId, ProductId, ReservationId, SellerId, ShowId, SkuId, UserId,
};
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::{Reservation, ShowState};
use vetrina_store::hot::{Applied, HotStore};
use vetrina_store::ledger::{
    Checkout, Claimed, Ledger, ListingRow, NewListingRow, NewSkuRow, Once, OrderChange,
    OrderRequest, ProductRow, SellerRow, ShowRow, WebhookId,
};
use vetrina_store::{Now, StoreError};

pub(crate) use super::backends::Backend;

/// See the module's words.
pub(crate) struct World<B> {
    pub(crate) backend: B,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) hot: Arc<dyn HotStore>,
    pub(crate) seller: SellerId,
    pub(crate) show: ShowId,
    clock: Arc<AtomicI64>,
    ids: AtomicU64,
}

/// Long enough for a busy machine, short enough to notice a hang.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) fn eur(amount_minor: i64) -> Money {
    Money::new(amount_minor, Currency::EUR)
}

/// The code of a refusal; panics on anything else.
pub(crate) fn code<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> RefusalCode {
    match outcome {
        Err(StoreError::Refused(refused)) => refused.code,
        other => panic!("not refused: {other:?}"),
    }
}

impl<B: Backend> World<B> {
    /// A live show of one seller, without listings.
    pub(crate) async fn new() -> Self {
        let backend = B::new();
        let clock = Arc::new(AtomicI64::new(1_800_000_000_000));
        let ledger = backend.ledger().await;
        let hot = backend.hot(Arc::clone(&ledger), now_of(&clock)).await;
        let mut world = Self {
            backend,
            ledger,
            hot,
            seller: SellerId(1),
            show: ShowId(0),
            clock,
            ids: AtomicU64::new(1_000),
        };
        let seller = SellerRow {
            id: world.seller,
            name: "Ceramiche Rossi".into(),
        };
        world.ledger.put_seller(seller).await.expect("a seller");
        world.show = world.new_show().await;
        world.go_live(world.show).await;
        world
    }

    pub(crate) fn now(&self) -> UnixMs {
        UnixMs(self.clock.load(Ordering::SeqCst))
    }

    pub(crate) fn advance_ms(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> Now {
        now_of(&self.clock)
    }

    /// A number that was not given before.
    pub(crate) fn fresh(&self) -> u128 {
        // Spread like real ids: the order of ids is not the order of time.
        let number = u128::from(self.ids.fetch_add(1, Ordering::SeqCst));
        number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835) | 1
    }

    pub(crate) fn once(&self, key: &str, body: u8) -> Once {
        Once {
            seller: self.seller,
            key: key.into(),
            body: BodyDigest([body; 32]),
        }
    }

    pub(crate) fn once_new(&self) -> Once {
        self.once(&format!("{:x}", self.fresh()), 0)
    }

    /// A show that is not live yet.
    pub(crate) fn show_row(&self) -> ShowRow {
        ShowRow {
            id: ShowId(self.fresh()),
            seller: self.seller,
            seller_name: String::new(),
            title: "Sera di ceramica".into(),
            state: ShowState::Scheduled,
            currency: Currency::EUR,
            starts_at: None,
            live_at: None,
            ended_at: None,
            poster: None,
            reservation_ttl_s: 120,
            order_deadline_s: 600,
            created_at: self.now(),
        }
    }

    pub(crate) async fn new_show(&self) -> ShowId {
        let row = self.show_row();
        self.ledger
            .create_show(self.once_new(), row)
            .await
            .expect("a show")
            .id
    }

    pub(crate) async fn go_live(&self, show: ShowId) {
        let moved = self
            .ledger
            .move_show(show, ShowTransition::GoLive, self.now())
            .await;
        assert!(moved.expect("live").1);
    }

    pub(crate) fn product_row(&self, title: &str) -> ProductRow {
        ProductRow {
            id: ProductId(self.fresh()),
            seller: self.seller,
            title: title.into(),
            description: Some("Fatto a mano".into()),
            picture: None,
            skus: Vec::new(),
            created_at: self.now(),
        }
    }

    pub(crate) fn sku_row(&self, inventory: u32) -> NewSkuRow {
        NewSkuRow {
            id: SkuId(self.fresh()),
            code: format!("{:x}", self.fresh()),
            variant: Some("blu".into()),
            price: eur(1_990),
            inventory,
        }
    }

    /// A sku with so many units.
    pub(crate) async fn sku(&self, inventory: u32) -> SkuId {
        let (product, sku) = (self.product_row("Vaso"), self.sku_row(inventory));
        let made = self
            .ledger
            .create_product(self.once_new(), product, vec![sku])
            .await;
        made.expect("a product").skus[0].id
    }

    pub(crate) fn new_listing(&self, show: ShowId, sku: SkuId, total: u32) -> NewListingRow {
        NewListingRow {
            id: ListingId(self.fresh()),
            show,
            sku,
            price: None,
            total,
            per_buyer: 2,
        }
    }

    /// A listing of the show, published, two per buyer.
    pub(crate) async fn listing(&self, total: u32) -> ListingRow {
        let sku = self.sku(total + 10).await;
        let new = self.new_listing(self.show, sku, total);
        let row = self
            .ledger
            .create_listing(self.once_new(), new)
            .await
            .expect("a listing");
        self.hot.publish(self.show, &row).await.expect("published");
        row
    }

    pub(crate) fn buyer(&self) -> UserId {
        UserId(self.fresh())
    }

    pub(crate) fn reserve_command(
        &self,
        buyer: UserId,
        listing: ListingId,
        quantity: u32,
    ) -> HotCommand {
        HotCommand::Reserve(Reserve {
            reservation: ReservationId(self.fresh()),
            buyer,
            buyer_name: "Ada".into(),
            listing,
            quantity,
            media_time: None,
        })
    }

    pub(crate) async fn apply(&self, command: HotCommand) -> Applied {
        self.hot
            .apply(self.show, command)
            .await
            .expect("the store answers")
    }

    /// Reserves, and expects it to be granted.
    pub(crate) async fn reserve(
        &self,
        buyer: UserId,
        listing: ListingId,
        quantity: u32,
    ) -> Reservation {
        match self
            .apply(self.reserve_command(buyer, listing, quantity))
            .await
            .answer
        {
            HotAnswer::Reservation { reservation, .. } => reservation,
            other => panic!("not granted: {other:?}"),
        }
    }

    /// A checkout of one line, without a reservation in the hot store.
    pub(crate) fn checkout(&self, buyer: UserId, listing: &ListingRow, quantity: u32) -> Checkout {
        let line = ClaimLine {
            reservation: ReservationId(self.fresh()),
            listing: listing.id,
            quantity,
            unit_price: listing.price,
        };
        self.checkout_of(buyer, &format!("{:x}", self.fresh()), vec![line])
    }

    pub(crate) fn checkout_of(&self, buyer: UserId, key: &str, lines: Vec<ClaimLine>) -> Checkout {
        Checkout {
            claim: ClaimRequest {
                order: OrderId(self.fresh()),
                buyer,
                key: key.into(),
                body: BodyDigest([7; 32]),
                lines,
            },
            show: self.show,
            buyer_name: "Ada".into(),
            delivery: None,
            now: self.now(),
        }
    }

    /// An order of one line, pending.
    pub(crate) async fn order(&self, listing: &ListingRow, quantity: u32) -> Claimed {
        let checkout = self.checkout(self.buyer(), listing, quantity);
        self.ledger.claim(checkout).await.expect("claimed")
    }

    pub(crate) async fn input(&self, order: OrderId, input: OrderInput) -> OrderChange {
        self.ledger
            .order_input(request(order, input))
            .await
            .expect("applied")
    }

    pub(crate) async fn row(&self, listing: ListingId) -> ListingRow {
        self.ledger
            .listing(listing)
            .await
            .expect("read")
            .expect("the listing")
    }

    /// Ends the hot store in good order, makes it lose everything, and starts another.
    pub(crate) async fn lose(&mut self) {
        self.hot.shutdown().await;
        self.backend.forget().await;
        self.hot = self
            .backend
            .hot(Arc::clone(&self.ledger), self.clock())
            .await;
    }

    /// Ends the hot store in good order and starts another.
    pub(crate) async fn restart(&mut self) {
        self.hot.shutdown().await;
        self.hot = self
            .backend
            .hot(Arc::clone(&self.ledger), self.clock())
            .await;
    }
}

pub(crate) fn request(order: OrderId, input: OrderInput) -> OrderRequest {
    OrderRequest {
        order,
        input,
        webhook: None,
        seats: Vec::new(),
    }
}

pub(crate) fn webhook(order: OrderId, input: OrderInput, event: &str) -> OrderRequest {
    OrderRequest {
        webhook: Some(WebhookId {
            provider: "sandbox".into(),
            event: event.into(),
        }),
        ..request(order, input)
    }
}

/// A small generator with a seed, so that a failure can be repeated.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    /// From 0 to below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).expect("small");
            items.swap(last, other);
        }
    }
}

fn now_of(clock: &Arc<AtomicI64>) -> Now {
    let clock = Arc::clone(clock);
    Arc::new(move || UnixMs(clock.load(Ordering::SeqCst)))
}
