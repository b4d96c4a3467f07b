//! What the ops page is fed: one sample a second, with the four answers ops ask for first.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::id::ShowId;
use crate::time::UnixMs;
use crate::view::ShowState;

/// One second of one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
pub struct OpsSample {
    /// When it was taken.
    pub at_ms: UnixMs,
    /// Name of the node.
    pub node: String,
    /// Since this process started.
    pub uptime_s: u64,
    /// The four answers, in the order a person asks.
    pub answers: Vec<OpsAnswer>,
    /// Figures.
    pub figures: OpsFigures,
    /// Shows that are not over, at most 100.
    pub shows: Vec<OpsShow>,
}

/// One of the four questions with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[ts(optional_fields)]
pub struct OpsAnswer {
    /// Which question.
    pub question: OpsQuestion,
    /// Green.
    pub good: bool,
    /// What is wrong, in a sentence; absent when green.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What ops want to know before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpsQuestion {
    /// Do viewers see video?
    Video,
    /// Can buyers buy?
    Buying,
    /// Is the money right?
    Money,
    /// Do we have room?
    Room,
}

/// Figures of one second; rates are per second over that second.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
pub struct OpsFigures {
    /// Sessions on the channel.
    pub viewers: u32,
    /// Subscribers with video.
    pub subscribers: u32,
    /// Publishers sending.
    pub publishers: u32,
    /// Sessions welcomed.
    pub joins_per_second: f64,
    /// Messages written to sessions.
    pub deliveries_per_second: f64,
    /// Reservations granted.
    pub reservations_per_second: f64,
    /// Orders made.
    pub orders_per_second: f64,
    /// Orders paid.
    pub paid_per_second: f64,
    /// RTP packets from publishers.
    pub media_packets_in_per_second: f64,
    /// RTP packets to subscribers.
    pub media_packets_out_per_second: f64,
    /// Publishers' packets lost, per cent.
    pub media_loss_percent: f64,
    /// Deepest private queue of a session.
    pub queue_depth_max: u32,
    /// Answers with status 5xx, internal refusals and failed background work.
    pub errors_per_second: f64,
    /// Resident memory of the process.
    pub memory_bytes: u64,
    /// Of one core.
    pub cpu_percent: f64,
    /// Open file descriptors.
    pub open_files: u32,
}

/// One show on the ops page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
pub struct OpsShow {
    /// Id.
    pub id: ShowId,
    /// Title.
    pub title: String,
    /// Life cycle.
    pub state: ShowState,
    /// Sessions on the channel.
    pub viewers: u32,
    /// With video.
    pub subscribers: u32,
    /// Units reserved now.
    pub reserved: u32,
    /// Units paid.
    pub paid: u32,
}
