//! What the functions must do: core's state machine with the public log folded beside it. As in the
//! memory store, but that stock is told once a call, after all of its commands.

use std::collections::{BTreeMap, BTreeSet};

use vetrina_core::hot::{HotAnswer, HotCommand, HotOutput, Mirror, ShowStock};
use vetrina_core::show::ShowFold;
use vetrina_protocol::event::{Event, LoggedEvent, PrivateEvent};
use vetrina_protocol::id::{ListingId, SellerId, ShowId, UserId};
use vetrina_protocol::money::Currency;
use vetrina_protocol::time::{Offset, UnixMs};
use vetrina_protocol::view::{Listing, Show, ShowState};
use vetrina_store::ledger::ListingRow;

/// A private fact without its number.
pub(crate) type Told = (UserId, String, PrivateEvent);

/// The state, and what was told since [`Model::drain`].
pub(crate) struct Model {
    pub(crate) stock: ShowStock,
    pub(crate) fold: ShowFold,
    pub(crate) now: UnixMs,
    versions: BTreeMap<ListingId, u64>,
    events: Vec<LoggedEvent>,
    told: Vec<Told>,
    /// Listings whose stock changed in this call.
    changed: BTreeSet<ListingId>,
}

impl Model {
    pub(crate) fn new(show: ShowId) -> Self {
        let show = Show {
            id: show,
            seller: SellerId(1),
            seller_name: "Seller".into(),
            title: "Show".into(),
            state: ShowState::Live,
            currency: Currency::EUR,
            starts_at_ms: None,
            live_at_ms: None,
            ended_at_ms: None,
            poster_url: None,
            reservation_ttl_s: 120,
            order_deadline_s: 600,
            whep_url: String::new(),
            whip_url: String::new(),
        };
        Self {
            stock: ShowStock::new(),
            fold: ShowFold::new(show, Vec::new(), Offset(0)),
            now: UnixMs(i64::MIN),
            versions: BTreeMap::new(),
            events: Vec::new(),
            told: Vec::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Everything but the log is lost.
    pub(crate) fn lose(&mut self) {
        self.stock = ShowStock::new();
        self.versions.clear();
    }

    /// The clock of a step.
    pub(crate) fn at(&mut self, clock: UnixMs) {
        self.now = self.now.max(clock);
    }

    /// The commands of one call.
    pub(crate) fn apply_all(&mut self, commands: &[HotCommand]) -> Vec<HotAnswer> {
        let answers = commands.iter().map(|command| self.apply(command.clone()));
        let answers = answers.collect();
        self.tell_stock();
        answers
    }

    fn apply(&mut self, command: HotCommand) -> HotAnswer {
        let mirror = match &command {
            HotCommand::Mirror(mirror) => Some(mirror.clone()),
            _ => None,
        };
        let answer = self.stock.apply(self.now, command);
        if let Some(mirror) = mirror {
            self.log_mirror(&mirror);
        }
        self.carry_out();
        answer
    }

    /// `None`: a newer row is known.
    pub(crate) fn publish(&mut self, row: &ListingRow) -> Option<HotAnswer> {
        let known = self.versions.get(&row.id);
        if known.is_some_and(|known| *known > row.version) {
            return None;
        }
        self.versions.insert(row.id, row.version);
        let mirror = row.mirror(Vec::new(), Vec::new());
        let answer = self.stock.apply(self.now, HotCommand::Mirror(mirror));
        let stock = self.stock.stock(row.id).expect("mirrored");
        self.log_difference(row.view(stock));
        self.carry_out();
        self.tell_stock();
        Some(answer)
    }

    pub(crate) fn append(&mut self, events: Vec<Event>) {
        let is_end = |event: &Event| {
            matches!(
                event,
                Event::ShowStateChanged {
                    state: ShowState::Ended
                }
            )
        };
        let ends = events.iter().any(is_end);
        for event in events {
            self.push(event);
        }
        if ends {
            self.stock.apply(self.now, HotCommand::CloseSelling);
            self.carry_out();
            self.tell_stock();
        }
    }

    /// What was told since the last time.
    pub(crate) fn drain(&mut self) -> (Vec<LoggedEvent>, Vec<Told>) {
        (
            std::mem::take(&mut self.events),
            std::mem::take(&mut self.told),
        )
    }

    fn push(&mut self, event: Event) {
        let logged = LoggedEvent {
            offset: self.fold.offset().next(),
            at_ms: self.now,
            event,
        };
        self.fold.apply(&logged);
        self.events.push(logged);
    }

    /// Ends a call.
    fn tell_stock(&mut self) {
        for listing in std::mem::take(&mut self.changed) {
            let known = self.fold.listing(listing).map(|known| known.stock);
            let stock = self.stock.stock(listing);
            if let (Some(known), Some(stock)) = (known, stock)
                && known != stock
            {
                self.push(Event::StockChanged { listing, stock });
            }
        }
    }

    fn carry_out(&mut self) {
        for output in self.stock.drain_outputs() {
            match output {
                HotOutput::StockChanged { listing, .. } => {
                    self.changed.insert(listing);
                }
                HotOutput::ReservationChanged {
                    buyer,
                    buyer_name,
                    reservation,
                } => {
                    let event = PrivateEvent::ReservationChanged { reservation };
                    self.told.push((buyer, buyer_name, event));
                }
                HotOutput::WaitlistOffer {
                    buyer,
                    buyer_name,
                    reservation,
                } => {
                    let event = PrivateEvent::WaitlistOffer { reservation };
                    self.told.push((buyer, buyer_name, event));
                }
                HotOutput::WaitlistChanged {
                    buyer,
                    listing,
                    place,
                } => {
                    let event = PrivateEvent::WaitlistChanged { listing, place };
                    self.told.push((buyer, String::new(), event));
                }
            }
        }
        drop(self.stock.drain_changes());
    }

    fn log_mirror(&mut self, mirror: &Mirror) {
        let version = self.versions.entry(mirror.listing).or_default();
        if mirror.version <= *version {
            return;
        }
        *version = mirror.version;
        if let Some(known) = self.fold.listing(mirror.listing) {
            let now = Listing {
                price: mirror.unit_price,
                per_buyer: mirror.per_buyer,
                ..known.clone()
            };
            self.log_difference(now);
        }
    }

    fn log_difference(&mut self, now: Listing) {
        let Some(known) = self.fold.listing(now.id) else {
            let position = u32::try_from(self.fold.run().len()).expect("few");
            let listing = Listing { position, ..now };
            return self.push(Event::ListingChanged { listing });
        };
        let position = known.position;
        let words = Listing {
            position,
            stock: known.stock,
            price: known.price,
            ..now.clone()
        };
        let same_price = now.price == known.price;
        if words != *known {
            let stock = self.stock.stock(now.id).expect("mirrored");
            let listing = Listing {
                position,
                stock,
                ..now
            };
            self.push(Event::ListingChanged { listing });
        } else if !same_price {
            self.push(Event::PriceChanged {
                listing: now.id,
                price: now.price,
            });
        }
    }
}
