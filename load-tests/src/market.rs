//! A show of our own with listings to sell, made through the public interfaces as a seller would.

use vetrina_protocol::client::ClientMessage;
use vetrina_protocol::id::ShowId;
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::rest::{NewListing, NewProduct, NewShow, NewSku, Product};
use vetrina_protocol::server::ServerMessage;
use vetrina_protocol::view::{Listing, Show};

use crate::buyer::{self, BuyerError, Session};
use crate::server::Server;

/// What is on sale.
pub(crate) struct Stall {
    /// Listings, each of a product of its own.
    pub(crate) listings: usize,
    /// Units of each.
    pub(crate) units: u32,
    /// Units of each that the seller owns.
    pub(crate) inventory: u32,
    /// Most units per buyer.
    pub(crate) per_buyer: u32,
    /// How long a reservation lasts.
    pub(crate) reservation_ttl_s: u32,
    /// How long an order may stay unpaid.
    pub(crate) order_deadline_s: u32,
}

/// Makes the show and takes it live.
pub(crate) async fn open(
    server: &Server,
    stall: &Stall,
) -> Result<(ShowId, Vec<Listing>), BuyerError> {
    let show = NewShow {
        title: "Load".into(),
        currency: Currency::EUR,
        starts_at_ms: None,
        reservation_ttl_s: Some(stall.reservation_ttl_s),
        order_deadline_s: Some(stall.order_deadline_s),
        poster: None,
    };
    let show: Show = server.make("/v1/shows", &show).await?;
    let mut listings = Vec::with_capacity(stall.listings);
    for n in 0..stall.listings {
        listings.push(list(server, show.id, n, stall).await?);
    }
    let (mut host, _) = Session::open(
        server.address,
        buyer::source_address(0),
        show.id,
        server.token(),
    )
    .await?;
    host.send(&ClientMessage::StartShow {
        id: 1,
        key: "start".into(),
    })
    .await?;
    match host.answer(1).await? {
        ServerMessage::Ok(_) => Ok((show.id, listings)),
        other => Err(BuyerError::Protocol(format!(
            "the show does not start: {other:?}"
        ))),
    }
}

async fn list(
    server: &Server,
    show: ShowId,
    n: usize,
    stall: &Stall,
) -> Result<Listing, BuyerError> {
    let sku = NewSku {
        code: format!("load-{}", uuid::Uuid::new_v4().simple()),
        variant: None,
        price: Money::new(2_400, Currency::EUR),
        inventory: stall.inventory,
    };
    let product = NewProduct {
        title: format!("Vase {n}, under load"),
        description: None,
        picture: None,
        skus: vec![sku],
    };
    let product: Product = server.make("/v1/products", &product).await?;
    let sku = product
        .skus
        .first()
        .ok_or_else(|| BuyerError::Protocol("a new product has no sku".into()))?
        .id;
    let (total, per_buyer) = (stall.units, Some(stall.per_buyer));
    let listing = NewListing {
        sku,
        price: None,
        total,
        per_buyer,
    };
    server
        .make(&format!("/v1/shows/{show}/listings"), &listing)
        .await
}
