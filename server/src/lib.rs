//! A self-hosted live-shopping server: one broadcast, one real-time channel, one checkout.
//!
//! `cli` reads options and calls [`app::run`], which composes everything else and is what tests
//! call. `ARCHITECTURE.md` beside this crate has the map.

pub mod app;
pub mod auth;
pub mod broadcasts;
pub mod channel;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod http;
pub mod ops;
pub mod origins;
pub mod pages;
pub mod payment;
pub mod pictures;
mod rates;
pub mod refused;
pub mod shop;

pub use app::{Listeners, run};
