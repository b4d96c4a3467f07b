//! Decisions about packets: `(now, packet) -> decision`. Pure: no socket, clock, thread, randomness
//! or cryptography; time comes in as an argument, so tests own it.

pub(crate) mod broadcast;
pub(crate) mod clock;
pub(crate) mod downtrack;
pub(crate) mod ingest;
pub(crate) mod keyframe;
pub(crate) mod layers;
pub(crate) mod loss;
pub(crate) mod missing;
pub(crate) mod packet;
pub(crate) mod pli;
pub(crate) mod receive;
pub(crate) mod ring;
pub(crate) mod rtcp;
pub(crate) mod sequence;
pub(crate) mod twcc;

/// The time, as both clocks show it. One reading is taken per turn of the media thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// Never jumps; all intervals are measured on it.
    pub(crate) instant: std::time::Instant,
    /// Since the Unix epoch; only sender reports and the start of a timeline use it.
    pub(crate) unix: std::time::Duration,
}
