//! Bounds of the channel, each with its reason.

use std::time::Duration;

use vetrina_core::limits::Rate;
use vetrina_protocol::HELLO_DEADLINE_MS;

/// The first message must have come by then.
pub(crate) const HELLO_DEADLINE: Duration = Duration::from_millis(HELLO_DEADLINE_MS);
/// Without a byte taken by the reader for this long while something waits for it, it is too slow.
pub(crate) const SLOW_AFTER: Duration = Duration::from_secs(10);
/// A silent session is asked for a sign of life; proxies drop idle connections after 60 s or less.
pub(crate) const PING_AFTER: Duration = Duration::from_secs(20);
/// A session that gives no sign of life for this long is gone.
pub(crate) const SILENT_AFTER: Duration = Duration::from_secs(60);
/// How often a session looks at the three above. Spread over sessions by when they came.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long a closing handshake may take.
pub(crate) const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Ticks that a room keeps encoded. At 20 ms each this is the 20 s that a train needs for a tunnel.
pub(crate) const RING_BATCHES_MAX: usize = 1_024;
/// Bytes of them, in MessagePack: 1,024 ticks of a quick chat are a tenth of it.
pub(crate) const RING_BYTES_MAX: usize = 16 << 20;
/// Batches given to a socket at once; the rest when the kernel has taken these.
pub(crate) const BATCHES_PER_WRITE: usize = 32;
/// Events that a resume reads from the archive before a snapshot is cheaper.
pub(crate) const RESUME_EVENTS_MAX: usize = 5_000;
/// Events of one frame of such a resume.
pub(crate) const EVENTS_PER_FRAME: usize = 500;
/// How long a resume waits for the room to come to where the store is: many ticks.
pub(crate) const CATCH_UP_WITHIN: Duration = Duration::from_secs(2);

/// Shortest time between two ticks of a busy room: below it, system calls eat what is gained.
pub(crate) const TICK_MS_MIN: u64 = 20;
/// Longest time: more than a tenth of a second would be seen.
pub(crate) const TICK_MS_MAX: u64 = 100;
/// Viewers that one millisecond of tick pays for. One delivery costs 5 to 8 us on one core, so a
/// tick of `viewers / 100` ms leaves a fifth of that core for everything else.
pub(crate) const VIEWERS_PER_TICK_MS: u64 = 100;
/// Events read from the log at once.
pub(crate) const EVENTS_PER_READ: usize = 1_000;
/// How often viewers and reactions are told.
pub(crate) const AUDIENCE_EVERY: Duration = Duration::from_secs(1);
/// An unchanged count of viewers is reported again every so many times: well within its lease.
pub(crate) const REPORT_EVERY: u32 = 5;
/// The show's words are read again every so many times: they are not part of the log.
pub(crate) const REFRESH_EVERY: u32 = 10;
/// After a store did not answer, a room tries again.
pub(crate) const ROOM_RETRY: Duration = Duration::from_millis(500);
/// A room without sessions is forgotten after this; a reload of the page finds it still there.
pub(crate) const ROOM_IDLE: Duration = Duration::from_secs(60);

/// Private messages that may wait for one session. A buyer gets a few, a desk a few hundred a
/// second; who is behind by so many resumes and gets the whole state instead.
pub(crate) const PRIVATE_QUEUE_MAX: usize = 512;
/// Commands of one session that wait for the one before them. Beyond it the socket is not read.
pub(crate) const COMMANDS_WAITING_MAX: usize = 64;
/// Answers that may wait for a reader. Beyond it the socket is not read.
pub(crate) const ANSWERS_WAITING_MAX: usize = 256;

/// Commands of one session.
pub(crate) const SESSION_RATE: Rate = Rate {
    burst: 60,
    per_minute: 1_200,
};
/// Commands of one person in all sessions on all nodes; kept over reconnects.
pub(crate) const PERSON_RATE: Rate = Rate {
    burst: 120,
    per_minute: 1_800,
};
/// Refusals for being too quick after which a session is closed: who goes on at ten times the rate
/// is not a person.
pub(crate) const FLOOD_RATE: Rate = Rate {
    burst: 200,
    per_minute: 600,
};
/// People whose rate is remembered.
pub(crate) const PEOPLE_MAX: usize = 100_000;
/// Clients of a leaving node come back spread over this time.
pub(crate) const GO_AWAY_SPREAD_MS: u64 = 5_000;

const _: () = assert!(SLOW_AFTER.as_secs() < SILENT_AFTER.as_secs());
const _: () = assert!(HEARTBEAT.as_secs() < SLOW_AFTER.as_secs());
const _: () = assert!(PING_AFTER.as_secs() * 2 < SILENT_AFTER.as_secs());
// A session within its own rate never floods.
const _: () = assert!(FLOOD_RATE.burst > SESSION_RATE.burst);
