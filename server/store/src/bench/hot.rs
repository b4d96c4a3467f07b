//! Reservations on a hot show, through the store on a given Redis. Every reservation is decided,
//! logged and told as in a sale; shows, products and sellers of its own are made in the ledger.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use uuid::Uuid;
use vetrina_core::checkout::BodyDigest;
use vetrina_core::hot::{HotAnswer, HotCommand, Reserve};
use vetrina_core::show::ShowTransition;
use vetrina_protocol::id::{ListingId, ProductId, ReservationId, SellerId, ShowId, SkuId, UserId};
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::ShowState;

use crate::StoreError;
use crate::hot::HotStore as _;
use crate::ledger::{Ledger, NewListingRow, NewSkuRow, Once, ProductRow, SellerRow, ShowRow};
use crate::redis::RedisStore;

/// Callers of the coalesced part: as many as wait on a hot show.
const CALLERS: usize = 1_024;
/// Callers of the other part: as many as `redis-benchmark` has clients.
const CALLERS_SINGLE: usize = 64;
/// Most reservations of one part: a show has at most 200,000 open ones.
const RESERVATIONS_MAX: u64 = 150_000;
/// Reservations in one call of `redis-benchmark`'s batched part.
const BATCH: u64 = 64;
/// What `redis-benchmark` draws its digits from: what it reads into an `int`. With more it draws
/// nothing, and every call repeats the first reservation.
const NUMBERS: &str = "2000000000";
/// The rush on one listing.
const RUSH_BUYERS: usize = 10_000;
const RUSH_UNITS: u32 = 100;
/// A call that got no answer is asked again so often.
const ATTEMPTS_MAX: usize = 20;

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HotFigures {
    /// Granted per second, as callers see it: coalesced.
    pub reservations_per_second: f64,
    /// Granted per second, each in a call of its own, from 64 callers.
    pub single_per_second: f64,
    /// From the first of 10,000 questions on one listing until the last answer.
    pub answered_10k_ms: f64,
    /// How many of them were granted: 100 units were there.
    pub granted_10k: u64,
    /// `redis-benchmark` with the same function, 64 clients, one reservation in each call.
    pub redis_benchmark_single: f64,
    /// The same, 64 reservations in each call.
    pub redis_benchmark_batched: f64,
}

/// Measures for about `each` per part. The clock is the node's.
///
/// # Errors
/// What the ledger or the store say, when they cannot be used.
pub async fn hot(
    store: &RedisStore,
    ledger: &dyn Ledger,
    now: UnixMs,
    each: Duration,
) -> Result<HotFigures, StoreError> {
    let stage = Stage::set(store, ledger, now).await?;
    let coalesced = stage.sale(1_000_000).await?;
    let reservations_per_second = rush(store, coalesced, CALLERS, each, How::Coalesced).await?;
    let single = stage.sale(1_000_000).await?;
    let single_per_second = rush(store, single, CALLERS_SINGLE, each, How::Single).await?;
    let (show, listing) = stage.sale(RUSH_UNITS).await?;
    let (answered_10k_ms, granted_10k) = all_at_once(store, show, listing).await?;
    let (show, listing) = stage.sale(1_000_000).await?;
    let redis_benchmark_single = redis_benchmark(store, show, listing, 40_000, 1).await?;
    let (show, listing) = stage.sale(1_000_000).await?;
    let redis_benchmark_batched = redis_benchmark(store, show, listing, 2_000, BATCH).await?;
    Ok(HotFigures {
        reservations_per_second,
        single_per_second,
        answered_10k_ms,
        granted_10k,
        redis_benchmark_single,
        redis_benchmark_batched,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Coalesced,
    Single,
}

struct Stage<'a> {
    store: &'a RedisStore,
    ledger: &'a dyn Ledger,
    seller: SellerId,
    now: UnixMs,
}

impl<'a> Stage<'a> {
    async fn set(
        store: &'a RedisStore,
        ledger: &'a dyn Ledger,
        now: UnixMs,
    ) -> Result<Self, StoreError> {
        let seller = SellerId(fresh());
        let name = "Bench".to_owned();
        let row = SellerRow { id: seller, name };
        ledger.put_seller(row).await?;
        Ok(Self {
            store,
            ledger,
            seller,
            now,
        })
    }

    /// A live show with one listing.
    async fn sale(&self, units: u32) -> Result<(ShowId, ListingId), StoreError> {
        let price = Money::new(1_990, Currency::EUR);
        let show = ShowRow {
            id: ShowId(fresh()),
            seller: self.seller,
            seller_name: String::new(),
            title: "Bench".into(),
            state: ShowState::Scheduled,
            currency: Currency::EUR,
            starts_at: None,
            live_at: None,
            ended_at: None,
            poster: None,
            reservation_ttl_s: 3_600,
            order_deadline_s: 600,
            created_at: self.now,
        };
        let show = self.ledger.create_show(self.once(), show).await?.id;
        let live = ShowTransition::GoLive;
        self.ledger.move_show(show, live, self.now).await?;
        let product = ProductRow {
            id: ProductId(fresh()),
            seller: self.seller,
            title: "Vase".into(),
            description: None,
            picture: None,
            skus: Vec::new(),
            created_at: self.now,
        };
        let sku = NewSkuRow {
            id: SkuId(fresh()),
            code: Uuid::new_v4().simple().to_string(),
            variant: None,
            price,
            inventory: units,
        };
        let listing = NewListingRow {
            id: ListingId(fresh()),
            show,
            sku: sku.id,
            price: None,
            total: units,
            per_buyer: 2,
        };
        let skus = vec![sku];
        self.ledger
            .create_product(self.once(), product, skus)
            .await?;
        let row = self.ledger.create_listing(self.once(), listing).await?;
        self.store.publish(show, &row).await?;
        Ok((show, row.id))
    }

    fn once(&self) -> Once {
        Once {
            seller: self.seller,
            key: Uuid::new_v4().simple().to_string(),
            body: BodyDigest([0; 32]),
        }
    }
}

/// Callers who ask one after the other for `each` long; grants per second.
async fn rush(
    store: &RedisStore,
    (show, listing): (ShowId, ListingId),
    callers: usize,
    each: Duration,
    how: How,
) -> Result<f64, StoreError> {
    let granted = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let (store, granted) = (store.clone(), Arc::clone(&granted));
        tasks.spawn(async move {
            while started.elapsed() < each && granted.load(Ordering::Relaxed) < RESERVATIONS_MAX {
                if ask(&store, show, listing, how).await? {
                    granted.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok::<(), StoreError>(())
        });
    }
    finish(tasks).await?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(granted.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}

/// Milliseconds until everybody has an answer, and how many were granted.
async fn all_at_once(
    store: &RedisStore,
    show: ShowId,
    listing: ListingId,
) -> Result<(f64, u64), StoreError> {
    let granted = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..RUSH_BUYERS {
        let (store, granted) = (store.clone(), Arc::clone(&granted));
        tasks.spawn(async move {
            if ask(&store, show, listing, How::Coalesced).await? {
                granted.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), StoreError>(())
        });
    }
    finish(tasks).await?;
    let took_ms = started.elapsed().as_secs_f64() * 1_000.0;
    Ok((took_ms, granted.load(Ordering::Relaxed)))
}

/// Reservations per second of `redis-benchmark` with as many `calls` of so many reservations each.
async fn redis_benchmark(
    store: &RedisStore,
    show: ShowId,
    listing: ListingId,
    calls: u64,
    in_each: u64,
) -> Result<f64, StoreError> {
    let benchmark = store.benchmark(show).await?;
    let output = tokio::process::Command::new("redis-benchmark")
        .args(["-h", &benchmark.host, "-p", &benchmark.port.to_string()])
        .args(["-c", "64", "-q", "-r", NUMBERS])
        .args(["-n", &calls.to_string()])
        .args(&benchmark.call)
        .args([Uuid::from_u128(listing.0).simple().to_string().as_str()])
        .args(["__rand_int__", &in_each.to_string()])
        .output()
        .await
        .map_err(|error| missing(&format!("it does not start: {error}")))?;
    let told = String::from_utf8_lossy(&output.stdout);
    let rate = told
        .split(" requests per second")
        .next()
        .filter(|_| output.status.success() && told.contains(" requests per second"))
        .and_then(|before| before.rsplit([' ', '\r']).next())
        .and_then(|digits| digits.parse::<f64>().ok());
    let rate = rate.ok_or_else(|| missing(&told))?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(rate * in_each as f64)
}

fn missing(why: &str) -> StoreError {
    StoreError::Unavailable(format!("redis-benchmark (Debian: redis-tools): {why}"))
}

async fn finish(mut tasks: JoinSet<Result<(), StoreError>>) -> Result<(), StoreError> {
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| StoreError::Unavailable(error.to_string()))??;
    }
    Ok(())
}

/// One buyer, one reservation, the same id until there is an answer.
async fn ask(
    store: &RedisStore,
    show: ShowId,
    listing: ListingId,
    how: How,
) -> Result<bool, StoreError> {
    let command = HotCommand::Reserve(Reserve {
        reservation: ReservationId(next()),
        buyer: UserId(next()),
        buyer_name: "Ada".into(),
        listing,
        quantity: 1,
        media_time: None,
    });
    let mut attempt = 0;
    loop {
        let applied = match how {
            How::Coalesced => store.apply(show, command.clone()).await,
            How::Single => store.apply_alone(show, command.clone()).await,
        };
        match applied {
            Ok(applied) => return Ok(matches!(applied.answer, HotAnswer::Reservation { .. })),
            Err(StoreError::Unavailable(_) | StoreError::Busy(_)) if attempt < ATTEMPTS_MAX => {
                attempt += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn fresh() -> u128 {
    Uuid::new_v4().as_u128()
}

/// As scattered as a fresh one, without asking the system for every one of them.
fn next() -> u128 {
    static FIRST: LazyLock<u128> = LazyLock::new(fresh);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    /// Odd, so that no two products are the same; its bits are those of the golden ratio.
    const SPREAD: u128 = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    FIRST.wrapping_add(u128::from(count).wrapping_mul(SPREAD))
}
