//! Bounds of the shop, each with its reason.

use std::time::Duration;

/// How long a command's answer is kept under its key. `protocol/README.md` states it.
pub(super) const ANSWER_RETENTION_MS: i64 = 10 * 60_000;
/// Answers kept per show, about 500 bytes each. Beyond it the oldest go first; orders and
/// reservations are still recognised by the ids made of their key.
pub(super) const ANSWERS_PER_SHOW_MAX: usize = 100_000;
/// Shows whose answers, facts or folded log this node remembers.
pub(super) const SHOWS_MAX: usize = 10_000;
/// How long a checkout waits until the hot store knows of its order, before it answers without.
pub(super) const TOLD_WITHIN: Duration = Duration::from_millis(300);
/// How long a comment waits for those before it and for what other nodes said meanwhile.
pub(super) const STAGE_WITHIN: Duration = Duration::from_millis(800);
/// How long a checkout waits for the pay page before it answers without.
pub(super) const PAYMENT_OPEN_WITHIN: Duration = Duration::from_secs(2);
/// A lower total is kept from being reserved for so long while the ledger writes it down.
pub(super) const TOTAL_FENCE_MS: i64 = 10_000;
/// Comments, beyond those of a snapshot, that a moderator may still delete on this node.
pub(super) const COMMENTS_KNOWN_MAX: usize = 10_000;
/// Events read at once when a scene catches up.
pub(super) const EVENTS_PER_READ: usize = 1_000;
/// Orders in `mine`: more than a person reads; the rest by REST.
pub(super) const ORDERS_MINE_MAX: u32 = 100;
/// Orders on the desk, as the wire states it.
pub(super) const ORDERS_DESK_MAX: u32 = 500;
/// Tries to learn what became of a claim that the ledger did not answer, one, two, four, ...
/// seconds apart: about four minutes, longer than any restart.
pub(super) const CLAIM_TRIES_MAX: u32 = 8;
/// How often ended shows are looked at.
pub(super) const UPKEEP_EVERY: Duration = Duration::from_secs(10);

/// Longest texts of a delivery address, in characters, as the wire states them.
pub(super) const DELIVERY_NAME_CHARS_MAX: usize = 100;
/// RFC 5321, section 4.5.3.1.
pub(super) const DELIVERY_EMAIL_CHARS_MAX: usize = 254;
/// Street, number and so on.
pub(super) const DELIVERY_LINES_MAX: usize = 4;
/// One of them, and the city.
pub(super) const DELIVERY_LINE_CHARS_MAX: usize = 100;
/// Postcode.
pub(super) const DELIVERY_POSTCODE_CHARS_MAX: usize = 20;
/// Mirrors that wait for a hot store which did not answer: an hour of a busy show's orders.
pub(super) const LATE_MIRRORS_MAX: usize = 10_000;
