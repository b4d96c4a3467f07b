//! A server of its own per test, with one live show and its listings, and people who come to it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use vetrina::app::FIRST_SELLER;
use vetrina::auth::{Principal, Shows};
use vetrina::clock::Clock;
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::id::{ListingId, ShowId, UserId};
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::view::Role;

use crate::harness::{Client, Server};

/// Longer than any test moves the clock, but for those that mean to.
pub(super) const TOKEN_LIFE_MS: i64 = 7 * 86_400_000;

/// A running server.
pub(super) struct House {
    pub(super) address: SocketAddr,
    pub(super) clock: Clock,
    pub(super) show: ShowId,
    pub(super) listings: Vec<ListingId>,
    pub(super) server: Server,
    people: AtomicU64,
}

pub(super) fn eur(amount_minor: i64) -> Money {
    Money::new(amount_minor, Currency::EUR)
}

impl House {
    /// With one listing of 24.00 EUR per entry: units, and most units per buyer. The show is live.
    pub(super) async fn open(listings: &[(u32, u32)]) -> Self {
        Self::open_with(listings, &[]).await
    }

    /// The same with these options.
    pub(super) async fn open_with(listings: &[(u32, u32)], options: &[(&str, &str)]) -> Self {
        let server = Server::start_with(options).await;
        let show = server.new_show().await.id;
        let mut ids = Vec::new();
        for (place, (total, per_buyer)) in listings.iter().enumerate() {
            let product = server.new_product(&format!("VASO-{place}"), *total).await;
            ids.push(server.new_listing(show, &product, *per_buyer).await.id);
        }
        server.go_live(show).await;
        Self::of(server, show, ids, 1)
    }

    /// Another node of the same shop, with these options.
    pub(super) async fn beside(&self, options: &[(&str, &str)]) -> Self {
        let server = Server::start_with(options).await;
        let people = self.people.load(Ordering::Relaxed);
        Self::of(server, self.show, self.listings.clone(), people + 1_000)
    }

    fn of(server: Server, show: ShowId, listings: Vec<ListingId>, people: u64) -> Self {
        Self {
            address: server.public,
            clock: server.clock.clone(),
            show,
            listings,
            people: AtomicU64::new(people),
            server,
        }
    }

    /// Stops the server as an operator would, and starts another one on the same records.
    pub(super) async fn restart(self) -> Self {
        let people = self.people.load(Ordering::Relaxed);
        Self::of(
            self.server.restart().await,
            self.show,
            self.listings,
            people,
        )
    }

    /// Somebody new with this role.
    pub(super) fn person(&self, role: Role) -> Principal {
        let number = self.people.fetch_add(1, Ordering::Relaxed);
        Principal {
            user: UserId::now(),
            name: format!("{role:?} {number}"),
            role,
            seller: Some(FIRST_SELLER),
            shows: Shows::One(self.show),
            expires_at_ms: self.clock.now().plus_ms(TOKEN_LIFE_MS),
        }
    }

    /// A token of this person.
    pub(super) fn token(&self, person: &Principal) -> String {
        self.server.token_for(person)
    }

    /// A new person's session.
    pub(super) async fn join(&self, role: Role, encoding: Encoding) -> Client {
        self.join_as(&self.person(role), encoding).await
    }

    /// A session of this person.
    pub(super) async fn join_as(&self, person: &Principal, encoding: Encoding) -> Client {
        let mut client = Client::connect(self.address, self.show, encoding).await;
        client.hello(&self.token(person), None).await;
        client
    }
}
