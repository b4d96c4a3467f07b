//! The process that is killed, and the one that kills it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use vetrina_core::checkout::{BodyDigest, ClaimLine, ClaimRequest};
use vetrina_core::hot::{HotAnswer, HotCommand, Reserve};
use vetrina_core::order::OrderInput;
use vetrina_core::show::ShowTransition;
use vetrina_protocol::event::Event;
use vetrina_protocol::id::{
    ListingId, OrderId, ProductId, ReservationId, SellerId, ShowId, SkuId, UserId,
};
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::time::{MediaTime, UnixMs};
use vetrina_protocol::view::{Pin, ShowState};
use vetrina_store::Now;
use vetrina_store::hot::HotStore;
use vetrina_store::ledger::{
    Checkout, Ledger, ListingChange, NewListingRow, NewSkuRow, Once, OrderRequest, ProductRow,
    SellerRow, ShowRow,
};
use vetrina_store::memory::MemoryStore;
use vetrina_store::sqlite::SqliteLedger;

use super::evidence::{Ack, DB, SHM, Said, Synced};

const SELLER: SellerId = SellerId(1);
pub(super) const SHOW: ShowId = ShowId(2);
pub(super) const LISTING: ListingId = ListingId(3);
const SKU: SkuId = SkuId(4);
const MARK: &str = "round";

/// Starts the child in `home`, lets it acknowledge so much, kills it, and collects what it said to
/// the end. Gives the moment of the kill.
pub(super) fn run_and_kill(home: &Path, round: u64, enough: usize, acks: &mut Vec<Ack>) -> u64 {
    std::fs::write(home.join(MARK), round.to_string()).expect("written");
    let mut child = Command::new("/proc/self/exe")
        .args([
            "--ignored",
            "--exact",
            "durability::child::sell",
            "--nocapture",
        ])
        .current_dir(home)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("this binary starts again");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let before = acks.len();
    for line in lines.by_ref() {
        acks.extend(super::parse(&line.expect("readable")));
        if acks.len() >= before + enough {
            break;
        }
    }
    let killed_at_us = now_us();
    child.kill().expect("killed");
    let status = child.wait().expect("ended");
    assert_eq!(
        status.signal(),
        Some(9),
        "to be killed, and ended by itself"
    );
    // What it had said before it died is still in the pipe. The last line may be half a line.
    for line in lines.map_while(Result::ok) {
        acks.extend(super::parse(&line));
    }
    assert!(acks.len() >= before + enough, "it said too little");
    killed_at_us
}

pub(super) fn now_us() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    u64::try_from(since.as_micros()).expect("small")
}

pub(super) fn clock() -> Now {
    Arc::new(|| UnixMs(i64::try_from(now_us() / 1_000).expect("small")))
}

/// Says what was acknowledged, with what SQLite has synced by now.
fn say(said: &Said) {
    let shm = std::fs::read(SHM).expect("the wal-index is there while the ledger is open");
    let line = format!("ACK {said} {}\n", Synced::of_index(&shm));
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())
        .and_then(|()| out.flush())
        .expect("the parent listens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other half of the durability test: it sells until it is killed"]
async fn sell() {
    let round: u64 = std::fs::read_to_string(MARK)
        .expect("started by the durability test, which writes this file")
        .parse()
        .expect("a number");
    let ledger: Arc<dyn Ledger> = Arc::new(
        SqliteLedger::open(Path::new(DB))
            .await
            .expect("the ledger opens"),
    );
    set_up(&*ledger).await;
    let hot: Arc<dyn HotStore> = Arc::new(MemoryStore::start(Arc::clone(&ledger), clock()));
    println!();
    let base = u128::from(round + 1) << 64;
    let (sales, goods) = (Arc::clone(&ledger), Arc::clone(&ledger));
    let (prices, crowd) = (Arc::clone(&hot), Arc::clone(&hot));
    let tasks = [
        tokio::spawn(async move { take_orders(&*sales, base).await }),
        tokio::spawn(async move { add_products(&*goods, base).await }),
        tokio::spawn(async move { set_prices_and_pin(&*ledger, &*prices).await }),
        tokio::spawn(async move { chat_and_reserve(&*crowd, base).await }),
    ];
    let (ended, _, _) = futures_util::future::select_all(tasks).await;
    ended.expect("a task failed");
    unreachable!("they count for ever");
}

async fn set_up(ledger: &dyn Ledger) {
    let seller = SellerRow {
        id: SELLER,
        name: "Ceramiche Rossi".into(),
    };
    ledger.put_seller(seller).await.expect("a seller");
    let sku = NewSkuRow {
        id: SKU,
        code: "vaso".into(),
        variant: None,
        price: price(1),
        inventory: 1_000_000,
    };
    let product = ledger
        .create_product(once("product"), product(ProductId(5)), vec![sku])
        .await;
    product.expect("a product");
    let now = clock()();
    let show = ShowRow {
        id: SHOW,
        seller: SELLER,
        seller_name: String::new(),
        title: "Sera di ceramica".into(),
        state: ShowState::Scheduled,
        currency: Currency::EUR,
        starts_at: None,
        live_at: None,
        ended_at: None,
        poster: None,
        reservation_ttl_s: 3_600,
        order_deadline_s: 600,
        created_at: now,
    };
    ledger
        .create_show(once("show"), show)
        .await
        .expect("a show");
    let listing = NewListingRow {
        id: LISTING,
        show: SHOW,
        sku: SKU,
        price: None,
        total: 1_000_000,
        per_buyer: 2,
    };
    ledger
        .create_listing(once("listing"), listing)
        .await
        .expect("a listing");
    ledger
        .move_show(SHOW, ShowTransition::GoLive, now)
        .await
        .expect("live");
}

async fn take_orders(ledger: &dyn Ledger, base: u128) {
    for number in 1.. {
        let order = OrderId(base + number);
        let checkout = Checkout {
            claim: ClaimRequest {
                order,
                buyer: UserId(base + number),
                key: "bag".into(),
                body: BodyDigest([1; 32]),
                lines: vec![ClaimLine {
                    reservation: ReservationId((base << 32) + number),
                    listing: LISTING,
                    quantity: 2,
                    unit_price: price(1),
                }],
            },
            show: SHOW,
            buyer_name: "Ada".into(),
            delivery: None,
            now: clock()(),
        };
        ledger.claim(checkout).await.expect("claimed");
        say(&Said::Order(order));
        let paid = OrderRequest {
            order,
            input: OrderInput::ProviderSucceeded { at: clock()() },
            webhook: None,
            seats: Vec::new(),
        };
        ledger.order_input(paid).await.expect("paid");
        say(&Said::Paid(order));
    }
}

async fn add_products(ledger: &dyn Ledger, base: u128) {
    for number in 1.. {
        let id = ProductId(base + number);
        let sku = NewSkuRow {
            id: SkuId(base + number),
            code: format!("{id}"),
            variant: None,
            price: price(1),
            inventory: 1,
        };
        let made = ledger
            .create_product(once(&id.to_string()), product(id), vec![sku])
            .await;
        made.expect("a product");
        say(&Said::Product(id));
    }
}

/// Prices and pins count up for ever, over all rounds.
async fn set_prices_and_pin(ledger: &dyn Ledger, hot: &dyn HotStore) {
    let known = ledger
        .listing(LISTING)
        .await
        .expect("read")
        .expect("the listing");
    for amount in known.price.amount_minor + 1.. {
        let change = ListingChange {
            price: Some(price(amount)),
            ..ListingChange::default()
        };
        let row = ledger
            .change_listing(SHOW, LISTING, change)
            .await
            .expect("priced");
        say(&Said::Price(amount));
        let mirror = HotCommand::Mirror(row.mirror(Vec::new(), Vec::new()));
        hot.apply(SHOW, mirror).await.expect("mirrored");
        let mark = u64::try_from(amount).expect("positive");
        let pin = Event::Pinned {
            pin: Pin {
                listing: LISTING,
                pinned_at_ms: clock()(),
                media_time: Some(MediaTime(mark)),
            },
        };
        let pinned = hot
            .append(SHOW, vec![pin])
            .await
            .expect("appended")
            .position;
        hot.durable(SHOW, pinned.offset).await.expect("durable");
        say(&Said::Pin(pinned.epoch, pinned.offset, mark));
    }
}

/// Acknowledged at once, written a moment later.
async fn chat_and_reserve(hot: &dyn HotStore, base: u128) {
    let mut pace = tokio::time::interval(Duration::from_millis(2));
    for number in 1.. {
        pace.tick().await;
        let seconds = u32::try_from(number % 300).expect("small");
        let event = Event::SlowModeChanged { seconds };
        let said = hot
            .append(SHOW, vec![event])
            .await
            .expect("appended")
            .position;
        say(&Said::Chat(said.epoch, said.offset, now_us()));
        let reserve = HotCommand::Reserve(Reserve {
            reservation: ReservationId(base + number),
            buyer: UserId((base << 32) + number),
            buyer_name: "Bea".into(),
            listing: LISTING,
            quantity: 1,
            media_time: None,
        });
        let answer = hot.apply(SHOW, reserve).await.expect("answered").answer;
        assert!(
            matches!(answer, HotAnswer::Reservation { .. }),
            "{answer:?}"
        );
        say(&Said::Reserved(ReservationId(base + number), now_us()));
    }
}

fn price(amount_minor: i64) -> Money {
    Money::new(amount_minor, Currency::EUR)
}

fn once(key: &str) -> Once {
    Once {
        seller: SELLER,
        key: key.into(),
        body: BodyDigest([0; 32]),
    }
}

fn product(id: ProductId) -> ProductRow {
    ProductRow {
        id,
        seller: SELLER,
        title: "Vaso".into(),
        description: None,
        picture: None,
        skus: Vec::new(),
        created_at: clock()(),
    }
}

/// The seller of the sale, for reading its products.
pub(super) const fn seller() -> SellerId {
    SELLER
}
