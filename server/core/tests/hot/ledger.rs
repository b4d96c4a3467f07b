//! Checkouts, mirrors, fences and what comes back after a loss.

use super::*;

#[test]
fn a_claim_moves_units_over_in_one_step() {
    let mut show = Show::with(2, 2);
    show.reserve(1, ANNA, 1);
    show.begin(7, ANNA, &[1]);
    assert_eq!(
        code(&show.begin(8, ANNA, &[1])),
        Some(RefusalCode::ReservationClosed)
    );
    assert_eq!(
        code(&show.release(1, ANNA)),
        Some(RefusalCode::ReservationClosed)
    );
    show.tick_after(TTL / 4);
    show.end(7, &[1], CheckoutOutcome::Claimed);
    assert_eq!((show.units().reserved, show.units().claimed), (1, 0));
    show.tick_after(10 * TTL);
    assert_eq!(
        show.units().available,
        1,
        "claimed units wait for the mirror"
    );
    let settled = Settled {
        reservation: ReservationId(1),
        order: OrderId(7),
    };
    show.mirror(|mirror| {
        mirror.claimed = 1;
        mirror.settled = vec![settled];
        mirror.buyer_units = vec![BuyerUnits {
            buyer: ANNA,
            units: 1,
        }];
    });
    assert_eq!((show.units().reserved, show.units().claimed), (0, 1));
    assert_eq!(show.units().available, 1);
    assert!(
        matches!(show.begin(7, ANNA, &[1]), HotAnswer::Bag(_)),
        "a retry is welcome"
    );
}

#[test]
fn a_failed_claim_counts_down_as_before() {
    let mut show = Show::with(1, 1);
    show.reserve(1, ANNA, 1);
    show.begin(7, ANNA, &[1]);
    show.end(8, &[1], CheckoutOutcome::Failed);
    assert_eq!(
        show.state(1),
        Some(ReservationState::CheckingOut),
        "another order's failure"
    );
    show.end(7, &[1], CheckoutOutcome::Failed);
    assert_eq!(show.state(1), Some(ReservationState::Reserved));
    show.tick_after(TTL - 1);
    assert_eq!(show.units().reserved, 1);
    show.tick_after(1);
    assert_eq!(show.units().reserved, 0);
}

#[test]
fn a_bag_is_fenced_whole_or_not_at_all() {
    let mut show = Show::with(4, 4);
    show.reserve(1, ANNA, 1);
    show.reserve(2, BEA, 1);
    assert_eq!(
        code(&show.begin(7, ANNA, &[1, 2])),
        Some(RefusalCode::ReservationUnknown)
    );
    assert_eq!(
        code(&show.begin(7, ANNA, &[1, 1])),
        Some(RefusalCode::Invalid)
    );
    assert_eq!(code(&show.begin(7, ANNA, &[])), Some(RefusalCode::Invalid));
    assert_eq!(show.state(1), Some(ReservationState::Reserved));
}

#[test]
fn a_fence_keeps_and_then_lets_go() {
    let mut show = Show::with(1, 1);
    show.reserve(1, ANNA, 1);
    show.now += TTL - 1;
    show.begin(7, ANNA, &[1]);
    show.tick_after(29_999);
    assert_eq!(show.state(1), Some(ReservationState::CheckingOut));
    assert_eq!(show.stock.next_due(), Some(UnixMs(show.now + 1)));
    show.tick_after(1);
    assert_eq!(show.state(1), Some(ReservationState::Expired));
    granted(&show.reserve(2, BEA, 1));
    // The ledger had claimed it after all: more is promised than there is, and none is shown free.
    let settled = Settled {
        reservation: ReservationId(1),
        order: OrderId(7),
    };
    show.mirror(|mirror| {
        mirror.claimed = 1;
        mirror.settled = vec![settled];
    });
    assert_eq!(show.state(1), Some(ReservationState::Claimed));
    let units = show.units();
    assert_eq!(
        (units.total, units.claimed, units.reserved, units.available),
        (1, 1, 0, 0)
    );
}

#[test]
fn mirrors_may_come_late_and_twice() {
    let mut show = Show::with(5, 5);
    show.reserve(1, ANNA, 2);
    let settled = vec![Settled {
        reservation: ReservationId(1),
        order: OrderId(7),
    }];
    show.version = 10;
    show.mirror(|newer| (newer.claimed, newer.per_buyer) = (2, 5));
    assert_eq!(
        show.units().available,
        1,
        "counted twice for a moment, never freed early"
    );
    show.version = 8;
    show.mirror(|older| {
        older.total = 50;
        older.settled.clone_from(&settled);
        older.buyer_units = vec![BuyerUnits {
            buyer: ANNA,
            units: 2,
        }];
    });
    let units = show.units();
    assert_eq!(
        (units.total, units.claimed, units.reserved, units.available),
        (5, 2, 0, 3)
    );
    granted(&show.reserve(2, ANNA, 3));
    assert_eq!(
        code(&show.reserve(3, ANNA, 1)),
        Some(RefusalCode::BuyerLimit)
    );
    show.version = 6;
    show.mirror(|oldest| {
        oldest.buyer_units = vec![BuyerUnits {
            buyer: ANNA,
            units: 0,
        }];
    });
    assert_eq!(
        code(&show.reserve(4, ANNA, 1)),
        Some(RefusalCode::BuyerLimit)
    );
}

#[test]
fn a_lower_total_is_fenced_until_it_is_written() {
    let mut show = Show::with(5, 9);
    show.reserve(1, ANNA, 2);
    let lower = |total| HotCommand::FenceTotal {
        listing: VASE,
        total,
        fence_ms: 5_000,
    };
    assert_eq!(code(&show.run(lower(1))), Some(RefusalCode::BelowCommitted));
    assert_eq!(show.run(lower(2)), HotAnswer::Done);
    assert_eq!(code(&show.reserve(2, BEA, 1)), Some(RefusalCode::SoldOut));
    show.mirror(|of_a_claim| of_a_claim.total = 5);
    assert_eq!(
        show.units().available,
        0,
        "another change does not lift the fence"
    );
    show.tick_after(5_000);
    assert_eq!(show.units().available, 3, "it was never written");
}

#[test]
fn nothing_is_granted_before_the_state_is_back() {
    let mut show = Show::with(2, 2);
    show.reserve(1, ANNA, 1);
    show.begin(7, ANNA, &[1]);
    show.reserve(2, BEA, 1);
    let rows = show.stock.export().reservations;
    let mut back = Show {
        stock: ShowStock::new(),
        now: show.now,
        version: 5,
        outputs: Vec::new(),
    };
    assert_eq!(back.reserve(3, CARLA, 1), HotAnswer::NotLoaded);
    back.mirror(|mirror| {
        (mirror.total, mirror.claimed) = (2, 1);
        mirror.settled = vec![Settled {
            reservation: ReservationId(1),
            order: OrderId(7),
        }];
        mirror.buyer_units = vec![BuyerUnits {
            buyer: ANNA,
            units: 1,
        }];
    });
    assert_eq!(back.reserve(3, CARLA, 1), HotAnswer::NotLoaded);
    back.restore(rows);
    assert_eq!(back.state(1), Some(ReservationState::Claimed));
    let units = back.units();
    assert_eq!((units.reserved, units.claimed, units.available), (1, 1, 0));
    assert_eq!(code(&back.reserve(3, CARLA, 1)), Some(RefusalCode::SoldOut));
}

#[test]
fn a_retry_of_a_reservation_that_only_the_ledger_remembers() {
    let mut show = Show::with(5, 5);
    show.mirror(|mirror| {
        mirror.claimed = 1;
        mirror.settled = vec![Settled {
            reservation: ReservationId(1),
            order: OrderId(7),
        }];
    });
    let answer = show.reserve(1, ANNA, 1);
    let (reservation, repeated) = granted(&answer);
    assert!(repeated);
    assert_eq!(reservation.order, Some(OrderId(7)));
    assert_eq!(show.units().reserved, 0);
}

#[test]
fn a_claimed_row_comes_back_without_its_seat() {
    let mut show = Show::with(2, 2);
    show.reserve(1, ANNA, 1);
    show.begin(7, ANNA, &[1]);
    show.end(7, &[1], CheckoutOutcome::Claimed);
    let rows = show.stock.export().reservations;
    assert!(rows[0].seated, "the mirror has not come before the loss");
    let mut back = Show {
        stock: ShowStock::new(),
        now: show.now,
        version: 5,
        outputs: Vec::new(),
    };
    back.mirror(|mirror| (mirror.total, mirror.claimed) = (2, 1));
    back.restore(rows);
    let units = back.units();
    assert_eq!((units.reserved, units.claimed, units.available), (0, 1, 1));
}
