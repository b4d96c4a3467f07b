//! Durable claims on one hot sku: order, line, limit per buyer and outbox work of each. One after
//! the other, which is one transaction per claim, and by many buyers at once, whose claims gather.
//! The show, its product and its seller are made for it and stay in the ledger.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use uuid::Uuid;
use vetrina_core::checkout::{BodyDigest, ClaimLine, ClaimRequest};
use vetrina_core::limits::STOCK_TOTAL_MAX;
use vetrina_core::show::ShowTransition;
use vetrina_protocol::id::{
    ListingId, OrderId, ProductId, ReservationId, SellerId, ShowId, SkuId, UserId,
};
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::ShowState;

use crate::StoreError;
use crate::ledger::{
    Checkout, Ledger, ListingRow, NewListingRow, NewSkuRow, Once, OpenError, ProductRow, SellerRow,
    ShowRow, open,
};

/// Buyers of the second part: enough to fill a batch while the one before is written.
const BUYERS_AT_ONCE: usize = 4_096;

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClaimsFigures {
    /// Durable claims per second, many buyers at once.
    pub claims_per_second: f64,
    /// Durable claims per second, one transaction each.
    pub single_per_second: f64,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum ClaimsError {
    /// The ledger did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It did not do what was asked.
    #[error("the ledger did not claim: {0}")]
    Store(#[from] StoreError),
    /// It answered, and wrote something else.
    #[error("{answered} claims were acknowledged, and the ledger counts {counted}")]
    Miscounted {
        /// By the answers.
        answered: u64,
        /// By the row.
        counted: u32,
    },
}

/// Measures the ledger at `url`, about `each` for each of the two parts. The clock is the node's.
///
/// # Errors
/// See [`ClaimsError`].
pub async fn claims(url: &str, now: UnixMs, each: Duration) -> Result<ClaimsFigures, ClaimsError> {
    let ledger = open(url).await?;
    let measured = measure(&ledger, now, each).await;
    ledger.close().await;
    measured
}

async fn measure(
    ledger: &Arc<dyn Ledger>,
    now: UnixMs,
    each: Duration,
) -> Result<ClaimsFigures, ClaimsError> {
    let sale = Sale::begin(&**ledger, now).await?;
    // Plans, caches and connections are not what is measured.
    sale.rush(ledger, BUYERS_AT_ONCE, each / 4).await?;
    let mut answered = sale.listing(&**ledger).await?.claimed.into();
    let (single, took) = sale.rush(ledger, 1, each).await?;
    let single_per_second = per_second(single, took);
    let (many, took) = sale.rush(ledger, BUYERS_AT_ONCE, each).await?;
    answered += single + many;
    let counted = sale.listing(&**ledger).await?.claimed;
    if u64::from(counted) != answered {
        return Err(ClaimsError::Miscounted { answered, counted });
    }
    Ok(ClaimsFigures {
        claims_per_second: per_second(many, took),
        single_per_second,
    })
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// One listing with more units than anybody can claim in the time.
#[derive(Clone, Copy)]
struct Sale {
    show: ShowId,
    listing: ListingId,
    price: Money,
    now: UnixMs,
}

impl Sale {
    async fn begin(ledger: &dyn Ledger, now: UnixMs) -> Result<Self, StoreError> {
        let (seller, product) = (SellerId::now(), ProductId::now());
        let (show, listing, sku) = (ShowId::now(), ListingId::now(), SkuId::now());
        let price = Money::new(1_990, Currency::EUR);
        let once = |key: &str| Once {
            seller,
            key: key.into(),
            body: BodyDigest([0; 32]),
        };
        let name = "Measurement".to_owned();
        ledger.put_seller(SellerRow { id: seller, name }).await?;
        let sku_row = NewSkuRow {
            id: sku,
            code: "hot".into(),
            variant: None,
            price,
            inventory: STOCK_TOTAL_MAX,
        };
        let product = ProductRow {
            id: product,
            seller,
            title: "Hot".into(),
            description: None,
            picture: None,
            skus: Vec::new(),
            created_at: now,
        };
        let made = ledger.create_product(once("product"), product, vec![sku_row]);
        made.await?;
        let show_row = show_row(show, seller, now);
        ledger.create_show(once("show"), show_row).await?;
        let new = NewListingRow {
            id: listing,
            show,
            sku,
            price: None,
            total: STOCK_TOTAL_MAX,
            per_buyer: 1,
        };
        ledger.create_listing(once("listing"), new).await?;
        ledger.move_show(show, ShowTransition::GoLive, now).await?;
        Ok(Self {
            show,
            listing,
            price,
            now,
        })
    }

    /// So many buyers claim one unit each, again and again as new buyers. Gives how many were
    /// acknowledged, and in which time.
    async fn rush(
        self,
        ledger: &Arc<dyn Ledger>,
        buyers: usize,
        time: Duration,
    ) -> Result<(u64, Duration), StoreError> {
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..buyers {
            let ledger = Arc::clone(ledger);
            tasks.spawn(async move {
                let mut claimed = 0;
                while started.elapsed() < time {
                    ledger.claim(self.checkout()).await?;
                    claimed += 1;
                }
                Ok::<u64, StoreError>(claimed)
            });
        }
        let mut claimed = 0;
        for task in tasks.join_all().await {
            claimed += task?;
        }
        Ok((claimed, started.elapsed()))
    }

    fn checkout(self) -> Checkout {
        let order = OrderId(random());
        Checkout {
            claim: ClaimRequest {
                order,
                buyer: UserId(random()),
                key: order.to_string(),
                body: BodyDigest([0; 32]),
                lines: vec![ClaimLine {
                    reservation: ReservationId(random()),
                    listing: self.listing,
                    quantity: 1,
                    unit_price: self.price,
                }],
            },
            show: self.show,
            buyer_name: "Ada".into(),
            delivery: None,
            now: self.now,
        }
    }

    async fn listing(self, ledger: &dyn Ledger) -> Result<ListingRow, StoreError> {
        let row = ledger.listing(self.listing).await?;
        row.ok_or_else(|| StoreError::Unavailable("the listing is gone".into()))
    }
}

/// Random as buyers are: ids in order of time would flatter the indexes.
fn random() -> u128 {
    Uuid::new_v4().as_u128()
}

fn show_row(id: ShowId, seller: SellerId, now: UnixMs) -> ShowRow {
    ShowRow {
        id,
        seller,
        seller_name: String::new(),
        title: "Measurement".into(),
        state: ShowState::Scheduled,
        currency: Currency::EUR,
        starts_at: None,
        live_at: None,
        ended_at: None,
        poster: None,
        reservation_ttl_s: 120,
        order_deadline_s: 600,
        created_at: now,
    }
}
