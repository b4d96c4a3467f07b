//! A self-hosted live-shopping server: one broadcast, one real-time channel, one checkout.
//!
//! `cli` reads options and calls [`app::run`], which composes everything else and is what tests
//! call. `ARCHITECTURE.md` beside this crate has the map.

pub mod app;
pub mod auth;
pub mod channel;
pub mod cli;
pub mod clock;
pub mod config;
pub mod ops;
pub mod payment;
pub mod refused;
pub mod shop;
pub mod store;

pub use app::{Listeners, run};
