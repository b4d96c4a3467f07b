//! What was acknowledged, and whether the files have it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};
use vetrina_core::order::OrderPhase;
use vetrina_protocol::event::Event;
use vetrina_protocol::id::{OrderId, ProductId, ReservationId};
use vetrina_protocol::server::ResetReason;
use vetrina_protocol::time::{Epoch, MediaTime, Offset};
use vetrina_store::hot::{Entries, HotStore, Position};
use vetrina_store::ledger::{Archive, Catalogue, Ledger, OrderRow, Orders, PageRequest};
use vetrina_store::memory::MemoryStore;
use vetrina_store::sqlite::SqliteLedger;

use super::child::{LISTING, SHOW, clock, seller};

pub(super) const DB: &str = "ledger.db";
pub(super) const WAL: &str = "ledger.db-wal";
pub(super) const SHM: &str = "ledger.db-shm";

/// SQLite's WAL: a header, then frames of a small header and one page each.
const WAL_HEADER_BYTES: u64 = 32;
const FRAME_BYTES: u64 = 24 + 4_096;

/// One acknowledgement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ack {
    pub(super) said: Said,
    pub(super) synced: Synced,
}

/// What was acknowledged. The last two are promised 50 ms later.
#[derive(Debug, Clone, Copy)]
pub(super) enum Said {
    Order(OrderId),
    Paid(OrderId),
    Product(ProductId),
    Price(i64),
    Pin(Epoch, Offset, u64),
    Chat(Epoch, Offset, u64),
    Reserved(ReservationId, u64),
}

/// How much of the WAL was synced: SQLite publishes a commit in the wal-index after its fdatasync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Synced {
    /// Which filling of the WAL, by its salt.
    salt: u64,
    frames: u32,
}

impl Synced {
    /// From the first header of the wal-index: `mxFrame` at byte 16, the salts at 32.
    pub(super) fn of_index(index: &[u8]) -> Self {
        let number = |at: usize| u32::from_ne_bytes(index[at..at + 4].try_into().expect("4 bytes"));
        Self {
            salt: (u64::from(number(32)) << 32) | u64::from(number(36)),
            frames: number(16),
        }
    }
}

impl fmt::Display for Synced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.salt, self.frames)
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(id) => write!(f, "order {} 0 0", id.0),
            Self::Paid(id) => write!(f, "paid {} 0 0", id.0),
            Self::Product(id) => write!(f, "product {} 0 0", id.0),
            Self::Price(amount) => write!(f, "price {amount} 0 0"),
            Self::Pin(epoch, offset, mark) => write!(f, "pin {} {} {mark}", epoch.0, offset.0),
            Self::Chat(epoch, offset, at) => write!(f, "chat {} {} {at}", epoch.0, offset.0),
            Self::Reserved(id, at) => write!(f, "reserved {} 0 {at}", id.0),
        }
    }
}

impl Ack {
    pub(super) fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let [kind, first, second, third, salt, frames] = words[..] else {
            return None;
        };
        let first: u128 = first.parse().ok()?;
        let second = Offset(second.parse().ok()?);
        let third: u64 = third.parse().ok()?;
        let small = u64::try_from(first);
        let said = match kind {
            "order" => Said::Order(OrderId(first)),
            "paid" => Said::Paid(OrderId(first)),
            "product" => Said::Product(ProductId(first)),
            "price" => Said::Price(i64::try_from(first).ok()?),
            "pin" => Said::Pin(Epoch(small.ok()?), second, third),
            "chat" => Said::Chat(Epoch(small.ok()?), second, third),
            "reserved" => Said::Reserved(ReservationId(first), third),
            _ => return None,
        };
        let synced = Synced {
            salt: salt.parse().ok()?,
            frames: frames.parse().ok()?,
        };
        Some(Self { said, synced })
    }
}

/// Frames that the WAL has now, synced or not.
pub(super) fn frames_written(home: &Path) -> u32 {
    let bytes = std::fs::metadata(home.join(WAL)).map_or(0, |wal| wal.len());
    u32::try_from(bytes.saturating_sub(WAL_HEADER_BYTES) / FRAME_BYTES).expect("small")
}

/// Frames of the present filling of the WAL that `synced` speaks of: none when the WAL has been
/// started anew since, because then everything of that time is in the database file.
pub(super) fn frames_of(home: &Path, synced: Synced) -> u32 {
    let index = std::fs::read(home.join(SHM)).expect("the wal-index outlives the process");
    if Synced::of_index(&index).salt == synced.salt {
        synced.frames
    } else {
        0
    }
}

pub(super) fn bytes_of(frames: u32) -> u64 {
    WAL_HEADER_BYTES + u64::from(frames) * FRAME_BYTES
}

/// Whether SQLite finds its file whole.
pub(super) async fn is_sound(home: &Path) -> bool {
    let options = SqliteConnectOptions::new().filename(home.join(DB));
    let Ok(mut db) = SqliteConnection::connect_with(&options).await else {
        return false;
    };
    let said = sqlx::query_scalar::<_, String>("PRAGMA integrity_check");
    said.fetch_one(&mut db).await.is_ok_and(|said| said == "ok")
}

/// Everything that was said in all rounds.
#[derive(Default)]
pub(super) struct Evidence {
    pub(super) acks: Vec<Ack>,
    pub(super) killed_at_us: u64,
    /// Ages, at the kill, of comments and reservations that were lost.
    lost_us: Vec<u64>,
    /// Longest such age per round.
    windows_us: Vec<u64>,
    checked: usize,
}

impl Evidence {
    /// What was acknowledged as durable and is not in the ledger of this folder.
    pub(super) async fn missing(&self, home: &Path) -> Vec<Said> {
        let ledger = SqliteLedger::open(&home.join(DB))
            .await
            .expect("the ledger opens");
        let found = Found::read(&ledger).await;
        ledger.close().await;
        found.check_counters();
        self.acks
            .iter()
            .map(|ack| ack.said)
            .filter(|said| !found.has(said))
            .collect()
    }

    /// Opens the hot store on what is left: resumes go on where they may, losses are said, and only
    /// the newest comments and reservations are missing.
    pub(super) async fn check_hot(&mut self, home: &Path) {
        let ledger = Arc::new(SqliteLedger::open(&home.join(DB)).await.expect("it opens"));
        let archived = archived(&ledger).await;
        let end = archived
            .last_key_value()
            .map_or(Offset(0), |(offset, _)| *offset);
        let journal = ledger.load_show(SHOW).await.expect("the show").reservations;
        let journal: BTreeSet<_> = journal.iter().map(|row| row.id).collect();
        let shared: Arc<dyn Ledger> = ledger.clone();
        let hot = MemoryStore::start(shared, clock());
        let mut window_us = 0;
        for ack in self.acks[self.checked..].iter().copied() {
            let (lost, at_us) = match ack.said {
                Said::Chat(epoch, offset, at_us) => {
                    let place = Position { epoch, offset };
                    let read = hot.read(SHOW, place, 10).await.expect("readable");
                    let reset = matches!(read, Entries::Reset(ResetReason::Lost));
                    assert_eq!(
                        reset,
                        offset > end,
                        "{ack:?}: {read:?}, archived up to {end:?}"
                    );
                    (reset, at_us)
                }
                Said::Reserved(id, at_us) => (!journal.contains(&id), at_us),
                _ => continue,
            };
            if lost {
                let age_us = self.killed_at_us.saturating_sub(at_us);
                self.lost_us.push(age_us);
                window_us = window_us.max(age_us);
            }
        }
        self.windows_us.push(window_us);
        self.checked = self.acks.len();
        hot.shutdown().await;
        ledger.close().await;
    }

    /// The figures, and the promise of 50 ms held against the middle round: one slow fdatasync of a
    /// busy machine is not a broken promise of ours.
    pub(super) fn report(&mut self, unsynced: u32, caught: u32) -> String {
        self.windows_us.sort_unstable();
        let middle = self.windows_us[self.windows_us.len() / 2];
        let longest = self.windows_us.last().copied().unwrap_or(0);
        assert!(
            middle <= 50_000,
            "half of the rounds lost more than 50 ms: {middle} us"
        );
        assert!(
            longest <= 2_000_000,
            "the journal refuses new work before it is this late"
        );
        format!(
            "{} acknowledgements checked after {} kills; comments and reservations lost: {}, \
             window p50 {:.1} ms, max {:.1} ms; frames cut off as unsynced: {unsynced}; control \
             cuts noticed: {caught}",
            self.acks.len(),
            self.windows_us.len(),
            self.lost_us.len(),
            middle as f64 / 1_000.0,
            longest as f64 / 1_000.0,
        )
    }
}

/// What the files have.
struct Found {
    orders: BTreeMap<OrderId, OrderRow>,
    products: BTreeSet<ProductId>,
    price: i64,
    claimed: u32,
    paid: u32,
    events: BTreeMap<Offset, Event>,
}

impl Found {
    async fn read(ledger: &SqliteLedger) -> Self {
        let mut page = PageRequest {
            cursor: None,
            limit: 200,
        };
        let mut orders = BTreeMap::new();
        loop {
            let part = ledger
                .orders_of_show(SHOW, page.clone())
                .await
                .expect("a page");
            orders.extend(part.items.into_iter().map(|order| (order.id, order)));
            page.cursor = part.next_cursor;
            if page.cursor.is_none() {
                break;
            }
        }
        let mut products = BTreeSet::new();
        loop {
            let part = ledger
                .products(seller(), page.clone())
                .await
                .expect("a page");
            products.extend(part.items.into_iter().map(|product| product.id));
            page.cursor = part.next_cursor;
            if page.cursor.is_none() {
                break;
            }
        }
        let listing = ledger
            .listing(LISTING)
            .await
            .expect("read")
            .expect("the listing");
        Self {
            orders,
            products,
            price: listing.price.amount_minor,
            claimed: listing.claimed,
            paid: listing.paid,
            events: archived(ledger).await,
        }
    }

    fn has(&self, said: &Said) -> bool {
        match said {
            Said::Order(id) => self.orders.contains_key(id),
            Said::Paid(id) => self
                .orders
                .get(id)
                .is_some_and(|order| order.life.phase == OrderPhase::Paid),
            Said::Product(id) => self.products.contains(id),
            Said::Price(amount) => self.price >= *amount,
            Said::Pin(_, offset, mark) => matches!(
                self.events.get(offset),
                Some(Event::Pinned { pin }) if pin.media_time == Some(MediaTime(*mark))
            ),
            Said::Chat(..) | Said::Reserved(..) => true,
        }
    }

    /// The counters say what the orders say, whatever was cut off.
    fn check_counters(&self) {
        let units = |order: &OrderRow| order.lines.iter().map(|line| line.quantity).sum::<u32>();
        let claimed: u32 = self.orders.values().map(units).sum();
        let is_paid = |order: &&OrderRow| order.life.phase == OrderPhase::Paid;
        let paid: u32 = self.orders.values().filter(is_paid).map(units).sum();
        assert_eq!((self.claimed, self.paid), (claimed, paid));
    }
}

/// The archive, which must have no gap.
async fn archived(ledger: &SqliteLedger) -> BTreeMap<Offset, Event> {
    let mut events = BTreeMap::new();
    let mut after = Offset(0);
    loop {
        let part = ledger.read_log(SHOW, after, 2_000).await.expect("readable");
        if part.is_empty() {
            return events;
        }
        for logged in part {
            assert_eq!(logged.offset, after.next(), "a gap in the archive");
            after = logged.offset;
            events.insert(logged.offset, logged.event);
        }
    }
}
