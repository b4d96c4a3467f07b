//! A show's life cycle, and its public state as folded from its log: what a snapshot says and what
//! may be conflated. It refuses to know how the log is kept and who reads it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use vetrina_protocol::event::{Event, LoggedEvent};
use vetrina_protocol::id::{ListingId, UserId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::server::Snapshot;
use vetrina_protocol::time::{Offset, UnixMs};
use vetrina_protocol::view::{Comment, Listing, Pin, Show, ShowState};

use crate::limits::{LISTINGS_MAX, MUTED_MAX, SNAPSHOT_COMMENTS_MAX};
use crate::refused::Refused;

/// What may happen to a show's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShowTransition {
    /// A host opens the show, or its video arrives for the first time.
    GoLive,
    /// The publisher's video is missing.
    VideoLost,
    /// The publisher's video is there (again).
    VideoBack,
    /// A host ends it for good.
    End,
    /// Its recording can be watched.
    OfferReplay,
}

/// The state after a transition. The same state means: nothing to log, answer `Ok`.
///
/// # Errors
/// `show_state` when the life cycle has no such step.
pub fn next(state: ShowState, transition: ShowTransition) -> Result<ShowState, Refused> {
    use ShowState as S;
    use ShowTransition as T;
    match (transition, state) {
        (T::GoLive, S::Scheduled | S::Live) => Ok(S::Live),
        // On air already; only the video's return ends the interruption.
        (T::GoLive, S::Interrupted) => Ok(S::Interrupted),
        (T::VideoBack, S::Scheduled | S::Live | S::Interrupted) => Ok(S::Live),
        (T::VideoLost, S::Live | S::Interrupted) => Ok(S::Interrupted),
        // A publisher that leaves before or after the show changes nothing.
        (T::VideoLost, S::Scheduled | S::Ended | S::Replay) => Ok(state),
        (T::End, S::Scheduled | S::Live | S::Interrupted | S::Ended) => Ok(S::Ended),
        (T::OfferReplay, S::Ended | S::Replay) => Ok(S::Replay),
        (T::GoLive | T::VideoBack, S::Ended | S::Replay) => {
            Err(refused("this show has ended; make a new one"))
        }
        (T::End, S::Replay) => Err(refused("this show has ended and is shown as a replay")),
        (T::OfferReplay, S::Scheduled | S::Live | S::Interrupted) => {
            Err(refused("end the show before offering its replay"))
        }
    }
}

/// Whether something may be reserved or queued for.
#[must_use]
pub const fn is_selling(state: ShowState) -> bool {
    matches!(state, ShowState::Live | ShowState::Interrupted)
}

/// # Errors
/// `not_live` unless the show is selling.
pub fn refuse_unless_selling(state: ShowState) -> Result<(), Refused> {
    match state {
        ShowState::Live | ShowState::Interrupted => Ok(()),
        ShowState::Scheduled => Err(Refused::new(
            RefusalCode::NotLive,
            "the show has not started yet",
        )),
        ShowState::Ended | ShowState::Replay => Err(Refused::new(
            RefusalCode::NotLive,
            "the show has ended; nothing is sold any more",
        )),
    }
}

/// # Errors
/// `show_state` when the show has ended: hosts may prepare a scheduled one.
pub fn refuse_if_over(state: ShowState) -> Result<(), Refused> {
    match state {
        ShowState::Scheduled | ShowState::Live | ShowState::Interrupted => Ok(()),
        ShowState::Ended | ShowState::Replay => Err(refused("this show has ended")),
    }
}

fn refused(message: &'static str) -> Refused {
    Refused::new(RefusalCode::ShowState, message)
}

/// The run of show after a host named some listings: those first, in that order, the others behind
/// in the order they had.
///
/// # Errors
/// `listing_unknown`, or `invalid` for one named twice.
pub fn order_listings(
    current: &[ListingId],
    named: &[ListingId],
) -> Result<Vec<ListingId>, Refused> {
    let known: BTreeSet<_> = current.iter().copied().collect();
    let first: BTreeSet<_> = named.iter().copied().collect();
    if first.len() != named.len() {
        return Err(Refused::new(
            RefusalCode::Invalid,
            "listings: the same one is named twice; name each once",
        ));
    }
    if !first.is_subset(&known) {
        return Err(Refused::new(
            RefusalCode::ListingUnknown,
            "listings: one of them is not part of this show",
        ));
    }
    let rest = current.iter().filter(|listing| !first.contains(listing));
    Ok(named.iter().chain(rest).copied().collect())
}

/// What applying an event to a fold came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folded {
    /// It was the next one.
    Applied,
    /// It was in there already.
    Already,
    /// Events before it are missing: start again from a snapshot or read the log from here.
    Gap {
        /// The offset that must come next.
        expected: Offset,
    },
}

/// The public state of a show at one offset.
#[derive(Debug, Clone, PartialEq)]
pub struct ShowFold {
    show: Show,
    listings: BTreeMap<ListingId, Listing>,
    run: Vec<ListingId>,
    pin: Option<Pin>,
    comments: VecDeque<Comment>,
    slow_mode_s: u32,
    muted: VecDeque<UserId>,
    offset: Offset,
}

impl ShowFold {
    /// A show with its listings in the run of show's order, before the event after `offset`.
    #[must_use]
    pub fn new(show: Show, listings: Vec<Listing>, offset: Offset) -> Self {
        let snapshot = Snapshot {
            show,
            listings,
            pin: None,
            comments: Vec::new(),
            slow_mode_s: 0,
            muted: Vec::new(),
            viewers: 0,
        };
        Self::from_snapshot(snapshot, offset)
    }

    /// The state that a snapshot says, at its offset.
    #[must_use]
    pub fn from_snapshot(snapshot: Snapshot, offset: Offset) -> Self {
        Self {
            show: snapshot.show,
            run: snapshot.listings.iter().map(|listing| listing.id).collect(),
            listings: snapshot
                .listings
                .into_iter()
                .map(|listing| (listing.id, listing))
                .collect(),
            pin: snapshot.pin,
            comments: snapshot.comments.into(),
            slow_mode_s: snapshot.slow_mode_s,
            muted: snapshot.muted.into(),
            offset,
        }
    }

    /// Takes the next event of the log.
    pub fn apply(&mut self, logged: &LoggedEvent) -> Folded {
        if logged.offset <= self.offset {
            return Folded::Already;
        }
        if logged.offset != self.offset.next() {
            return Folded::Gap {
                expected: self.offset.next(),
            };
        }
        self.offset = logged.offset;
        self.fold(logged.at_ms, &logged.event);
        Folded::Applied
    }

    /// The whole public state, for somebody who joins while `viewers` watch.
    #[must_use]
    pub fn snapshot(&self, viewers: u32) -> Snapshot {
        Snapshot {
            show: self.show.clone(),
            listings: self.listings().cloned().collect(),
            pin: self.pin,
            comments: self.comments.iter().cloned().collect(),
            slow_mode_s: self.slow_mode_s,
            muted: self.muted.iter().copied().collect(),
            viewers,
        }
    }

    /// The offset of the last event in here.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// The show.
    #[must_use]
    pub fn show(&self) -> &Show {
        &self.show
    }

    /// Changes what is not part of the log: title, poster, times.
    pub fn set_show(&mut self, show: Show) {
        let state = self.show.state;
        self.show = Show { state, ..show };
    }

    /// One listing.
    #[must_use]
    pub fn listing(&self, listing: ListingId) -> Option<&Listing> {
        self.listings.get(&listing)
    }

    /// All listings in the run of show's order.
    pub fn listings(&self) -> impl Iterator<Item = &Listing> {
        self.run
            .iter()
            .filter_map(|listing| self.listings.get(listing))
    }

    /// The run of show.
    #[must_use]
    pub fn run(&self) -> &[ListingId] {
        &self.run
    }

    /// On screen now.
    #[must_use]
    pub fn pin(&self) -> Option<Pin> {
        self.pin
    }

    /// The newest comments, oldest first.
    pub fn comments(&self) -> impl Iterator<Item = &Comment> {
        self.comments.iter()
    }

    /// Whether a person may not comment.
    #[must_use]
    pub fn is_muted(&self, viewer: UserId) -> bool {
        self.muted.contains(&viewer)
    }

    /// Slow mode, seconds.
    #[must_use]
    pub fn slow_mode_s(&self) -> u32 {
        self.slow_mode_s
    }

    fn fold(&mut self, at: UnixMs, event: &Event) {
        match event {
            Event::ShowStateChanged { state } => self.fold_state(at, *state),
            Event::ListingChanged { listing } => self.fold_listing(listing),
            Event::ListingsOrdered { listings } => self.fold_order(listings),
            Event::Pinned { pin } => self.pin = Some(*pin),
            Event::Unpinned { .. } => self.pin = None,
            Event::StockChanged { listing, stock } => {
                if let Some(listing) = self.listings.get_mut(listing) {
                    listing.stock = *stock;
                }
            }
            Event::PriceChanged { listing, price } => {
                if let Some(listing) = self.listings.get_mut(listing) {
                    listing.price = *price;
                }
            }
            Event::Commented { comment } => {
                if self.comments.len() >= SNAPSHOT_COMMENTS_MAX {
                    self.comments.pop_front();
                }
                self.comments.push_back(comment.clone());
            }
            Event::CommentDeleted { comment } => {
                self.comments.retain(|kept| kept.id != *comment);
            }
            Event::ViewerMuted { viewer, muted } => self.fold_muted(*viewer, *muted),
            Event::SlowModeChanged { seconds } => self.slow_mode_s = *seconds,
        }
    }

    fn fold_state(&mut self, at: UnixMs, state: ShowState) {
        self.show.state = state;
        match state {
            ShowState::Live => {
                self.show.live_at_ms = self.show.live_at_ms.or(Some(at));
            }
            ShowState::Ended => {
                self.show.ended_at_ms = self.show.ended_at_ms.or(Some(at));
                self.pin = None;
            }
            ShowState::Scheduled | ShowState::Interrupted | ShowState::Replay => {}
        }
    }

    fn fold_listing(&mut self, listing: &Listing) {
        if self.listings.insert(listing.id, listing.clone()).is_none() {
            debug_assert!(
                self.run.len() < LISTINGS_MAX,
                "listings are bounded where added"
            );
            self.run.push(listing.id);
        }
        self.number_run();
    }

    fn fold_order(&mut self, named: &[ListingId]) {
        // An archived order may lack a listing that was added in between: those go behind.
        let known: Vec<_> = named
            .iter()
            .copied()
            .filter(|id| self.listings.contains_key(id))
            .collect();
        if let Ok(run) = order_listings(&self.run, &known) {
            self.run = run;
        }
        self.number_run();
    }

    fn number_run(&mut self) {
        for (position, id) in (0..).zip(&self.run) {
            if let Some(listing) = self.listings.get_mut(id) {
                listing.position = position;
            }
        }
    }

    fn fold_muted(&mut self, viewer: UserId, muted: bool) {
        self.muted.retain(|kept| *kept != viewer);
        if muted {
            if self.muted.len() >= MUTED_MAX {
                self.muted.pop_front();
            }
            self.muted.push_back(viewer);
            self.comments.retain(|comment| comment.author.id != viewer);
        }
    }
}

/// A batch without what a later event in it made worthless: of stock and price only the latest per
/// listing. Comments, pins, moderation and state always stay. Offsets are kept.
#[must_use]
pub fn conflate(events: &[LoggedEvent]) -> Vec<LoggedEvent> {
    let mut stock_seen = BTreeSet::new();
    let mut price_seen = BTreeSet::new();
    let mut kept: Vec<_> = events
        .iter()
        .rev()
        .filter(|logged| match &logged.event {
            Event::StockChanged { listing, .. } => stock_seen.insert(*listing),
            Event::PriceChanged { listing, .. } => price_seen.insert(*listing),
            _ => true,
        })
        .cloned()
        .collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests;
