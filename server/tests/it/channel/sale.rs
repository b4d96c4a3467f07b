//! A whole sale, in both encodings: pin, comment, reserve, check out, pay, and who sees what of it.

use vetrina_protocol::client::{ClientMessage, Delivery};
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::event::{DeskEvent, Event, PrivateEvent};
use vetrina_protocol::id::{ListingId, OrderId};
use vetrina_protocol::view::{Order, OrderState, ReservationState, Role};

use super::house::{House, eur};
use crate::harness::{Client, within};

/// A string that must be seen by the buyer and by fulfilment only.
const CANARY: &str = "Via della Prova 7";

pub(super) fn delivery() -> Delivery {
    Delivery {
        name: "Anna Bianchi".into(),
        email: Some("anna@example.org".into()),
        lines: vec![CANARY.into()],
        postcode: "20121".into(),
        city: "Milano".into(),
        country: "IT".into(),
    }
}

/// Does at the provider's page what a buyer does there.
pub(super) async fn pay(order: &Order, choice: &str) {
    let page = order
        .payment
        .as_ref()
        .expect("the provider answered in time");
    assert_eq!(page.provider, "sandbox");
    let client = reqwest::Client::new();
    let form = client
        .post(&page.url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("choice={choice}"));
    let answer = within(form.send()).await.expect("the page answers");
    assert!(answer.status().is_success(), "{}", answer.status());
}

async fn until_order(client: &mut Client, id: OrderId, state: OrderState) -> Order {
    client
        .until_private(|event| match event {
            PrivateEvent::OrderChanged { order } if order.id == id && order.state == state => {
                Some(order.clone())
            }
            _ => None,
        })
        .await
}

async fn desk_order(client: &mut Client, id: OrderId, state: OrderState) -> Order {
    client
        .until(|client| {
            client.desk.iter().find_map(|event| match event {
                DeskEvent::OrderChanged { entry }
                    if entry.order.id == id && entry.order.state == state =>
                {
                    Some(entry.order.clone())
                }
                _ => None,
            })
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_sale_in_messagepack() {
    whole_sale(Encoding::MessagePack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_sale_in_json() {
    whole_sale(Encoding::Json).await;
}

async fn whole_sale(encoding: Encoding) {
    let house = House::open(&[(3, 2)]).await;
    let listing = house.listings[0];
    let mut host = house.join(Role::Host, encoding).await;
    let mut packer = house.join(Role::Fulfilment, encoding).await;
    let anna = house.person(Role::Viewer);
    let mut buyer = house.join_as(&anna, encoding).await;
    let mut other = house.join(Role::Viewer, encoding).await;

    let pinned = host.command(|id, key| ClientMessage::Pin {
        id,
        key,
        listing,
        media_time: None,
    });
    let offset = pinned.await.expect("pinned").offset.expect("in the log");
    let pin = |event: &Event| match event {
        Event::Pinned { pin } => Some(*pin),
        _ => None,
    };
    assert_eq!(other.until_event(pin).await.listing, listing);
    assert!(other.offset >= offset);

    let text = "Bello! \u{202e}<b>".to_owned();
    let said = buyer.command(|id, key| ClientMessage::Comment {
        id,
        key,
        text,
        media_time: None,
    });
    let comment = said.await.expect("said").comment;
    let heard = other.until_event(|event| match event {
        Event::Commented { comment } => Some(comment.clone()),
        _ => None,
    });
    let heard = heard.await;
    assert_eq!(
        (Some(heard.id), heard.text.as_str()),
        (comment, "Bello! <b>")
    );
    assert_eq!(
        (heard.author.id, &heard.author.name),
        (anna.user, &anna.name)
    );

    let order = reserve_and_check_out(&mut buyer, &mut other, listing).await;
    pay(&order, "decline").await;
    until_order(&mut buyer, order.id, OrderState::Declined).await;
    pay(&order, "approve").await;
    let paid = until_order(&mut buyer, order.id, OrderState::Paid).await;
    assert!(paid.paid_at_ms.is_some() && paid.version > order.version);

    let seen = desk_order(&mut host, order.id, OrderState::Paid).await;
    assert_eq!((seen.delivery, seen.payment), (None, None));
    let packed = desk_order(&mut packer, order.id, OrderState::Paid).await;
    assert_eq!(packed.delivery, Some(delivery()));
    assert_eq!(packed.payment, None);
    let sold = |event: &Event| match event {
        Event::StockChanged { stock, .. } if stock.paid == 2 => Some(*stock),
        _ => None,
    };
    let stock = other.until_event(sold).await;
    assert_eq!((stock.reserved, stock.claimed, stock.available), (0, 2, 1));

    nothing_leaks(&house, &anna, &order, encoding, &host, &other).await;
}

/// Two units: reserved, seen by everybody as reserved, ordered with an address.
async fn reserve_and_check_out(
    buyer: &mut Client,
    other: &mut Client,
    listing: ListingId,
) -> Order {
    let reserved = buyer.command(|id, key| ClientMessage::Reserve {
        id,
        key,
        listing,
        quantity: 2,
        media_time: None,
    });
    let reservation = reserved
        .await
        .expect("reserved")
        .reservation
        .expect("a reservation");
    assert_eq!(reservation.state, ReservationState::Reserved);
    assert_eq!(reservation.unit_price, eur(2_400));
    let stock = |event: &Event| match event {
        Event::StockChanged { stock, .. } if stock.reserved == 2 => Some(*stock),
        _ => None,
    };
    assert_eq!(other.until_event(stock).await.available, 1);

    let bought = buyer.command(|id, key| ClientMessage::Checkout {
        id,
        key,
        reservations: vec![reservation.id],
        delivery: Some(delivery()),
    });
    let order = bought.await.expect("ordered").order.expect("an order");
    assert_eq!(
        (order.state, order.total),
        (OrderState::Pending, eur(4_800))
    );
    assert_eq!(
        order.delivery.as_ref().map(|to| to.lines[0].as_str()),
        Some(CANARY)
    );
    order
}

/// What the buyer has comes back with every welcome; nobody else ever hears the address.
async fn nothing_leaks(
    house: &House,
    anna: &vetrina::auth::Principal,
    order: &Order,
    encoding: Encoding,
    host: &Client,
    other: &Client,
) {
    let mut again = Client::connect(house.address, house.show, encoding).await;
    let welcome = again.hello(&house.token(anna), None).await;
    assert_eq!(welcome.mine.orders.len(), 1);
    assert_eq!(welcome.mine.orders[0].id, order.id);
    assert_eq!(welcome.mine.orders[0].delivery, Some(delivery()));
    assert_eq!(welcome.mine.reservations, []);
    assert_eq!(welcome.desk, None, "a viewer has no desk");
    let heard = format!("{:?} {:?}", other.events, other.private);
    assert!(!heard.contains(&order.number) && other.private.is_empty());
    for heard in [&host.events, &other.events] {
        let heard = String::from_utf8(Encoding::Json.encode(heard)).expect("text");
        assert!(!heard.contains(CANARY) && !heard.contains("anna@example.org"));
    }
    let desk = String::from_utf8(Encoding::Json.encode(&host.desk)).expect("text");
    assert!(!desk.contains(CANARY) && desk.contains(&order.number));
    let person = house.person(Role::Moderator);
    let mut moderator = Client::connect(house.address, house.show, Encoding::Json).await;
    let welcome = moderator.hello(&house.token(&person), None).await;
    let welcome = String::from_utf8(Encoding::Json.encode(&[welcome])).expect("text");
    assert!(welcome.contains(&order.number) && !welcome.contains(CANARY));
}
