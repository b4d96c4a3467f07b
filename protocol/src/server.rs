//! What the server says on the channel.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::client::{CommandId, Reaction};
use crate::event::{DeskEvent, LoggedEvent, PrivateEvent};
use crate::id::{CommentId, SessionId, UserId};
use crate::refusal::RefusalCode;
use crate::time::{Epoch, Offset, UnixMs};
use crate::view::{
    Comment, DeskOrder, DeskReservation, Listing, Order, Pin, Reservation, Role, Show,
    WaitlistPlace,
};

/// One message from the server; a frame is an array of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, JsonSchema)]
#[serde(tag = "type")]
#[ts(optional_fields)]
pub enum ServerMessage {
    /// Answers `Hello`. Events after `offset` follow.
    Welcome(Box<Welcome>),
    /// Facts of the log: covers every offset from `from` to `to`, whatever was conflated away.
    /// `from` is always one more than the last position of this session.
    Events {
        /// First offset covered.
        from: Offset,
        /// Last offset covered.
        to: Offset,
        /// In order of offset.
        events: Vec<LoggedEvent>,
    },
    /// Outside the log: how many watch, and what was reacted since the last one.
    Audience {
        /// Viewers now.
        viewers: u32,
        /// Counts since the last `Audience`.
        reactions: Vec<ReactionCount>,
    },
    /// A fact for this buyer alone.
    Private {
        /// Grows; compare with `mine.version`.
        version: u64,
        /// What.
        event: PrivateEvent,
    },
    /// A fact for hosts, moderators and fulfilment.
    Desk {
        /// Grows; compare with `desk.version`.
        version: u64,
        /// What.
        event: DeskEvent,
    },
    /// The command was carried out; what it made is in the fields that apply.
    Ok(Box<Done>),
    /// The command, or with no `id` the session, was refused. Nothing was changed.
    Refused {
        /// Which command.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<CommandId>,
        /// Why, for programs.
        code: RefusalCode,
        /// Why, and what to do next, for people.
        message: String,
        /// When to try again, if that can help.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// Answers `Ping`.
    Pong {
        /// Of the `Ping`.
        id: CommandId,
        /// The server's clock.
        server_time_ms: UnixMs,
    },
    /// This node is about to leave: reconnect after the given time, resuming.
    GoAway {
        /// Chosen for this session, so that all do not come back at once.
        reconnect_after_ms: u64,
    },
}

/// The session is open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, JsonSchema)]
#[ts(optional_fields)]
pub struct Welcome {
    /// This session.
    pub session: SessionId,
    /// Who the token says this is.
    pub user: UserId,
    /// Display name in comments.
    pub name: String,
    /// What this person may do.
    pub role: Role,
    /// The log's incarnation.
    pub epoch: Epoch,
    /// The position this session continues from: of the snapshot, or of `resume`.
    pub offset: Offset,
    /// The state at `offset`; absent when resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
    /// `true`: every event after `resume.offset` follows, without a gap.
    pub resumed: bool,
    /// Present when `resume` was asked for and could not be done: throw the old state away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<ResetReason>,
    /// The server's clock.
    pub server_time_ms: UnixMs,
    /// Always the whole private state of this buyer.
    pub mine: Mine,
    /// The seller's desk; for hosts, moderators and fulfilment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desk: Option<Desk>,
}

/// Why a resume became a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResetReason {
    /// The server lost the end of the log after that position (a crash). What the client did last
    /// may be lost too: compare with `mine`.
    Lost,
    /// Too many events since then; the snapshot is cheaper.
    TooOld,
    /// No such position in this show's log.
    Unknown,
}

/// The whole public state at one offset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, JsonSchema)]
#[ts(optional_fields)]
pub struct Snapshot {
    /// The show.
    pub show: Show,
    /// In the run of show's order.
    pub listings: Vec<Listing>,
    /// On screen now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// The newest comments, oldest first.
    pub comments: Vec<Comment>,
    /// Slow mode, seconds; 0: off.
    pub slow_mode_s: u32,
    /// People who may not comment.
    pub muted: Vec<UserId>,
    /// Viewers now.
    pub viewers: u32,
}

/// The whole private state of one buyer in this show.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, TS, JsonSchema)]
pub struct Mine {
    /// Open ones, soonest to expire first.
    pub reservations: Vec<Reservation>,
    /// All of them, newest first.
    pub orders: Vec<Order>,
    /// Places in queues.
    pub waitlist: Vec<WaitlistPlace>,
    /// Private events up to this version are in here.
    pub version: u64,
}

/// What the seller's desk shows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, TS, JsonSchema)]
pub struct Desk {
    /// Open ones.
    pub reservations: Vec<DeskReservation>,
    /// Newest first, at most 500; older ones by REST.
    pub orders: Vec<DeskOrder>,
    /// Desk events up to this version are in here.
    pub version: u64,
}

/// What a command made.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, TS, JsonSchema)]
#[ts(optional_fields)]
pub struct Done {
    /// Which command.
    pub id: CommandId,
    /// `Reserve`, `ExtendReservation`, `ReleaseReservation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<Reservation>,
    /// `Checkout`, `BuyNow`, `CancelOrder`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// `JoinWaitlist`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<WaitlistPlace>,
    /// `Comment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<CommentId>,
    /// The last event this command put into the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<Offset>,
}

/// How often something was reacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema)]
pub struct ReactionCount {
    /// Which.
    pub reaction: Reaction,
    /// How often.
    pub count: u32,
}
