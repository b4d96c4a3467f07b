//! What buyers ask: reserving, extending, releasing, queueing, and what time does to it.

use super::*;
use proptest::prelude::*;

#[test]
fn units_are_put_aside_and_told_once() {
    let mut show = Show::with(3, 2);
    let answer = show.reserve(1, ANNA, 2);
    let (reservation, repeated) = granted(&answer);
    assert!(!repeated);
    assert_eq!(reservation.expires_at_ms, UnixMs(show.now + TTL));
    assert_eq!(reservation.unit_price.amount_minor, 500);
    let told: Vec<_> = show
        .outputs
        .iter()
        .filter_map(|output| match output {
            HotOutput::StockChanged { stock, .. } => Some((stock.reserved, stock.available)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(2, 1)]);
    assert_eq!(code(&show.reserve(2, BEA, 2)), Some(RefusalCode::TooFew));
    granted(&show.reserve(3, BEA, 1));
    assert_eq!(code(&show.reserve(4, CARLA, 1)), Some(RefusalCode::SoldOut));
    assert_eq!(
        code(&show.reserve(5, ANNA, 1)),
        Some(RefusalCode::BuyerLimit)
    );
    assert_eq!(code(&show.reserve(6, CARLA, 0)), Some(RefusalCode::Invalid));
}

#[test]
fn a_retry_hears_the_first_answer_even_after_the_end() {
    let mut show = Show::with(1, 1);
    let first = show.reserve(1, ANNA, 1);
    let again = show.reserve(1, ANNA, 1);
    assert_eq!(granted(&again), (granted(&first).0, true));
    assert_eq!(code(&show.reserve(1, BEA, 1)), Some(RefusalCode::KeyReused));
    show.tick_after(TTL);
    let answer = show.reserve(1, ANNA, 1);
    let (late, repeated) = granted(&answer);
    assert!(repeated && late.state == ReservationState::Expired);
    assert_eq!(show.units().available, 1);
    show.tick_after(RESERVATION_RETENTION_MS);
    assert_eq!(show.state(1), None);
    let gone = HotChange::ReservationGone(ReservationId(1));
    assert!(show.stock.drain_changes().contains(&gone));
}

#[test]
fn extending_counts_from_now_and_never_shortens() {
    let mut show = Show::with(1, 1);
    show.reserve(1, ANNA, 1);
    show.now += 10_000;
    assert_eq!(
        granted(&show.extend(1, ANNA)).0.expires_at_ms,
        UnixMs(show.now + TTL)
    );
    let before = show.now + TTL;
    show.run(HotCommand::SetTimes {
        reservation_ttl_ms: 20_000,
    });
    assert_eq!(
        granted(&show.extend(1, ANNA)).0.expires_at_ms,
        UnixMs(before)
    );
    assert_eq!(
        code(&show.extend(1, BEA)),
        Some(RefusalCode::ReservationUnknown)
    );
    for _ in 2..EXTENSIONS_MAX {
        granted(&show.extend(1, ANNA));
    }
    assert_eq!(
        code(&show.extend(1, ANNA)),
        Some(RefusalCode::ExtensionLimit)
    );
    show.now = before;
    assert_eq!(
        code(&show.extend(1, ANNA)),
        Some(RefusalCode::ReservationExpired)
    );
}

#[test]
fn releasing_twice_is_one_release() {
    let mut show = Show::with(1, 1);
    show.reserve(1, ANNA, 1);
    assert_eq!(
        code(&show.release(1, BEA)),
        Some(RefusalCode::ReservationUnknown)
    );
    assert!(!granted(&show.release(1, ANNA)).1);
    assert!(granted(&show.release(1, ANNA)).1);
    assert_eq!(show.units().available, 1);
}

#[test]
fn nobody_overtakes_a_queue_and_its_head_blocks() {
    let mut show = Show::with(2, 2);
    assert_eq!(code(&show.join(9, ANNA, 1)), Some(RefusalCode::Available));
    show.reserve(1, ANNA, 1);
    show.reserve(2, ANNA, 1);
    show.join(3, BEA, 2);
    show.join(4, CARLA, 1);
    assert_eq!(
        code(&show.join(5, BEA, 1)),
        Some(RefusalCode::AlreadyWaiting)
    );
    assert!(matches!(
        show.join(3, BEA, 2),
        HotAnswer::Waiting { repeated: true, .. }
    ));
    show.release(1, ANNA);
    assert_eq!(show.offers(), []);
    assert_eq!(show.units().available, 1);
    assert_eq!(
        code(&show.reserve(6, UserId(7), 1)),
        Some(RefusalCode::WaitlistFirst)
    );
    show.release(2, ANNA);
    assert_eq!(show.offers(), [(BEA, 3)]);
    show.tick_after(TTL);
    assert_eq!(
        show.offers(),
        [(CARLA, 4)],
        "an unused offer goes to the next"
    );
    assert_eq!(
        code(&show.run(HotCommand::LeaveWaitlist {
            buyer: BEA,
            listing: VASE
        })),
        Some(RefusalCode::NotWaiting)
    );
}

#[test]
fn leaving_lets_the_next_one_through() {
    let mut show = Show::with(1, 2);
    show.reserve(1, ANNA, 1);
    show.join(2, BEA, 2);
    show.join(3, CARLA, 1);
    show.release(1, ANNA);
    show.run(HotCommand::LeaveWaitlist {
        buyer: BEA,
        listing: VASE,
    });
    assert_eq!(show.offers(), [(CARLA, 3)]);
}

#[test]
fn the_end_empties_queues_and_lets_reservations_live() {
    let mut show = Show::with(1, 1);
    show.reserve(1, ANNA, 1);
    show.join(2, BEA, 1);
    show.run(HotCommand::CloseSelling);
    let told = HotOutput::WaitlistChanged {
        buyer: BEA,
        listing: VASE,
        place: None,
    };
    assert!(show.outputs.contains(&told));
    assert_eq!(code(&show.join(3, CARLA, 1)), Some(RefusalCode::NotLive));
    granted(&show.extend(1, ANNA));
    show.release(1, ANNA);
    assert_eq!(code(&show.reserve(4, CARLA, 1)), Some(RefusalCode::NotLive));
    // A late payment is served even so.
    let line = OrderedUnits {
        reservation: ReservationId(9),
        listing: VASE,
        quantity: 1,
        unit_price: Money::new(300, Currency::EUR),
    };
    let again = HotCommand::ReserveForOrder {
        order: OrderId(7),
        buyer: BEA,
        buyer_name: "name".to_owned(),
        lines: vec![line],
        fence_ms: 10_000,
    };
    assert!(matches!(show.run(again.clone()), HotAnswer::Bag(_)));
    assert!(matches!(show.run(again), HotAnswer::Bag(bag) if bag.len() == 1));
    assert_eq!(show.units().reserved, 1);
    show.end(7, &[9], CheckoutOutcome::Failed);
    assert_eq!(show.state(9), Some(ReservationState::Expired));
}

#[test]
fn a_mass_expiry_is_done_in_steps() {
    let mut show = Show::with(1_000, 1);
    let count = STEP_MAX as u128 * 2 + 10;
    for id in 1..=count {
        granted(&show.reserve(id, UserId(id), 1));
    }
    show.now += TTL;
    // Whoever is looked at is expired, whatever the sweep has come to.
    assert_eq!(
        code(&show.extend(count, UserId(count))),
        Some(RefusalCode::ReservationExpired)
    );
    assert_eq!(show.stock.next_due(), Some(UnixMs(show.now)));
    assert_eq!(show.run(HotCommand::Tick), HotAnswer::Ticked { more: true });
    assert_eq!(
        show.run(HotCommand::Tick),
        HotAnswer::Ticked { more: false }
    );
    assert_eq!(show.units().available, 1_000);
}

#[test]
fn many_turns_are_given_in_steps_and_in_order() {
    let mut show = Show::with(0, 1);
    let count = STEP_MAX as u128 + 50;
    for id in 1..=count {
        assert!(matches!(
            show.join(id, UserId(id), 1),
            HotAnswer::Waiting { .. }
        ));
    }
    show.version += 1;
    show.mirror(|mirror| mirror.total = 1_000);
    let mut offered = show.offers();
    while matches!(show.run(HotCommand::Tick), HotAnswer::Ticked { more: true })
        || !show.offers().is_empty()
    {
        offered.extend(show.offers());
    }
    let expected: Vec<_> = (1..=count).map(|id| (UserId(id), id)).collect();
    assert_eq!(offered, expected);
}

#[test]
fn a_clock_that_goes_back_frees_nothing_and_keeps_order() {
    let mut show = Show::with(1, 1);
    show.reserve(1, ANNA, 1);
    show.now -= 500_000;
    show.run(HotCommand::Tick);
    assert_eq!(show.state(1), Some(ReservationState::Reserved));
    let expires_at = show.stock.reservations_of(ANNA)[0].expires_at_ms;
    show.extend(1, ANNA);
    assert!(show.stock.reservations_of(ANNA)[0].expires_at_ms >= expires_at);
}

proptest! {
    /// Whatever comes: the books add up, and a journal of the changes brings the same state back.
    #[test]
    fn any_sequence_adds_up_and_comes_back(
        steps in prop::collection::vec((0u8..9, 1u128..6, 0u128..24, 0u32..4, 0i64..40_000), 1..80),
    ) {
        let mut show = Show::with(4, 3);
        for (kind, buyer, id, quantity, ms) in steps {
            let buyer = UserId(buyer);
            match kind {
                0 | 1 => drop(show.reserve(id, buyer, quantity)),
                2 => drop(show.join(id, buyer, quantity)),
                3 => drop(show.release(id, buyer)),
                4 => drop(show.extend(id, buyer)),
                5 => drop(show.begin(id + 100, buyer, &[id])),
                6 => drop(show.end(id + 100, &[id], CheckoutOutcome::Failed)),
                7 => drop(show.tick_after(ms)),
                _ => drop(show.run(HotCommand::LeaveWaitlist { buyer, listing: VASE })),
            }
            let units = show.units();
            prop_assert_eq!(units.reserved + units.claimed + units.available, units.total);
        }
        show.tick_after(0);
        let before = show.stock.export();
        let mut back = Show {
            stock: ShowStock::new(),
            now: show.now,
            version: 0,
            outputs: Vec::new(),
        };
        back.mirror(|mirror| (mirror.total, mirror.per_buyer) = (4, 3));
        back.run(HotCommand::Restore(before.clone()));
        prop_assert_eq!(back.stock.export(), before);
        prop_assert_eq!(back.units(), show.units());
    }
}
