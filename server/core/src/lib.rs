//! Decisions without IO: what a show, its stock, its reservations, its queue, its orders and its
//! comments may become. Every decision is `(state, now, input) -> (state, outputs)`.
//!
//! It refuses to know clocks, tasks, sockets, stores, random sources and the environment: the
//! caller passes the time in, chooses the ids, and carries the outputs out. State is integers and
//! ordered maps, so that a run is repeated exactly from its inputs.

pub mod breakage;
pub mod checkout;
pub mod comment;
pub mod hot;
pub mod limits;
pub mod order;
pub mod pin;
pub mod presence;
pub mod price;
pub mod refused;
pub mod reservation;
pub mod show;
pub mod stock;
pub mod text;
pub mod waitlist;
