//! What operators see: figures, health, the feed of the ops page. Nothing of it is public.

pub mod feed;
pub mod health;
pub mod log;
pub mod metrics;
mod process;
