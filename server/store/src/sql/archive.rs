//! [`Archive`]: the log of every show, in order, and what a show starts from.

use std::collections::BTreeMap;

use async_trait::async_trait;
use vetrina_core::hot::{BuyerUnits, Mirror, Settled};
use vetrina_core::refused::Refused;
use vetrina_protocol::event::LoggedEvent;
use vetrina_protocol::id::{ListingId, ShowId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::time::{Epoch, Offset, UnixMs};

use super::db::{Db, json, query, query_either};
use super::locks::Locks;
use super::rows::wrong;
use super::writer::Failure;
use super::{Dialect, SqlLedger, journal, listings, shows};
use crate::StoreError;
use crate::ledger::{Archive, ArchiveBatch, EpochStart, LogStart, ShowSeed};

/// The form that events have on the wire today.
const EVENT_VERSION: i64 = 1;
/// Events in one statement: bounds the text that SQLite parses at once.
const EVENTS_PER_STATEMENT: usize = 1_000;

#[async_trait]
impl<D: Dialect> Archive for SqlLedger<D> {
    async fn load_show(&self, show: ShowId) -> Result<ShowSeed, StoreError> {
        self.read_moment(show, |db, show| Box::pin(load(db, *show)))
            .await
    }

    async fn open_log(&self, show: ShowId, now: UnixMs) -> Result<LogStart, StoreError> {
        self.write(Locks::logs([show]), (show, now), |db, (show, now)| {
            Box::pin(open_log(db, *show, *now))
        })
        .await
    }

    async fn current_log(&self, show: ShowId) -> Result<LogStart, StoreError> {
        self.read_moment(show, |db, show| Box::pin(current_log(db, *show)))
            .await
    }

    async fn archive(&self, batches: Vec<ArchiveBatch>) -> Result<(), StoreError> {
        let locks = Locks::logs(batches.iter().map(|batch| batch.show));
        self.write(locks, batches, |db, batches| {
            Box::pin(archive_all(db, batches))
        })
        .await
    }

    async fn read_log(
        &self,
        show: ShowId,
        after: Offset,
        limit: u32,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        self.read((show, after, limit), |db, (show, after, limit)| {
            Box::pin(read_log(db, *show, *after, *limit))
        })
        .await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.read((), |db, ()| Box::pin(read_one(db))).await?;
        self.write(Locks::none(), (), |db, ()| Box::pin(write_nothing(db)))
            .await
    }
}

async fn read_one(db: &mut Db<'_>) -> sqlx::Result<()> {
    query("SELECT id FROM sellers LIMIT 1")
        .fetch_optional(db)
        .await?;
    Ok(())
}

/// A transaction that changes nothing still asks whether the database can be written.
async fn write_nothing(db: &mut Db<'_>) -> Result<(), Failure> {
    query("UPDATE sellers SET name = name WHERE false")
        .execute(db)
        .await?;
    Ok(())
}

async fn load(db: &mut Db<'_>, show: ShowId) -> Result<ShowSeed, Failure> {
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
    db: &mut Db<'_>,
    show: ShowId,
) -> sqlx::Result<BTreeMap<ListingId, Vec<BuyerUnits>>> {
    let rows = query(
        "SELECT b.listing, b.buyer, b.units FROM buyer_units b
         JOIN listings l ON l.id = b.listing WHERE l.show = $1 AND b.units > 0",
    )
    .bind(show)
    .fetch_all(db)
    .await?;
    let mut units: BTreeMap<ListingId, Vec<BuyerUnits>> = BTreeMap::new();
    for row in &rows {
        units
            .entry(row.id("listing")?)
            .or_default()
            .push(BuyerUnits {
                buyer: row.id("buyer")?,
                units: row.count("units")?,
            });
    }
    Ok(units)
}

/// Reservations of the journal that became orders.
async fn all_settled(
    db: &mut Db<'_>,
    show: ShowId,
) -> sqlx::Result<BTreeMap<ListingId, Vec<Settled>>> {
    let rows = query(
        "SELECT j.listing, j.id, coalesce(l.order_id, s.order_id) AS order_id
         FROM journal_reservations j
         LEFT JOIN order_lines l ON l.reservation = j.id
         LEFT JOIN order_seats s ON s.reservation = j.id
         WHERE j.show = $1 AND coalesce(l.order_id, s.order_id) IS NOT NULL",
    )
    .bind(show)
    .fetch_all(db)
    .await?;
    let mut settled: BTreeMap<ListingId, Vec<Settled>> = BTreeMap::new();
    for row in &rows {
        settled
            .entry(row.id("listing")?)
            .or_default()
            .push(Settled {
                reservation: row.id("id")?,
                order: row.id("order_id")?,
            });
    }
    Ok(settled)
}

async fn open_log(db: &mut Db<'_>, show: ShowId, now: UnixMs) -> Result<LogStart, Failure> {
    let mut log = current_log(db, show).await?;
    log.epoch = Epoch(log.epoch.0 + 1);
    let start = EpochStart {
        epoch: log.epoch,
        first: log.archived.next(),
    };
    query("INSERT INTO log_epochs (show, epoch, first_offset, opened_at) VALUES ($1, $2, $3, $4)")
        .bind(show)
        .bind(signed(start.epoch.0))
        .bind(signed(start.first.0))
        .bind(now)
        .execute(db)
        .await?;
    log.epochs.push(start);
    Ok(log)
}

async fn current_log(db: &mut Db<'_>, show: ShowId) -> Result<LogStart, Failure> {
    shows::required(db, show).await?;
    let epochs = epochs(db, show).await?;
    Ok(LogStart {
        epoch: epochs.last().map_or(Epoch(0), |last| last.epoch),
        archived: archived(db, show).await?,
        epochs,
    })
}

async fn archive_all(db: &mut Db<'_>, batches: &[ArchiveBatch]) -> Result<(), Failure> {
    for batch in batches {
        archive(db, batch).await?;
    }
    Ok(())
}

async fn archive(db: &mut Db<'_>, batch: &ArchiveBatch) -> Result<(), Failure> {
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
        query_either(
            "INSERT INTO events (show, offset_, epoch, version, at, event)
             SELECT $2, value ->> 0, $3, $4, value ->> 1, value ->> 2 FROM json_each($1)",
            "INSERT INTO events (show, offset_, epoch, version, at, event)
             SELECT $2, (j ->> 0)::bigint, $3, $4, (j ->> 1)::bigint, j ->> 2
             FROM jsonb_array_elements($1::jsonb) j",
        )
        .bind_rows(&rows)
        .bind(batch.show)
        .bind(signed(batch.epoch.0))
        .bind(EVENT_VERSION)
        .execute(&mut *db)
        .await?;
    }
    journal::write(db, batch.show, &batch.changes).await?;
    Ok(())
}

async fn read_log(
    db: &mut Db<'_>,
    show: ShowId,
    after: Offset,
    limit: u32,
) -> sqlx::Result<Vec<LoggedEvent>> {
    let rows = query(
        "SELECT offset_, at, event FROM events WHERE show = $1 AND offset_ > $2
         ORDER BY offset_ LIMIT $3",
    )
    .bind(show)
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

async fn archived(db: &mut Db<'_>, show: ShowId) -> sqlx::Result<Offset> {
    let row = query("SELECT coalesce(max(offset_), 0) AS last FROM events WHERE show = $1")
        .bind(show)
        .fetch_one(db)
        .await?;
    Ok(Offset(row.unsigned("last")?))
}

async fn epochs(db: &mut Db<'_>, show: ShowId) -> sqlx::Result<Vec<EpochStart>> {
    let rows = query("SELECT epoch, first_offset FROM log_epochs WHERE show = $1 ORDER BY epoch")
        .bind(show)
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
