//! Random commands, seeded: the store answers exactly as core's state machine does beside it.

use vetrina_core::hot::{CheckoutOutcome, HotCommand, Restore, ShowStock};
use vetrina_protocol::id::{ListingId, OrderId, ReservationId, UserId};

use super::world::{Backend, Dice, World};

const SEEDS: u64 = 4;
const COMMANDS: usize = 2_500;

/// What a random command may name.
struct Cast {
    listings: Vec<ListingId>,
    buyers: Vec<UserId>,
    reservations: Vec<(ReservationId, UserId)>,
    orders: Vec<(OrderId, Vec<ReservationId>)>,
}

pub(crate) async fn random_commands_agree_with_core<B: Backend>(mut world: World<B>) {
    for seed in 1..=SEEDS {
        world.show = world.new_show().await;
        world.go_live(world.show).await;
        agree(&mut world, seed).await;
    }
}

async fn agree<B: Backend>(world: &mut World<B>, seed: u64) {
    let rows = [
        world.listing(4).await,
        world.listing(12).await,
        world.listing(40).await,
    ];
    let mut model = ShowStock::new();
    for row in &rows {
        model.apply(
            world.now(),
            HotCommand::Mirror(row.mirror(Vec::new(), Vec::new())),
        );
    }
    model.apply(
        world.now(),
        HotCommand::Restore(Restore {
            reservation_ttl_ms: 120_000,
            selling_closed: false,
            reservations: Vec::new(),
            waitlist: Vec::new(),
        }),
    );
    let mut dice = Dice::new(seed);
    let mut cast = Cast {
        listings: rows.iter().map(|row| row.id).collect(),
        buyers: (0..30).map(|_| world.buyer()).collect(),
        reservations: Vec::new(),
        orders: Vec::new(),
    };
    for number in 0..COMMANDS {
        if dice.below(3) == 0 {
            world.advance_ms(i64::try_from(dice.below(20_000)).expect("small"));
        }
        if number == COMMANDS / 2 {
            // Nothing is forgotten by a clean restart, not even what is closed.
            world.restart().await;
        }
        let command = random(world, &mut dice, &mut cast);
        let expected = model.apply(world.now(), command.clone());
        let answered = world.apply(command.clone()).await.answer;
        assert_eq!(
            answered, expected,
            "seed {seed}, command {number}: {command:?}"
        );
    }
    let (_, fold) = world.hot.fold(world.show).await.expect("the fold");
    for (listing, stock) in model.stocks() {
        assert_eq!(
            fold.listing(listing).map(|listing| listing.stock),
            Some(stock),
            "seed {seed}"
        );
    }
    for buyer in cast.buyers {
        let mine = world.hot.mine(world.show, buyer).await.expect("mine");
        assert_eq!(
            mine.reservations,
            model.reservations_of(buyer),
            "seed {seed}"
        );
        assert_eq!(mine.waitlist, model.places_of(buyer), "seed {seed}");
    }
    let desk = world
        .hot
        .desk(world.show)
        .await
        .expect("the desk")
        .reservations
        .len();
    assert_eq!(desk, model.desk().count(), "seed {seed}");
}

fn random<B: Backend>(world: &World<B>, dice: &mut Dice, cast: &mut Cast) -> HotCommand {
    let listing = *pick(dice, &cast.listings);
    let buyer = *pick(dice, &cast.buyers);
    let known = cast.reservations.len();
    if known == 0 || dice.below(10) < 4 {
        let quantity = 1 + u32::try_from(dice.below(3)).expect("small");
        let command = world.reserve_command(buyer, listing, quantity);
        if let HotCommand::Reserve(reserve) = &command {
            cast.reservations.push((reserve.reservation, buyer));
        }
        return command;
    }
    // Mostly the newest ones, which are likely to be open.
    let recent = known.min(25);
    let (reservation, owner) = *pick(dice, &cast.reservations[known - recent..]);
    match dice.below(9) {
        0 => HotCommand::Extend {
            reservation,
            buyer: owner,
        },
        1 | 2 => HotCommand::Release {
            reservation,
            buyer: if dice.below(8) == 0 { buyer } else { owner },
        },
        3 | 4 => {
            let place = ReservationId(world.fresh());
            cast.reservations.push((place, buyer));
            HotCommand::JoinWaitlist {
                reservation: place,
                buyer,
                buyer_name: "Bea".into(),
                listing,
                quantity: 1,
            }
        }
        5 => HotCommand::LeaveWaitlist { buyer, listing },
        6 => {
            let order = OrderId(world.fresh());
            cast.orders.push((order, vec![reservation]));
            HotCommand::BeginCheckout {
                order,
                buyer: owner,
                reservations: vec![reservation],
                fence_ms: 15_000,
            }
        }
        7 if !cast.orders.is_empty() => {
            let (order, reservations) = pick(dice, &cast.orders).clone();
            HotCommand::EndCheckout {
                order,
                reservations,
                outcome: CheckoutOutcome::Failed,
            }
        }
        _ => HotCommand::Tick,
    }
}

fn pick<'a, T>(dice: &mut Dice, from: &'a [T]) -> &'a T {
    &from[usize::try_from(dice.below(from.len() as u64)).expect("small")]
}
