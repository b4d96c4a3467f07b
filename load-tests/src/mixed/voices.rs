//! Who does what in a sale, each on its own session and in turn. The numbers of marks are the ids
//! of commands: every kind has a range of its own.

use std::io;
use std::sync::Arc;

use mio::net::TcpStream;
use vetrina_protocol::client::{ClientMessage, Reaction};
use vetrina_protocol::id::ListingId;

use crate::channel::crowd::say;
use crate::channel::known::Mark;
use crate::channel::payload::command;
use crate::channel::speech::Voice;

/// First ids; those of comments are below.
pub(super) const REACTIONS: u32 = 1 << 30;
pub(super) const RESERVATIONS: u32 = 2 << 30;
pub(super) const STOCK_CHANGES: u32 = 3 << 30;

type Streams = Vec<Arc<TcpStream>>;

/// The stream whose turn it is; who does several things in a row is not always the same.
fn turn_of(streams: &Streams, mark: Mark) -> io::Result<&TcpStream> {
    let at = mark.number as usize % streams.len().max(1);
    let stream = streams.get(at).ok_or(io::ErrorKind::NotConnected)?;
    Ok(stream)
}

/// Viewers who send hearts.
pub(super) struct Reactors(Streams);

impl Reactors {
    pub(super) fn new(streams: Streams) -> Self {
        Self(streams)
    }
}

impl Voice for Reactors {
    fn say(&mut self, mark: Mark) -> io::Result<()> {
        let reaction = ClientMessage::React {
            id: mark.number,
            reaction: Reaction::Heart,
        };
        say(turn_of(&self.0, mark)?, &command(&reaction))
    }
}

/// Viewers who reserve one unit each.
pub(super) struct Buyers {
    streams: Streams,
    listings: Vec<ListingId>,
}

impl Buyers {
    pub(super) fn new(streams: Streams, listings: Vec<ListingId>) -> Self {
        Self { streams, listings }
    }
}

impl Voice for Buyers {
    fn say(&mut self, mark: Mark) -> io::Result<()> {
        let reserve = ClientMessage::Reserve {
            id: mark.number,
            key: format!("buy-{:x}", mark.number),
            listing: self.listings[mark.number as usize % self.listings.len()],
            quantity: 1,
            media_time: None,
        };
        say(turn_of(&self.streams, mark)?, &command(&reserve))
    }
}

/// The host's sessions, which change how many units there are.
pub(super) struct Crew {
    streams: Streams,
    listings: Vec<ListingId>,
}

impl Crew {
    pub(super) fn new(streams: Streams, listings: Vec<ListingId>) -> Self {
        Self { streams, listings }
    }
}

impl Voice for Crew {
    fn say(&mut self, mark: Mark) -> io::Result<()> {
        let change = ClientMessage::SetStock {
            id: mark.number,
            key: format!("stock-{:x}", mark.number),
            listing: self.listings[mark.number as usize % self.listings.len()],
            // Always another number, always enough.
            total: 100_000 + mark.number % 1_000,
        };
        say(turn_of(&self.streams, mark)?, &command(&change))
    }
}
