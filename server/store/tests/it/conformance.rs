//! What every hot store and every ledger must do, written against the traits alone. A new
//! implementation adds one line at the end, with a [`Backend`] of its own.

mod backends;
mod claims;
mod goods;
mod log;
mod orders;
mod outbox;
mod reservations;
mod sequences;
mod world;

pub(crate) use backends::{Backend, PostgresAndMemory, SqliteAndRedis, redis_store};
pub(crate) use world::{DEADLINE, Dice, World};

/// All tests of the suite for one backend.
macro_rules! suite {
    ($name:ident, $backend:ty) => {
        mod $name {
            use super::world::World;
            use super::*;

            suite!(@tests $backend:
                goods::creations_happen_once,
                goods::a_file_is_imported_whole_or_not_at_all,
                goods::pages_are_stable,
                goods::two_shows_cannot_sell_the_same_unit,
                goods::listings_change_by_the_rules,
                goods::an_ended_show_gives_back_what_it_did_not_sell,
                goods::a_show_moves_along_its_life_cycle_only,
                goods::codes_are_good_once_and_for_a_while,
                claims::fifty_equal_claims_make_one_order,
                claims::a_key_is_for_one_request,
                claims::a_hot_sku_is_never_oversold,
                claims::a_bag_is_claimed_whole_or_not_at_all,
                claims::a_reservation_makes_one_line,
                claims::numbers_are_unique_and_orders_are_listed,
                orders::a_webhook_counts_once_however_often_it_comes,
                orders::reordered_webhooks_end_in_the_same_state,
                orders::where_an_order_is_paid_is_remembered,
                orders::an_expired_order_returns_its_units,
                orders::a_late_payment_is_reclaimed_or_refunded,
                orders::a_refund_may_restock,
                orders::random_inputs_keep_the_books_balanced,
                outbox::work_is_leased_to_one_worker,
                outbox::work_survives_its_worker,
                reservations::a_reservation_and_its_event_are_one_step,
                reservations::a_thousand_buyers_and_ten_units,
                reservations::an_unknown_listing_is_refused,
                reservations::reservations_and_queues_come_back,
                reservations::a_claim_moves_units_from_reserved_to_claimed,
                reservations::time_alone_expires_a_reservation,
                reservations::the_end_of_a_show_closes_its_selling,
                log::events_are_numbered_without_a_gap,
                log::a_resume_continues_after_a_restart,
                log::what_was_lost_is_said,
                log::the_ledgers_word_is_logged_at_opening,
                log::a_newer_mirror_is_logged_and_an_older_one_is_not,
                log::a_published_listing_has_its_newest_words,
                log::notices_have_growing_versions,
                log::a_log_has_one_writer,
                log::presence_ends_with_its_lease,
                sequences::random_commands_agree_with_core,
            );
        }
    };
    (@tests $backend:ty: $($module:ident::$test:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$module::$test(World::<$backend>::new().await).await;
            }
        )*
    };
}

suite!(sqlite_and_memory, backends::SqliteAndMemory);
suite!(postgres_and_memory, backends::PostgresAndMemory);
suite!(sqlite_and_redis, backends::SqliteAndRedis);
// Three servers for each test: nothing beside it.
suite!(heavy_sqlite_and_cluster, backends::SqliteAndCluster);
