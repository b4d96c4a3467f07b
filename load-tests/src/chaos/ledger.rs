//! The ledger as an auditor sees it: rows of PostgreSQL by SQL, counted anew. It believes no total
//! that somebody else added up.

use std::collections::BTreeMap;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection as _, Row as _};
use vetrina_protocol::id::{ListingId, OrderId, ShowId};

use crate::stack::StackError;

/// Orders in these phases hold no units any more.
const WITHOUT_UNITS: [&str; 5] = ["expired", "canceled", "reclaiming", "refunding", "refunded"];
/// Nothing more happens to orders in these phases by itself.
const SETTLED: [&str; 4] = ["paid", "expired", "canceled", "refunded"];

/// A listing's own figures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sold {
    pub(crate) total: i64,
    pub(crate) claimed: i64,
    pub(crate) paid: i64,
    pub(crate) price_minor: i64,
}

/// An order with what it holds.
#[derive(Debug, Clone)]
pub(crate) struct OrderRow {
    pub(crate) buyer: String,
    pub(crate) key: String,
    pub(crate) phase: String,
    pub(crate) version: i64,
    pub(crate) total_minor: i64,
    pub(crate) lines: Vec<(ListingId, i64)>,
}

impl OrderRow {
    /// Whether its units are promised.
    pub(crate) fn holds_units(&self) -> bool {
        !WITHOUT_UNITS.contains(&self.phase.as_str())
    }

    pub(crate) fn is_paid(&self) -> bool {
        self.phase == "paid"
    }

    /// Whether it is as it will be.
    pub(crate) fn is_settled(&self) -> bool {
        SETTLED.contains(&self.phase.as_str())
    }
}

/// Everything of one show at one moment.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) listings: BTreeMap<ListingId, Sold>,
    pub(crate) orders: BTreeMap<OrderId, OrderRow>,
    /// Work that waits.
    pub(crate) outbox: i64,
}

impl Books {
    /// Reads them, in one snapshot of the database.
    pub(crate) async fn read(url: &str, show: ShowId) -> Result<Self, StackError> {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .execute(&mut connection)
            .await?;
        let orders = orders(&mut connection, show).await?;
        let outbox = "SELECT count(*) FROM outbox";
        let outbox = sqlx::query(outbox).fetch_one(&mut connection).await?;
        let books = Self {
            listings: listings(&mut connection, show).await?,
            orders,
            outbox: outbox.try_get(0)?,
        };
        connection.close().await?;
        Ok(books)
    }

    /// Nothing is under way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.outbox == 0 && self.orders.values().all(OrderRow::is_settled)
    }

    /// Units of a listing that are promised, counted from the orders.
    pub(crate) fn promised(&self, listing: ListingId) -> i64 {
        self.units(listing, OrderRow::holds_units)
    }

    /// Units of a listing that are paid for, counted from the orders.
    pub(crate) fn paid(&self, listing: ListingId) -> i64 {
        self.units(listing, OrderRow::is_paid)
    }

    fn units(&self, listing: ListingId, of: fn(&OrderRow) -> bool) -> i64 {
        let lines = self
            .orders
            .values()
            .filter(|order| of(order))
            .flat_map(|order| &order.lines);
        lines
            .filter(|(id, _)| *id == listing)
            .map(|(_, quantity)| quantity)
            .sum()
    }
}

/// Units that are promised beyond what there is, right now, over all listings of the show.
pub(crate) async fn oversold(
    connection: &mut PgConnection,
    show: ShowId,
) -> Result<i64, StackError> {
    let rows = listings(connection, show).await?;
    let beyond = |sold: &Sold| (sold.claimed - sold.total).max(0);
    Ok(rows.values().map(beyond).sum())
}

/// Lets every claim of the show wait until the connection is closed.
pub(crate) async fn lock(url: &str, show: ShowId) -> Result<PgConnection, StackError> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::query("BEGIN").execute(&mut connection).await?;
    sqlx::query("SELECT id FROM listings WHERE show::text = $1 FOR UPDATE")
        .bind(show.to_string())
        .fetch_all(&mut connection)
        .await?;
    Ok(connection)
}

/// Ends what waits for the lock and what else is half done, then gives the lock back. Gives how
/// many transactions were interrupted.
pub(crate) async fn interrupt(mut locked: PgConnection) -> Result<i64, StackError> {
    let interrupted = sqlx::query_scalar(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid() \
         AND (wait_event_type = 'Lock' OR state LIKE 'idle in transaction%')",
    )
    .fetch_one(&mut locked)
    .await?;
    locked.close().await?;
    Ok(interrupted)
}

async fn listings(
    connection: &mut PgConnection,
    show: ShowId,
) -> Result<BTreeMap<ListingId, Sold>, StackError> {
    let rows = sqlx::query(
        "SELECT id::text, total::bigint, claimed::bigint, paid::bigint, price_minor::bigint \
         FROM listings \
         WHERE show::text = $1",
    )
    .bind(show.to_string())
    .fetch_all(connection)
    .await?;
    let listing = |row: &PgRow| {
        let sold = Sold {
            total: row.try_get(1)?,
            claimed: row.try_get(2)?,
            paid: row.try_get(3)?,
            price_minor: row.try_get(4)?,
        };
        Ok((id(row, 0)?, sold))
    };
    rows.iter().map(listing).collect()
}

async fn orders(
    connection: &mut PgConnection,
    show: ShowId,
) -> Result<BTreeMap<OrderId, OrderRow>, StackError> {
    let rows = sqlx::query(
        "SELECT id::text, buyer::text, key, phase, version::bigint, total_minor::bigint \
         FROM orders WHERE show::text = $1",
    )
    .bind(show.to_string())
    .fetch_all(&mut *connection)
    .await?;
    let mut orders = BTreeMap::new();
    for row in &rows {
        let order = OrderRow {
            buyer: row.try_get(1)?,
            key: row.try_get(2)?,
            phase: row.try_get(3)?,
            version: row.try_get(4)?,
            total_minor: row.try_get(5)?,
            lines: Vec::new(),
        };
        orders.insert(id(row, 0)?, order);
    }
    let lines = sqlx::query(
        "SELECT l.order_id::text, l.listing::text, l.quantity::bigint FROM order_lines l \
         JOIN orders o ON o.id = l.order_id WHERE o.show::text = $1",
    )
    .bind(show.to_string())
    .fetch_all(connection)
    .await?;
    for line in &lines {
        let order: OrderId = id(line, 0)?;
        if let Some(order) = orders.get_mut(&order) {
            order.lines.push((id(line, 1)?, line.try_get(2)?));
        }
    }
    Ok(orders)
}

fn id<T: std::str::FromStr>(row: &PgRow, column: usize) -> Result<T, StackError> {
    let text: String = row.try_get(column)?;
    let wrong = || sqlx::Error::ColumnDecode {
        index: column.to_string(),
        source: format!("{text} is not an id").into(),
    };
    Ok(text.parse().map_err(|_| wrong())?)
}
