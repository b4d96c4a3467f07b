//! What becomes of orders: webhooks repeated and reordered, deadlines, late payments, refunds.

use std::collections::BTreeMap;
use std::sync::Arc;

use vetrina_core::order::{OrderInput, OrderPhase};
use vetrina_protocol::id::{OrderId, ReservationId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_store::ledger::{OrderRequest, PaymentRow, ReclaimSeat, WorkKind};

use super::world::{Backend, Dice, World, code, request, webhook};

/// Kinds of work that wait.
async fn waiting<B: Backend>(world: &World<B>) -> Vec<WorkKind> {
    world.advance_ms(10);
    let now = world.now();
    let work = world
        .ledger
        .take_work("test", &WorkKind::ALL, now, 1, 200)
        .await
        .expect("taken");
    world.advance_ms(10);
    work.into_iter().map(|work| work.kind).collect()
}

async fn finish<B: Backend>(world: &World<B>, kind: WorkKind) {
    world.advance_ms(10);
    let now = world.now();
    for work in world
        .ledger
        .take_work("done", &[kind], now, 1, 200)
        .await
        .expect("taken")
    {
        assert!(
            world
                .ledger
                .finish_work("done", work.id)
                .await
                .expect("finished")
        );
    }
}

pub(crate) async fn a_webhook_counts_once_however_often_it_comes<B: Backend>(world: World<B>) {
    let listing = world.listing(5).await;
    let order = world.order(&listing, 2).await.order;
    let paid = OrderInput::ProviderSucceeded { at: world.now() };
    let (mut changed, mut duplicates) = (0, 0);
    // A hundred at a time: all of one order go through one writer, which must answer in time.
    for wave in 0..10 {
        let mut storm = Vec::new();
        for copy in wave * 100..(wave + 1) * 100 {
            let ledger = Arc::clone(&world.ledger);
            // Half of them the same event again, half the same news under other names.
            let event = format!("evt-{}", if copy % 2 == 0 { 0 } else { copy });
            let request = webhook(order.id, paid, &event);
            storm.push(tokio::spawn(
                async move { ledger.order_input(request).await },
            ));
        }
        for one in storm {
            let change = one.await.expect("no panic").expect("applied");
            changed += u32::from(change.changed);
            duplicates += u32::from(change.duplicate);
            assert_eq!(change.order.life.phase, OrderPhase::Paid);
        }
    }
    assert_eq!((changed, duplicates), (1, 499));
    let row = world.row(listing.id).await;
    assert_eq!((row.claimed, row.paid), (2, 2));
    let unknown = webhook(OrderId(9), paid, "evt-new");
    assert_eq!(
        code(world.ledger.order_input(unknown).await),
        RefusalCode::OrderUnknown
    );
}

pub(crate) async fn reordered_webhooks_end_in_the_same_state<B: Backend>(world: World<B>) {
    let listing = world.listing(100).await;
    for seed in 0..20 {
        let order = world.order(&listing, 1).await.order;
        let mut inputs = [
            OrderInput::ProviderDeclined,
            OrderInput::ProviderSucceeded { at: world.now() },
            OrderInput::ProviderDeclined,
            OrderInput::ProviderCanceled,
            OrderInput::ProviderSucceeded { at: world.now() },
        ];
        Dice::new(seed).shuffle(&mut inputs);
        let canceled = |input: &OrderInput| *input == OrderInput::ProviderCanceled;
        let succeeded = |input: &OrderInput| matches!(input, OrderInput::ProviderSucceeded { .. });
        let first = inputs.iter().position(canceled) < inputs.iter().position(succeeded);
        for (number, input) in inputs.into_iter().enumerate() {
            let event = format!("evt-{seed}-{number}");
            world
                .ledger
                .order_input(webhook(order.id, input, &event))
                .await
                .expect("applied");
        }
        let phase = world
            .ledger
            .order(order.id)
            .await
            .expect("read")
            .expect("it")
            .life
            .phase;
        // Money that came after the cancellation waits for its units; otherwise it is simply paid.
        let expected = if first {
            OrderPhase::Reclaiming
        } else {
            OrderPhase::Paid
        };
        assert_eq!(phase, expected, "seed {seed}: {inputs:?}");
    }
}

pub(crate) async fn where_an_order_is_paid_is_remembered<B: Backend>(world: World<B>) {
    let listing = world.listing(2).await;
    let order = world.order(&listing, 2).await.order;
    let pay = |intent: &str| PaymentRow {
        provider: "sandbox".into(),
        intent: intent.into(),
        pay_url: format!("https://pay.example/{intent}"),
    };
    let first = world.ledger.set_payment(order.id, pay("in_1")).await;
    let first = first.expect("kept");
    assert_eq!(first.payment, Some(pay("in_1")));
    assert_eq!(first.life.version, order.life.version + 1);
    let second = world.ledger.set_payment(order.id, pay("in_2")).await;
    assert_eq!(second.expect("kept"), first, "the first answer stays");
    assert!(first.view().payment.is_some());
    assert!(first.staff_view(true).payment.is_none());
    let expired = world.input(order.id, OrderInput::ProviderCanceled).await;
    assert!(expired.order.view().payment.is_none());
    let unknown = world.ledger.set_payment(OrderId(9), pay("in_3")).await;
    assert_eq!(code(unknown), RefusalCode::OrderUnknown);
}

pub(crate) async fn an_expired_order_returns_its_units<B: Backend>(world: World<B>) {
    let listing = world.listing(2).await;
    let order = world.order(&listing, 2).await.order;
    let due = async || {
        world
            .ledger
            .orders_past_deadline(world.now(), 10)
            .await
            .expect("read")
    };
    assert!(due().await.is_empty());
    world.advance_ms(600_000);
    assert_eq!(due().await, vec![order.id]);
    let early = world
        .input(
            order.id,
            OrderInput::DeadlinePassed {
                now: order.created_at,
            },
        )
        .await;
    assert!(!early.changed);
    let late = world
        .input(order.id, OrderInput::DeadlinePassed { now: world.now() })
        .await;
    assert_eq!(late.order.life.phase, OrderPhase::ExpiringPending);
    assert_eq!(
        world.row(listing.id).await.claimed,
        2,
        "kept until the provider confirms"
    );
    assert!(waiting(&world).await.contains(&WorkKind::CancelIntent));
    assert!(due().await.is_empty());
    let now = world.now();
    let asked = world
        .ledger
        .orders_awaiting_provider(now, None, 10)
        .await
        .expect("read");
    assert_eq!(asked.len(), 1);
    let done = world.input(order.id, OrderInput::ProviderCanceled).await;
    assert_eq!(done.order.life.phase, OrderPhase::Expired);
    assert_eq!(
        (
            done.mirrors[0].claimed,
            done.mirrors[0].buyer_units[0].units
        ),
        (0, 0)
    );
    world.order(&listing, 2).await;
    let refused = world
        .ledger
        .order_input(request(order.id, OrderInput::CancelAsked))
        .await;
    assert_eq!(code(refused), RefusalCode::OrderClosed);
}

pub(crate) async fn a_late_payment_is_reclaimed_or_refunded<B: Backend>(world: World<B>) {
    let listing = world.listing(2).await;
    let (lucky, unlucky) = (
        world.order(&listing, 1).await,
        world.order(&listing, 1).await,
    );
    for order in [&lucky.order, &unlucky.order] {
        world.input(order.id, OrderInput::ProviderCanceled).await;
        let paid = OrderInput::ProviderSucceeded { at: world.now() };
        let late = world.input(order.id, paid).await;
        assert_eq!(late.order.life.phase, OrderPhase::Reclaiming);
    }
    finish(&world, WorkKind::OpenIntent).await;
    assert_eq!(waiting(&world).await, vec![WorkKind::Reclaim; 2]);
    world.order(&listing, 1).await;
    let seat = ReclaimSeat {
        listing: listing.id,
        reservation: ReservationId(world.fresh()),
    };
    let reclaim = |order: OrderId| OrderRequest {
        seats: vec![seat],
        ..request(order, OrderInput::Reclaimed)
    };
    let paid = world
        .ledger
        .order_input(reclaim(lucky.order.id))
        .await
        .expect("applied");
    assert_eq!(paid.order.life.phase, OrderPhase::Paid);
    assert_eq!((paid.mirrors[0].claimed, paid.mirrors[0].paid), (2, 1));
    let settled = &paid.mirrors[0].settled;
    assert!(
        settled
            .iter()
            .any(|settled| settled.reservation == seat.reservation)
    );
    let again = world
        .ledger
        .order_input(reclaim(lucky.order.id))
        .await
        .expect("repeated");
    assert!(!again.changed && again.mirrors[0].settled == *settled);
    let refunding = world
        .ledger
        .order_input(reclaim(unlucky.order.id))
        .await
        .expect("applied");
    assert_eq!(
        refunding.order.life.phase,
        OrderPhase::Refunding,
        "no unit is left"
    );
    let again = world
        .ledger
        .order_input(reclaim(unlucky.order.id))
        .await
        .expect("repeated");
    assert!(!again.changed);
    finish(&world, WorkKind::Reclaim).await;
    finish(&world, WorkKind::OpenIntent).await;
    assert_eq!(waiting(&world).await, vec![WorkKind::Refund], "one refund");
    let row = world.row(listing.id).await;
    assert_eq!((row.claimed, row.total), (2, 2));
}

pub(crate) async fn a_refund_may_restock<B: Backend>(world: World<B>) {
    let listing = world.listing(4).await;
    let mut orders = Vec::new();
    for restock in [true, false] {
        let order = world.order(&listing, 2).await.order;
        let refused = world
            .ledger
            .order_input(request(order.id, OrderInput::RefundAsked { restock }));
        assert_eq!(
            code(refused.await),
            RefusalCode::OrderClosed,
            "not paid yet"
        );
        world
            .input(order.id, OrderInput::ProviderSucceeded { at: world.now() })
            .await;
        world
            .input(order.id, OrderInput::RefundAsked { restock })
            .await;
        orders.push(order.id);
    }
    for order in orders {
        world.input(order, OrderInput::RefundConfirmed).await;
        let again = world.input(order, OrderInput::RefundConfirmed).await;
        assert!(!again.changed);
    }
    let row = world.row(listing.id).await;
    assert_eq!(
        (row.claimed, row.paid),
        (2, 2),
        "two came back, two stay sold"
    );
}

pub(crate) async fn random_inputs_keep_the_books_balanced<B: Backend>(world: World<B>) {
    let listings = [world.listing(6).await, world.listing(40).await];
    let mut dice = Dice::new(11);
    let mut orders: Vec<OrderId> = Vec::new();
    for _ in 0..600 {
        if orders.len() < 8 || dice.below(4) == 0 {
            let listing = &listings[usize::try_from(dice.below(2)).expect("small")];
            let checkout =
                world.checkout(world.buyer(), listing, 1 + u32::from(dice.below(2) == 1));
            let claimed = world.ledger.claim(checkout).await;
            orders.extend(claimed.ok().map(|claimed| claimed.order.id));
            continue;
        }
        let order = orders[usize::try_from(dice.below(orders.len() as u64)).expect("small")];
        world.advance_ms(i64::try_from(dice.below(60_000)).expect("small"));
        let now = world.now();
        let input = match dice.below(9) {
            0 => OrderInput::ProviderDeclined,
            1 | 2 => OrderInput::ProviderSucceeded { at: now },
            3 => OrderInput::ProviderCanceled,
            4 => OrderInput::DeadlinePassed { now },
            5 => OrderInput::CancelAsked,
            6 => OrderInput::Reclaimed,
            7 => OrderInput::RefundAsked {
                restock: dice.below(2) == 0,
            },
            _ => OrderInput::RefundConfirmed,
        };
        // A refusal is an answer too; anything else would be an error of the store.
        if let Err(error) = world.ledger.order_input(request(order, input)).await {
            assert!(
                matches!(error, vetrina_store::StoreError::Refused(_)),
                "{error}"
            );
        }
    }
    recount(&world, &orders).await;
}

/// Recounts the units from the orders, without the counters. Which refunded order kept its units is
/// not told by its phase, so those bound the count.
async fn recount<B: Backend>(world: &World<B>, orders: &[OrderId]) {
    let mut held: BTreeMap<_, (u32, u32, u32)> = BTreeMap::new();
    for order in orders {
        let order = world
            .ledger
            .order(*order)
            .await
            .expect("read")
            .expect("it exists");
        for line in &order.lines {
            let (claimed, paid, maybe) = held.entry(line.listing).or_default();
            let phase = order.life.phase;
            *claimed += if phase.has_units() { line.quantity } else { 0 };
            *maybe += if phase == OrderPhase::Refunded {
                line.quantity
            } else {
                0
            };
            let is_paid = matches!(
                phase,
                OrderPhase::Paid
                    | OrderPhase::RefundingWithRestock
                    | OrderPhase::RefundingKeepingUnits
            );
            *paid += if is_paid { line.quantity } else { 0 };
        }
    }
    for (listing, (claimed, paid, maybe)) in held {
        let row = world.row(listing).await;
        assert!(
            (claimed..=claimed + maybe).contains(&row.claimed),
            "{row:?}, {claimed}"
        );
        assert!((paid..=paid + maybe).contains(&row.paid), "{row:?}, {paid}");
        assert!(row.claimed <= row.total);
    }
}
