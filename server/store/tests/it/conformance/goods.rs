//! The catalogue: creations, pages, allocation, and one-use codes.

use std::sync::Arc;

use vetrina_core::show::ShowTransition;
use vetrina_protocol::money::Money;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::view::ShowState;
use vetrina_store::ledger::{
    CodeHash, Imported, ListingChange, NewSkuRow, PageRequest, ProductChange,
};

use super::world::{Backend, World, code, eur};

pub(crate) async fn creations_happen_once<B: Backend>(world: World<B>) {
    let ledger = &world.ledger;
    let once = world.once("make-product", 1);
    let (row, sku) = (world.product_row("Tazza"), world.sku_row(5));
    let first = ledger
        .create_product(once.clone(), row, vec![sku.clone()])
        .await
        .expect("made");
    let again = world.product_row("Tazza");
    let second = ledger
        .create_product(once, again, vec![world.sku_row(5)])
        .await
        .expect("again");
    assert_eq!(first, second, "the first answer is repeated");
    let other = world.once("make-product", 2);
    let reused = ledger
        .create_product(other, world.product_row("Piatto"), vec![sku.clone()])
        .await;
    assert_eq!(code(reused), RefusalCode::KeyReused);
    // A refusal remembers nothing: the key may be used for a corrected request.
    let taken = world.once("make-another", 3);
    let twin = ledger
        .create_product(taken, world.product_row("Altro"), vec![sku])
        .await;
    assert_eq!(
        code(twin),
        RefusalCode::Invalid,
        "the article code is taken"
    );
    let corrected = world.once("make-another", 4);
    let made = ledger.create_product(
        corrected,
        world.product_row("Altro"),
        vec![world.sku_row(1)],
    );
    made.await.expect("corrected");

    let show = world.show_row();
    let made = ledger
        .create_show(world.once("show", 1), show.clone())
        .await
        .expect("made");
    assert_eq!(made.seller_name, "Ceramiche Rossi");
    let twin = ledger
        .create_show(world.once("show", 1), world.show_row())
        .await;
    assert_eq!(twin.expect("again").id, show.id);
    let reused = ledger
        .create_show(world.once("show", 2), world.show_row())
        .await;
    assert_eq!(code(reused), RefusalCode::KeyReused);

    let new = world.new_listing(world.show, first.skus[0].id, 2);
    let made = ledger
        .create_listing(world.once("list", 1), new.clone())
        .await
        .expect("made");
    let again = ledger
        .create_listing(world.once("list", 1), new.clone())
        .await
        .expect("again");
    assert_eq!(made, again);
    let reused = ledger
        .create_listing(world.once("list", 2), new.clone())
        .await;
    assert_eq!(code(reused), RefusalCode::KeyReused);
    let twice = ledger
        .create_listing(world.once("list-twice", 3), new)
        .await;
    assert_eq!(code(twice), RefusalCode::Invalid, "offered already");
}

pub(crate) async fn a_file_is_imported_whole_or_not_at_all<B: Backend>(world: World<B>) {
    let (ledger, seller) = (&world.ledger, world.seller);
    let (vase, cup) = (world.product_row("Vaso"), world.product_row("Tazza"));
    let (tall, flat, blue) = (world.sku_row(3), world.sku_row(2), world.sku_row(9));
    let file = vec![
        (vase.clone(), vec![tall.clone(), flat.clone()]),
        (cup.clone(), vec![blue.clone()]),
    ];
    let counts = |products, added, updated| Imported {
        products,
        added,
        updated,
    };
    let done = ledger.import(seller, file.clone()).await;
    assert_eq!(done, Ok(counts(2, 3, 0)));
    let codes = async |product| {
        let product = ledger.product(seller, product).await.expect("read");
        let skus = product.expect("it is there").skus;
        skus.into_iter().map(|sku| sku.code).collect::<Vec<_>>()
    };
    assert_eq!(codes(vase.id).await, [&*tall.code, &*flat.code]);
    let again = ledger.import(seller, file).await;
    assert_eq!(again, Ok(counts(0, 0, 0)), "twice changes nothing");
    let small = world.sku_row(1);
    let fewer = NewSkuRow {
        inventory: 8,
        ..blue.clone()
    };
    let file = vec![
        (world.product_row("Vaso"), vec![flat.clone(), small.clone()]),
        (world.product_row("Tazza"), vec![fewer]),
    ];
    assert_eq!(ledger.import(seller, file).await, Ok(counts(0, 1, 1)));
    assert_eq!(
        codes(vase.id).await,
        [&*tall.code, &*flat.code, &*small.code]
    );
    // One row that cannot be: nothing of the file.
    let listing = world.new_listing(world.show, tall.id, 2);
    let listed = ledger.create_listing(world.once("list", 1), listing).await;
    listed.expect("listed");
    let plate = world.sku_row(4);
    let short = NewSkuRow {
        inventory: 1,
        ..tall
    };
    let file = vec![
        (world.product_row("Piatto"), vec![plate.clone()]),
        (world.product_row("Vaso"), vec![short]),
    ];
    let refused = ledger.import(seller, file).await;
    assert_eq!(code(refused), RefusalCode::InventoryShort);
    let known = ledger.sku_by_code(seller, &plate.code).await;
    assert_eq!(known, Ok(None));
}

pub(crate) async fn pages_are_stable<B: Backend>(world: World<B>) {
    let mut made = Vec::new();
    for number in 0..25 {
        if number % 3 == 0 {
            world.advance_ms(5);
        }
        let product = world.product_row(&format!("Prodotto {number}"));
        let product = world
            .ledger
            .create_product(world.once_new(), product, vec![world.sku_row(1)])
            .await;
        made.push(product.expect("made"));
    }
    let mut page = PageRequest {
        cursor: None,
        limit: 10,
    };
    let mut seen = Vec::new();
    loop {
        let part = world
            .ledger
            .products(world.seller, page.clone())
            .await
            .expect("a page");
        assert!(part.items.len() <= 10);
        seen.extend(part.items);
        // What comes meanwhile is newer and moves nothing.
        world.advance_ms(1);
        let late = world.product_row("tardi");
        let late = world
            .ledger
            .create_product(world.once_new(), late, vec![world.sku_row(1)])
            .await;
        late.expect("made");
        match part.next_cursor {
            Some(cursor) => page.cursor = Some(cursor),
            None => break,
        }
    }
    made.sort_by_key(|product| (product.created_at, product.id));
    made.reverse();
    assert_eq!(seen, made);
    for wrong in ["", "x", "%%%", "MTIzNA", &"A".repeat(500)] {
        let page = PageRequest {
            cursor: Some(wrong.into()),
            limit: 10,
        };
        let refused = world.ledger.products(world.seller, page).await;
        assert_eq!(code(refused), RefusalCode::Invalid, "cursor {wrong:?}");
    }
    let all = PageRequest {
        cursor: None,
        limit: 0,
    };
    assert_eq!(
        world
            .ledger
            .shows(None, all)
            .await
            .expect("shows")
            .items
            .len(),
        1
    );
}

pub(crate) async fn two_shows_cannot_sell_the_same_unit<B: Backend>(world: World<B>) {
    let ledger = &world.ledger;
    let sku = world.sku(10).await;
    let other = world.new_show().await;
    let here = world.new_listing(world.show, sku, 7);
    let here = ledger
        .create_listing(world.once_new(), here)
        .await
        .expect("seven of ten");
    let there = world.new_listing(other, sku, 4);
    let short = ledger.create_listing(world.once_new(), there.clone()).await;
    assert_eq!(code(short), RefusalCode::InventoryShort);
    let three = vetrina_store::ledger::NewListingRow { total: 3, ..there };
    let there = ledger
        .create_listing(world.once_new(), three)
        .await
        .expect("the other three");
    let more = ListingChange {
        total: Some(8),
        ..ListingChange::default()
    };
    let short = ledger.change_listing(world.show, here.id, more).await;
    assert_eq!(code(short), RefusalCode::InventoryShort);
    let fewer = ListingChange {
        total: Some(2),
        ..ListingChange::default()
    };
    ledger
        .change_listing(other, there.id, fewer)
        .await
        .expect("one is given back");
    let now = ledger
        .change_listing(world.show, here.id, more)
        .await
        .expect("and taken");
    assert_eq!((now.total, now.version), (8, here.version + 1));
    let below = ledger.set_sku(world.seller, sku, eur(100), 9).await;
    assert_eq!(code(below), RefusalCode::InventoryShort);
    let sku = ledger
        .set_sku(world.seller, sku, eur(100), 12)
        .await
        .expect("two more");
    assert_eq!((sku.inventory, sku.allocated), (12, 10));
}

pub(crate) async fn listings_change_by_the_rules<B: Backend>(world: World<B>) {
    let ledger = &world.ledger;
    let (first, second) = (world.listing(5).await, world.listing(5).await);
    let change = |change: ListingChange| ledger.change_listing(world.show, first.id, change);
    let price = |price: Money| ListingChange {
        price: Some(price),
        ..ListingChange::default()
    };
    let dollars = Money::new(100, "USD".parse().expect("a currency"));
    assert_eq!(code(change(price(dollars)).await), RefusalCode::Currency);
    assert_eq!(code(change(price(eur(0))).await), RefusalCode::Invalid);
    let cheaper = change(price(eur(990))).await.expect("cheaper");
    assert_eq!(
        (cheaper.price, cheaper.version),
        (eur(990), first.version + 1)
    );
    let same = change(price(eur(990))).await.expect("the same");
    assert_eq!(
        same.version, cheaper.version,
        "nothing changed, nothing to mirror"
    );
    world.order(&first, 2).await;
    let total = |total: u32| ListingChange {
        total: Some(total),
        ..ListingChange::default()
    };
    assert_eq!(code(change(total(1)).await), RefusalCode::BelowCommitted);
    assert_eq!(
        change(total(2)).await.expect("down to what is sold").total,
        2
    );
    // All or nothing: a wrong part changes no part.
    let mixed = ListingChange {
        price: Some(eur(5)),
        total: None,
        per_buyer: Some(0),
    };
    assert_eq!(code(change(mixed).await), RefusalCode::Invalid);
    assert_eq!(world.row(first.id).await.price, eur(990));
    let stranger = ledger
        .change_listing(world.new_show().await, first.id, total(3))
        .await;
    assert_eq!(code(stranger), RefusalCode::ListingUnknown);

    let run = ledger
        .order_listings(world.show, vec![second.id])
        .await
        .expect("ordered");
    let run: Vec<_> = run.iter().map(|row| (row.id, row.position)).collect();
    assert_eq!(run, vec![(second.id, 0), (first.id, 1)]);
    let words = ProductChange {
        title: Some("Vaso grande".into()),
        ..ProductChange::default()
    };
    let before = world.row(first.id).await;
    ledger
        .change_product(world.seller, first.product, words)
        .await
        .expect("renamed");
    let after = world.row(first.id).await;
    assert_eq!(
        (after.title.as_str(), after.version),
        ("Vaso grande", before.version + 1)
    );
    let of_product = ledger
        .listings_of_product(first.product)
        .await
        .expect("read");
    assert_eq!(of_product, vec![after]);
}

pub(crate) async fn an_ended_show_gives_back_what_it_did_not_sell<B: Backend>(world: World<B>) {
    let ledger = &world.ledger;
    let listing = world.listing(10).await;
    let (kept, canceled) = (
        world.order(&listing, 2).await,
        world.order(&listing, 1).await,
    );
    assert_eq!(
        code(ledger.release_unsold(world.show).await),
        RefusalCode::ShowState
    );
    assert_eq!(
        ledger.shows_to_open().await.expect("read"),
        vec![world.show]
    );
    let end = ledger
        .move_show(world.show, ShowTransition::End, world.now())
        .await;
    assert_eq!(end.expect("ended").0.state, ShowState::Ended);
    let rows = ledger.release_unsold(world.show).await.expect("released");
    assert_eq!((rows[0].total, rows[0].claimed), (3, 3));
    let again = ledger.release_unsold(world.show).await.expect("again");
    assert_eq!(rows, again, "once");
    assert!(ledger.shows_to_open().await.expect("read").is_empty());
    let sku = async || {
        let products = ledger.product(world.seller, listing.product).await;
        products.expect("read").expect("the product").skus[0].clone()
    };
    let after = sku().await;
    assert_eq!(
        (after.inventory, after.allocated),
        (17, 0),
        "twenty less three sold"
    );
    // A cancellation after the end returns its unit to the inventory.
    world
        .input(
            canceled.order.id,
            vetrina_core::order::OrderInput::CancelAsked,
        )
        .await;
    world
        .input(
            canceled.order.id,
            vetrina_core::order::OrderInput::ProviderCanceled,
        )
        .await;
    assert_eq!(sku().await.inventory, 18);
    let row = world.row(listing.id).await;
    assert_eq!((row.total, row.claimed), (2, 2));
    assert_eq!(kept.order.lines[0].quantity, 2);
    let late = ledger
        .claim(world.checkout(world.buyer(), &listing, 1))
        .await;
    assert_eq!(code(late), RefusalCode::SoldOut);
}

pub(crate) async fn a_show_moves_along_its_life_cycle_only<B: Backend>(world: World<B>) {
    let ledger = &world.ledger;
    let again = ledger
        .move_show(world.show, ShowTransition::GoLive, world.now())
        .await;
    assert!(!again.expect("the same").1, "live already");
    world.advance_ms(1_000);
    let (show, moved) = ledger
        .move_show(world.show, ShowTransition::End, world.now())
        .await
        .expect("ended");
    assert_eq!((show.ended_at, moved), (Some(world.now()), true));
    assert!(show.live_at < show.ended_at);
    let back = ledger
        .move_show(world.show, ShowTransition::GoLive, world.now())
        .await;
    assert_eq!(code(back), RefusalCode::ShowState);
    let nobody = vetrina_protocol::id::ShowId(9);
    let nowhere = ledger
        .move_show(nobody, ShowTransition::End, world.now())
        .await;
    assert_eq!(code(nowhere), RefusalCode::ShowUnknown);
    let sku = world.sku(3).await;
    let late = world.new_listing(world.show, sku, 1);
    let late = ledger.create_listing(world.once_new(), late).await;
    assert_eq!(code(late), RefusalCode::ShowState);
}

pub(crate) async fn codes_are_good_once_and_for_a_while<B: Backend>(world: World<B>) {
    let (now, code) = (world.now(), CodeHash([3; 32]));
    let ends = now.plus_ms(60_000);
    world
        .ledger
        .put_code(code, "studio".into(), now, ends)
        .await
        .expect("kept");
    let mut uses = Vec::new();
    for _ in 0..20 {
        let ledger = Arc::clone(&world.ledger);
        uses.push(tokio::spawn(async move {
            ledger.use_code(code, now).await.expect("asked")
        }));
    }
    let mut granted = Vec::new();
    for used in uses {
        granted.extend(used.await.expect("no panic"));
    }
    assert_eq!(granted, vec!["studio".to_owned()], "exactly one of twenty");
    let late = CodeHash([4; 32]);
    world
        .ledger
        .put_code(late, "ops".into(), now, ends)
        .await
        .expect("kept");
    assert_eq!(
        world.ledger.use_code(late, ends).await.expect("asked"),
        None,
        "it has run out"
    );
    assert_eq!(
        world
            .ledger
            .use_code(CodeHash([5; 32]), now)
            .await
            .expect("asked"),
        None
    );
}
