//! [`Archive`]: the log of every show, in order, and what a show starts from.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::{Connection, SqliteConnection, query};
use vetrina_core::hot::{BuyerUnits, Mirror, Settled};
use vetrina_core::refused::Refused;
use vetrina_protocol::event::LoggedEvent;
use vetrina_protocol::id::{ListingId, ShowId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::time::{Epoch, Offset, UnixMs};

use super::rows::{Columns, json, wrong};
use super::writer::Failure;
use super::{SqliteLedger, journal, listings, shows, unavailable};
use crate::StoreError;
use crate::ledger::{Archive, ArchiveBatch, EpochStart, LogStart, ShowSeed};

/// The form that events have on the wire today.
const EVENT_VERSION: i64 = 1;
/// Events in one statement: bounds the text that SQLite parses at once.
const EVENTS_PER_STATEMENT: usize = 1_000;

#[async_trait]
impl Archive for SqliteLedger {
    async fn load_show(&self, show: ShowId) -> Result<ShowSeed, StoreError> {
        let mut db = self.reader().await?;
        // One read transaction: rows of one moment.
        let mut moment = db.begin().await.map_err(|error| unavailable(&error))?;
        let seed = load(&mut moment, show).await;
        match seed {
            Ok(seed) => Ok(seed),
            Err(Failure::Refused(refused)) => Err(StoreError::Refused(refused)),
            Err(Failure::Sql(error)) => Err(unavailable(&error)),
        }
    }

    async fn open_log(&self, show: ShowId, now: UnixMs) -> Result<LogStart, StoreError> {
        self.writer
            .write(move |db| Box::pin(async move { open_log(db, show, now).await }))
            .await
    }

    async fn current_log(&self, show: ShowId) -> Result<LogStart, StoreError> {
        let mut db = self.reader().await?;
        // One read transaction: the epochs and the archive of one moment.
        let mut moment = db.begin().await.map_err(|error| unavailable(&error))?;
        match current_log(&mut moment, show).await {
            Ok(log) => Ok(log),
            Err(Failure::Refused(refused)) => Err(StoreError::Refused(refused)),
            Err(Failure::Sql(error)) => Err(unavailable(&error)),
        }
    }

    async fn archive(&self, batches: Vec<ArchiveBatch>) -> Result<(), StoreError> {
        self.writer
            .write(move |db| {
                Box::pin(async move {
                    for batch in &batches {
                        archive(db, batch).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    async fn read_log(
        &self,
        show: ShowId,
        after: Offset,
        limit: u32,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let mut db = self.reader().await?;
        let events = read_log(&mut db, show, after, limit).await;
        events.map_err(|error| unavailable(&error))
    }

    async fn check(&self) -> Result<(), StoreError> {
        let mut db = self.reader().await?;
        let row = query("SELECT count(*) FROM sellers")
            .fetch_one(&mut *db)
            .await;
        row.map_err(|error| unavailable(&error))?;
        drop(db);
        // A transaction that changes nothing still asks whether the file can be written.
        self.writer
            .write(|db| {
                Box::pin(async move {
                    query("UPDATE sellers SET name = name WHERE false")
                        .execute(db)
                        .await?;
                    Ok(())
                })
            })
            .await
    }
}

async fn load(db: &mut SqliteConnection, show: ShowId) -> Result<ShowSeed, Failure> {
    let row = shows::required(db, show).await?;
    let listings = listings::of_show(db, show).await?;
    let mut units = all_units(db, show).await?;
    let mut settled = all_settled(db, show).await?;
    let mirrors: Vec<Mirror> = listings
        .iter()
        .map(|listing| {
            listing.mirror(
                units.remove(&listing.id).unwrap_or_default(),
                settled.remove(&listing.id).unwrap_or_default(),
            )
        })
        .collect();
    Ok(ShowSeed {
        show: row,
        listings,
        mirrors,
        reservations: journal::reservations(db, show).await?,
        waitlist: journal::waitlist(db, show).await?,
    })
}

async fn all_units(
    db: &mut SqliteConnection,
    show: ShowId,
) -> sqlx::Result<BTreeMap<ListingId, Vec<BuyerUnits>>> {
    let rows = query(
        "SELECT b.listing, b.buyer, b.units FROM buyer_units b
         JOIN listings l ON l.id = b.listing WHERE l.show = ?1 AND b.units > 0",
    )
    .bind(show.to_string())
    .fetch_all(db)
    .await?;
    let mut units: BTreeMap<ListingId, Vec<BuyerUnits>> = BTreeMap::new();
    for row in &rows {
        units
            .entry(row.parsed("listing")?)
            .or_default()
            .push(BuyerUnits {
                buyer: row.parsed("buyer")?,
                units: row.count("units")?,
            });
    }
    Ok(units)
}

/// Reservations of the journal that became orders.
async fn all_settled(
    db: &mut SqliteConnection,
    show: ShowId,
) -> sqlx::Result<BTreeMap<ListingId, Vec<Settled>>> {
    let rows = query(
        "SELECT j.listing, j.id, coalesce(l.order_id, s.order_id) AS order_id
         FROM journal_reservations j
         LEFT JOIN order_lines l ON l.reservation = j.id
         LEFT JOIN order_seats s ON s.reservation = j.id
         WHERE j.show = ?1 AND coalesce(l.order_id, s.order_id) IS NOT NULL",
    )
    .bind(show.to_string())
    .fetch_all(db)
    .await?;
    let mut settled: BTreeMap<ListingId, Vec<Settled>> = BTreeMap::new();
    for row in &rows {
        settled
            .entry(row.parsed("listing")?)
            .or_default()
            .push(Settled {
                reservation: row.parsed("id")?,
                order: row.parsed("order_id")?,
            });
    }
    Ok(settled)
}

async fn open_log(
    db: &mut SqliteConnection,
    show: ShowId,
    now: UnixMs,
) -> Result<LogStart, Failure> {
    let mut log = current_log(db, show).await?;
    log.epoch = Epoch(log.epoch.0 + 1);
    let start = EpochStart {
        epoch: log.epoch,
        first: log.archived.next(),
    };
    query("INSERT INTO log_epochs (show, epoch, first_offset, opened_at) VALUES (?1, ?2, ?3, ?4)")
        .bind(show.to_string())
        .bind(signed(start.epoch.0))
        .bind(signed(start.first.0))
        .bind(now.0)
        .execute(db)
        .await?;
    log.epochs.push(start);
    Ok(log)
}

async fn current_log(db: &mut SqliteConnection, show: ShowId) -> Result<LogStart, Failure> {
    shows::required(db, show).await?;
    let epochs = epochs(db, show).await?;
    Ok(LogStart {
        epoch: epochs.last().map_or(Epoch(0), |last| last.epoch),
        archived: archived(db, show).await?,
        epochs,
    })
}

async fn archive(db: &mut SqliteConnection, batch: &ArchiveBatch) -> Result<(), Failure> {
    let newest = epochs(db, batch.show).await?.last().map(|last| last.epoch);
    if newest != Some(batch.epoch) {
        return Err(Failure::Refused(Refused::new(
            RefusalCode::ShowState,
            "another process writes this show's log now",
        )));
    }
    let mut archived = archived(db, batch.show).await?;
    let new: Vec<_> = batch
        .events
        .iter()
        .filter(|event| event.offset > archived)
        .collect();
    for chunk in new.chunks(EVENTS_PER_STATEMENT) {
        let mut rows = Vec::with_capacity(chunk.len());
        for logged in chunk {
            if logged.offset != archived.next() {
                return Err(Failure::Sql(sqlx::Error::Protocol(format!(
                    "a gap in the log: {:?} after {archived:?}",
                    logged.offset
                ))));
            }
            archived = logged.offset;
            rows.push((logged.offset.0, logged.at_ms.0, json(&logged.event)));
        }
        query(
            "INSERT INTO events (show, offset_, epoch, version, at, event)
             SELECT ?2, value ->> 0, ?3, ?4, value ->> 1, value ->> 2 FROM json_each(?1)",
        )
        .bind(json(&rows))
        .bind(batch.show.to_string())
        .bind(signed(batch.epoch.0))
        .bind(EVENT_VERSION)
        .execute(&mut *db)
        .await?;
    }
    journal::write(db, batch.show, &batch.changes).await?;
    Ok(())
}

async fn read_log(
    db: &mut SqliteConnection,
    show: ShowId,
    after: Offset,
    limit: u32,
) -> sqlx::Result<Vec<LoggedEvent>> {
    let rows = query(
        "SELECT offset_, at, event FROM events WHERE show = ?1 AND offset_ > ?2
         ORDER BY offset_ LIMIT ?3",
    )
    .bind(show.to_string())
    .bind(signed(after.0))
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            let event = serde_json::from_str(&row.text("event")?);
            Ok(LoggedEvent {
                offset: Offset(row.unsigned("offset_")?),
                at_ms: row.at("at")?,
                event: event.map_err(|error| wrong("event", error))?,
            })
        })
        .collect()
}

async fn archived(db: &mut SqliteConnection, show: ShowId) -> sqlx::Result<Offset> {
    let row = query("SELECT coalesce(max(offset_), 0) AS last FROM events WHERE show = ?1")
        .bind(show.to_string())
        .fetch_one(db)
        .await?;
    Ok(Offset(row.unsigned("last")?))
}

async fn epochs(db: &mut SqliteConnection, show: ShowId) -> sqlx::Result<Vec<EpochStart>> {
    let rows = query("SELECT epoch, first_offset FROM log_epochs WHERE show = ?1 ORDER BY epoch")
        .bind(show.to_string())
        .fetch_all(db)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(EpochStart {
                epoch: Epoch(row.unsigned("epoch")?),
                first: Offset(row.unsigned("first_offset")?),
            })
        })
        .collect()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
