//! Follows a show's log as a client must: every offset once, in order, or an explicit reset. Counts
//! where the server did not keep to it, and keeps what may never be left out, so that what several
//! clients saw can be compared.

use std::collections::BTreeMap;

use vetrina_protocol::client::Resume;
use vetrina_protocol::event::Event;
use vetrina_protocol::server::{ServerMessage, Welcome};
use vetrina_protocol::time::{Epoch, Offset};

/// A place in the log.
type Place = (Epoch, Offset);

/// What one client saw of the log.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    position: Option<Resume>,
    /// Times that offsets were skipped, repeated or out of order without a reset.
    pub(crate) gaps: u32,
    /// Resumes that were granted.
    pub(crate) resumed: u32,
    /// Explicit resets.
    pub(crate) resets: u32,
    /// Viewers, as told last.
    pub(crate) viewers: Option<u32>,
    /// Stretches of the log that this client was given whole: first and last offset.
    pub(crate) covered: Vec<(Epoch, Offset, Offset)>,
    /// Events that are never conflated, by their place.
    pub(crate) seen: BTreeMap<Place, String>,
}

impl Follower {
    /// Where to continue.
    pub(crate) fn resume(&self) -> Option<Resume> {
        self.position
    }

    /// A session is open.
    pub(crate) fn welcome(&mut self, welcome: &Welcome) {
        let at = Resume {
            epoch: welcome.epoch,
            offset: welcome.offset,
        };
        if welcome.resumed {
            self.resumed += 1;
            // The position is the one that was asked for. A newer incarnation of the log may
            // continue there, when nothing before it was lost.
            let continues = |asked: Resume| asked.offset == at.offset && asked.epoch <= at.epoch;
            self.gaps += u32::from(!self.position.is_some_and(continues));
        } else if self.position.is_some() {
            self.resets += u32::from(welcome.reset.is_some());
            self.gaps += u32::from(welcome.reset.is_none());
        }
        self.position = Some(at);
    }

    /// Any message.
    pub(crate) fn take(&mut self, message: &ServerMessage) {
        match message {
            ServerMessage::Welcome(welcome) => self.welcome(welcome),
            ServerMessage::Audience { viewers, .. } => self.viewers = Some(*viewers),
            ServerMessage::Events { from, to, events } => {
                let Some(position) = self.position else {
                    self.gaps += 1;
                    return;
                };
                let follows = from.0 == position.offset.0 + 1 && to >= from;
                let mut last = position.offset;
                let mut ordered = true;
                for logged in events {
                    ordered &= logged.offset > last && logged.offset <= *to;
                    last = logged.offset;
                    if let Some(text) = told_whole(&logged.event) {
                        self.seen.insert((position.epoch, logged.offset), text);
                    }
                }
                self.gaps += u32::from(!(follows && ordered));
                self.cover(position.epoch, *from, *to);
                self.position = Some(Resume {
                    epoch: position.epoch,
                    offset: *to,
                });
            }
            _ => {}
        }
    }

    fn cover(&mut self, epoch: Epoch, from: Offset, to: Offset) {
        if let Some((last_epoch, _, end)) = self.covered.last_mut()
            && *last_epoch == epoch
            && end.0 + 1 == from.0
        {
            *end = to;
        } else {
            self.covered.push((epoch, from, to));
        }
    }
}

/// What an event says, when it is one that no client may miss.
fn told_whole(event: &Event) -> Option<String> {
    match event {
        Event::Commented { comment } => Some(format!("comment {}", comment.id)),
        Event::CommentDeleted { comment } => Some(format!("deleted {comment}")),
        Event::Pinned { pin } => Some(format!("pin {} {}", pin.listing, pin.pinned_at_ms.0)),
        Event::Unpinned { .. } => Some("unpin".into()),
        Event::ShowStateChanged { state } => Some(format!("{state:?}")),
        Event::ViewerMuted { viewer, muted } => Some(format!("mute {viewer} {muted}")),
        Event::SlowModeChanged { seconds } => Some(format!("slow {seconds}")),
        Event::ListingChanged { .. }
        | Event::ListingsOrdered { .. }
        | Event::StockChanged { .. }
        | Event::PriceChanged { .. } => None,
    }
}

/// Compares what all clients saw: two that were given the same place must have been told the same,
/// and one that was given a stretch must have every event of it that anybody was told of. Gives one
/// line for each time that this is not so.
pub(crate) fn disagreements(followers: &[&Follower]) -> Vec<String> {
    let mut all: BTreeMap<Place, &str> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (n, follower) in followers.iter().enumerate() {
        for (place, text) in &follower.seen {
            let first = all.entry(*place).or_insert(text);
            if first != text {
                let (epoch, offset) = (place.0.0, place.1.0);
                wrong.push(format!(
                    "epoch {epoch}, offset {offset}: client {n} was told {text}, others {first}"
                ));
            }
        }
    }
    for (n, follower) in followers.iter().enumerate() {
        for (epoch, from, to) in &follower.covered {
            let told = all.range((*epoch, *from)..=(*epoch, *to));
            let missed = told.filter(|(place, _)| !follower.seen.contains_key(place));
            wrong.extend(missed.map(|(place, text)| {
                let (epoch, offset) = (place.0.0, place.1.0);
                format!("epoch {epoch}, offset {offset}: client {n} was not told {text}")
            }));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use vetrina_protocol::event::LoggedEvent;
    use vetrina_protocol::time::UnixMs;

    fn at(epoch: u32, offset: u64) -> Follower {
        Follower {
            position: Some(Resume {
                epoch: Epoch(epoch.into()),
                offset: Offset(offset),
            }),
            ..Follower::default()
        }
    }

    fn events(from: u64, to: u64, told: &[(u64, u32)]) -> ServerMessage {
        let events = told.iter().map(|(offset, seconds)| LoggedEvent {
            offset: Offset(*offset),
            at_ms: UnixMs(0),
            event: Event::SlowModeChanged { seconds: *seconds },
        });
        ServerMessage::Events {
            from: Offset(from),
            to: Offset(to),
            events: events.collect(),
        }
    }

    #[test]
    fn offsets_follow_each_other_or_are_counted() {
        let mut follower = at(1, 4);
        follower.take(&events(5, 7, &[(6, 1)]));
        follower.take(&events(8, 8, &[(8, 1)]));
        assert_eq!(follower.gaps, 0);
        assert_eq!(follower.covered, [(Epoch(1), Offset(5), Offset(8))]);
        follower.take(&events(10, 11, &[]));
        assert_eq!(follower.gaps, 1, "9 is missing");
        follower.take(&events(11, 12, &[]));
        assert_eq!(follower.gaps, 2, "11 came twice");
        follower.take(&events(13, 14, &[(14, 1), (13, 1)]));
        assert_eq!(follower.gaps, 3, "out of order");
    }

    #[test]
    fn clients_that_saw_different_logs_disagree() {
        let (mut one, mut two) = (at(1, 0), at(1, 0));
        one.take(&events(1, 3, &[(1, 5), (2, 6)]));
        two.take(&events(1, 3, &[(1, 5), (2, 6)]));
        assert_eq!(disagreements(&[&one, &two]).len(), 0);
        let mut missing = at(1, 0);
        missing.take(&events(1, 3, &[(1, 5)]));
        assert_eq!(disagreements(&[&one, &missing]).len(), 1);
        let mut other = at(1, 0);
        other.take(&events(1, 3, &[(1, 5), (2, 7)]));
        assert_eq!(disagreements(&[&one, &other]).len(), 1);
        let mut another_epoch = at(2, 0);
        another_epoch.take(&events(1, 3, &[(2, 7)]));
        assert_eq!(disagreements(&[&one, &another_epoch]).len(), 0);
    }
}
