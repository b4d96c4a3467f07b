//! The server.
pub mod payment;
