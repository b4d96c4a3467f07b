//! What operators see: figures, health, the feed of the ops page. Nothing of it is public.

pub mod metrics;
