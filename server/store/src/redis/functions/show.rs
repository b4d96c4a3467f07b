//! Calls that change one show's stock, log and notices: `functions/show.lua`. Each answers with the
//! show's [`ShowStatus`], and with `NotOpen` where the caller believes wrongly.

use redis::{Cmd, Value};
use vetrina_core::hot::{HotAnswer, HotCommand};
use vetrina_core::reservation::ReservationRow;
use vetrina_protocol::event::{Event, PrivateEvent};
use vetrina_protocol::id::{ReservationId, UserId};
use vetrina_protocol::time::{Epoch, Offset, UnixMs};
use vetrina_protocol::view::{Listing, ShowState};

use super::shared::{arg_clock, fcall};
use super::wire::{Reader, Writer, array, bytes, int};
use super::{Belief, Call, CallError, NotOpen, answers, commands, entries};
use crate::hot::{Appended, Position};
use crate::ledger::ListingRow;
use crate::redis::keys::ShowKeys;

/// How a show is, after the call that answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShowStatus {
    /// The log's end.
    pub position: Position,
    /// What [`trim`] was last told.
    pub archived: Offset,
    /// The show's time.
    pub now: UnixMs,
    /// When the next `Tick` is due; none: not before another command.
    pub next_due: Option<UnixMs>,
    /// `Restore` came: buyers are served.
    pub is_loaded: bool,
    /// The newest notice.
    pub notices: u64,
}

/// What a batch of commands came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Afterwards.
    pub status: ShowStatus,
    /// One for each command, in order. `NotLoaded` as core says it.
    pub answers: Vec<HotAnswer>,
    /// The rows that the answers speak of, whole: to be remembered and seated again after a loss.
    pub rows: Vec<ReservationRow>,
}

/// What a show is opened with.
#[derive(Debug, Clone, Copy)]
pub struct OpenShow<'a> {
    /// Who opens: the holder of the lease [`OpenShow::LEASE`].
    pub holder: &'a str,
    /// The ledger's new epoch.
    pub epoch: Epoch,
    /// The last archived event; the next one is numbered after it.
    pub archived: Offset,
    /// No notice is numbered below this.
    pub notices_after: u64,
    /// The listings as the folded archive says them, in the run of show's order.
    pub listings: &'a [Listing],
}

impl OpenShow<'_> {
    /// Whoever opens a show takes this lease first, and only then an epoch from the ledger.
    pub const LEASE: &'static str = "open";
}

/// What opening came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// The show is empty now, under the given epoch: mirror, restore, seat again.
    Ours(ShowStatus),
    /// Somebody opened it in this incarnation, with this epoch or a newer one.
    Already(ShowStatus),
    /// Somebody else has the lease.
    NotLeased,
}

/// Starts to build a show anew: what Redis holds of it is dropped, log and notices too, and the
/// belief's identity is written down. Buyers hear `NotLoaded` until `Restore` came.
pub fn open(
    keys: &ShowKeys,
    belief: Belief<'_>,
    show: OpenShow<'_>,
) -> Result<Call<Opened>, CallError> {
    let names: Vec<&str> = keys.all().iter().map(String::as_str).collect();
    let mut cmd = fcall("vetrina_open", &names);
    arg_belief(&mut cmd, belief);
    let mut to = Writer::default();
    to.number(show.epoch.0, "an epoch")
        .number(show.archived.0, "an offset")
        .number(show.notices_after, "a version")
        .count(show.listings.len(), "listings");
    for listing in show.listings {
        to.id(listing.id.0).stock(listing.stock);
        let mut words = Writer::default();
        entries::words(&mut words, listing);
        to.blob(&words.finish()?);
    }
    cmd.arg(show.holder).arg(to.finish()?);
    Ok(Call::new(cmd, |value| {
        let mut parts = array(value)?.into_iter();
        let kind = parts.next().ok_or(CallError::Malformed("empty"))?;
        match bytes(&kind)? {
            b"leased" => Ok(Opened::NotLeased),
            b"already" => Ok(Opened::Already(header(parts.next())?)),
            b"ok" => Ok(Opened::Ours(header(parts.next())?)),
            _ => Err(CallError::Malformed("an opening")),
        }
    }))
}

/// Decides up to [`super::BATCH_MAX`] commands, one after the other.
///
/// # Errors
/// `TooBig` for a number that Lua would not keep exactly.
pub fn apply(
    keys: &ShowKeys,
    belief: Belief<'_>,
    commands: &[HotCommand],
) -> Result<Call<Batch>, CallError> {
    let mut cmd = on_show("vetrina_apply", keys, belief);
    for command in commands {
        cmd.arg(commands::encode(command)?);
    }
    let expected = commands.len();
    Ok(Call::new(cmd, move |value| batch(value, expected)))
}

/// Mirrors a listing's row and logs its words where they differ. `None`: a newer row is known.
///
/// # Errors
/// As [`apply`].
pub fn publish(
    keys: &ShowKeys,
    belief: Belief<'_>,
    row: &ListingRow,
) -> Result<Call<Option<Batch>>, CallError> {
    let mut cmd = on_show("vetrina_publish", keys, belief);
    let mut to = Writer::tagged(b'M');
    commands::mirror(&mut to, &row.mirror(Vec::new(), Vec::new()));
    let mut words = Writer::default();
    entries::words(&mut words, &row.view(row.stock_unreserved()));
    cmd.arg(to.finish()?).arg(words.finish()?);
    Ok(Call::new(cmd, |value| {
        let parts = opened(value)?;
        if parts.len() == 1 {
            return Ok(None);
        }
        batch_of(parts, 1).map(Some)
    }))
}

/// Appends events, all of them or none; the end of a show closes its selling in the same step.
///
/// # Errors
/// As [`apply`].
pub fn append(
    keys: &ShowKeys,
    belief: Belief<'_>,
    events: &[Event],
) -> Result<Call<(ShowStatus, Appended)>, CallError> {
    let mut cmd = on_show("vetrina_append", keys, belief);
    arg_events(&mut cmd, events)?;
    Ok(Call::new(cmd, |value| appended(opened(value)?)))
}

/// The same, if the log still ends with `end`; `None`: it has moved on.
///
/// # Errors
/// As [`apply`].
pub fn append_after(
    keys: &ShowKeys,
    belief: Belief<'_>,
    end: Offset,
    events: &[Event],
) -> Result<Call<Option<(ShowStatus, Appended)>>, CallError> {
    let mut cmd = on_show("vetrina_append_after", keys, belief);
    let mut to = Writer::default();
    to.number(end.0, "an offset");
    cmd.arg(to.finish()?);
    arg_events(&mut cmd, events)?;
    Ok(Call::new(cmd, |value| {
        let parts = opened(value)?;
        if parts.len() == 1 {
            return Ok(None);
        }
        appended(parts).map(Some)
    }))
}

fn arg_events(cmd: &mut Cmd, events: &[Event]) -> Result<(), CallError> {
    for event in events {
        let mut to = match event {
            Event::ShowStateChanged {
                state: ShowState::Ended,
            } => Writer::tagged(b'C'),
            Event::ListingsOrdered { .. } => Writer::tagged(b'O'),
            _ => Writer::tagged(b'E'),
        };
        to.blob(&entries::opaque(event));
        if let Event::ListingsOrdered { listings } = event {
            for listing in listings {
                to.id(listing.0);
            }
        }
        cmd.arg(to.finish()?);
    }
    Ok(())
}

fn appended(parts: Vec<Value>) -> Result<(ShowStatus, Appended), CallError> {
    let mut parts = parts.into_iter();
    let status = header(parts.next())?;
    let first = parts.next().ok_or(CallError::Malformed("no offset"))?;
    let mut from = Reader::new(bytes(&first)?);
    let appended = Appended {
        first: Offset(from.number()?),
        position: Position {
            epoch: status.position.epoch,
            offset: Offset(from.number()?),
        },
        at: status.now,
    };
    Ok((status, appended))
}

/// Tells a private fact that others decided. The notice's version is the status' `notices`.
///
/// # Errors
/// As [`apply`].
pub fn notify(
    keys: &ShowKeys,
    belief: Belief<'_>,
    buyer: UserId,
    buyer_name: &str,
    event: &PrivateEvent,
) -> Result<Call<ShowStatus>, CallError> {
    let mut cmd = on_show("vetrina_notify", keys, belief);
    let mut to = Writer::tagged(b'E');
    to.id(buyer.0)
        .name(buyer_name)
        .blob(&entries::opaque(event));
    cmd.arg(to.finish()?);
    Ok(Call::new(cmd, only_status))
}

/// What seating rows again came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reseated {
    /// Afterwards.
    pub status: ShowStatus,
    /// Open again.
    pub seated: Vec<ReservationId>,
    /// Their units are somebody else's by now: closed as expired, and their buyers were told. Those
    /// whose time ran out are in neither list.
    pub dropped: Vec<ReservationId>,
}

/// Puts back rows that this node remembers having granted, after a loss: mirrors first. Rows that
/// are known already stay as they are; rows of unknown listings are ignored.
///
/// # Errors
/// As [`apply`].
pub fn reseat(
    keys: &ShowKeys,
    belief: Belief<'_>,
    rows: &[ReservationRow],
) -> Result<Call<Reseated>, CallError> {
    let mut cmd = on_show("vetrina_reseat", keys, belief);
    for row in rows {
        let mut to = Writer::default();
        to.row(row);
        cmd.arg(to.finish()?);
    }
    let ids: Vec<ReservationId> = rows.iter().map(|row| row.id).collect();
    Ok(Call::new(cmd, move |value| {
        let parts = opened(value)?;
        let [head, fates] = parts.as_slice() else {
            return Err(CallError::Malformed("seats"));
        };
        let fates = bytes(fates)?;
        let of = |fate: u8| {
            let pairs = ids.iter().zip(fates);
            pairs
                .filter(|(_, it)| **it == fate)
                .map(|(id, _)| *id)
                .collect()
        };
        Ok(Reseated {
            status: status_of(bytes(head)?)?,
            seated: of(b'S'),
            dropped: of(b'D'),
        })
    }))
}

/// Everything up to `archived` is on disk: the log is trimmed behind it, but for the newest
/// `kept` events.
///
/// # Errors
/// As [`apply`].
pub fn trim(
    keys: &ShowKeys,
    belief: Belief<'_>,
    archived: Offset,
    kept: u64,
) -> Result<Call<ShowStatus>, CallError> {
    let mut cmd = on_show("vetrina_trim", keys, belief);
    let mut to = Writer::default();
    to.number(archived.0, "an offset").number(kept, "events");
    cmd.arg(to.finish()?);
    Ok(Call::new(cmd, only_status))
}

/// Forgets the show, unless its log moved beyond `end`. False: it did.
///
/// # Errors
/// As [`apply`].
pub fn close(keys: &ShowKeys, belief: Belief<'_>, end: Offset) -> Result<Call<bool>, CallError> {
    let mut cmd = on_show("vetrina_close", keys, belief);
    let mut to = Writer::default();
    to.number(end.0, "an offset");
    cmd.arg(to.finish()?);
    Ok(Call::new(cmd, |value| {
        let parts = opened(value)?;
        let closed = parts.get(1).ok_or(CallError::Malformed("no fate"))?;
        Ok(int(closed)? == 1)
    }))
}

/// A node's viewers of the show, believed for `lease_ms`. Gives the sum over all nodes.
pub fn report_viewers(
    keys: &ShowKeys,
    node: &str,
    viewers: u32,
    lease_ms: u64,
    clock: Option<UnixMs>,
) -> Call<u32> {
    let mut cmd = fcall("vetrina_presence", &[keys.viewers()]);
    cmd.arg(node).arg(viewers).arg(lease_ms);
    arg_clock(&mut cmd, clock);
    Call::new(cmd, |value| {
        u32::try_from(int(&value)?).map_err(|_| CallError::Malformed("viewers"))
    })
}

pub(super) fn on_show(function: &str, keys: &ShowKeys, belief: Belief<'_>) -> Cmd {
    let names: Vec<&str> = keys.state().iter().map(String::as_str).collect();
    let mut cmd = fcall(function, &names);
    arg_belief(&mut cmd, belief);
    cmd
}

fn arg_belief(cmd: &mut Cmd, belief: Belief<'_>) {
    cmd.arg(belief.identity);
    match belief.epoch {
        Some(epoch) => cmd.arg(epoch.0),
        None => cmd.arg(""),
    };
    arg_clock(cmd, belief.clock);
}

/// The parts behind the word that says whether the show is open.
pub(super) fn opened(value: Value) -> Result<Vec<Value>, CallError> {
    let mut parts = array(value)?;
    let kind = match parts.first() {
        Some(kind) => bytes(kind)?,
        None => return Err(CallError::Malformed("empty")),
    };
    let why = match kind {
        b"ok" => {
            parts.remove(0);
            return Ok(parts);
        }
        b"missing" => NotOpen::Missing,
        b"identity" => NotOpen::OtherIdentity,
        b"epoch" => {
            let epoch = parts.get(1).ok_or(CallError::Malformed("no epoch"))?;
            NotOpen::OtherEpoch(Epoch(Reader::new(bytes(epoch)?).number()?))
        }
        _ => return Err(CallError::Malformed("neither open nor not")),
    };
    Err(CallError::NotOpen(why))
}

pub(super) fn only_status(value: Value) -> Result<ShowStatus, CallError> {
    header(opened(value)?.into_iter().next())
}

fn batch(value: Value, expected: usize) -> Result<Batch, CallError> {
    batch_of(opened(value)?, expected)
}

fn batch_of(parts: Vec<Value>, expected: usize) -> Result<Batch, CallError> {
    let mut parts = parts.into_iter();
    let status = header(parts.next())?;
    let mut rows = Vec::new();
    let mut answers = Vec::with_capacity(expected);
    for part in parts {
        answers.push(answers::decode(bytes(&part)?, &mut rows)?);
    }
    if answers.len() != expected {
        return Err(CallError::Malformed("another number of answers"));
    }
    Ok(Batch {
        status,
        answers,
        rows,
    })
}

fn header(part: Option<Value>) -> Result<ShowStatus, CallError> {
    let part = part.ok_or(CallError::Malformed("no status"))?;
    status_of(bytes(&part)?)
}

pub(super) fn status_of(bytes: &[u8]) -> Result<ShowStatus, CallError> {
    let mut from = Reader::new(bytes);
    let epoch = Epoch(from.number()?);
    let offset = Offset(from.number()?);
    let archived = Offset(from.number()?);
    let now = from.ms()?;
    let notices = from.number()?;
    let is_loaded = from.byte()? != 0;
    let is_due = from.byte()? != 0;
    let due = from.ms()?;
    Ok(ShowStatus {
        position: Position { epoch, offset },
        archived,
        now,
        next_due: is_due.then_some(due),
        is_loaded,
        notices,
    })
}
