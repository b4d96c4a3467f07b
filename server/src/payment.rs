//! Payments: the provider's side of an order. A provider is a trait with, for now, one
//! implementation that talks to the sandbox over HTTP as it would to a real one. What an order may
//! become is decided in core and recorded by the ledger; this module asks, listens and reconciles.
//! No card number passes through here: a buyer pays on the provider's own page.

pub mod intents;
pub mod provider;
pub mod sandbox;
pub mod sandbox_provider;
pub mod worker;

pub use intents::{Intents, OpenError};
pub use provider::PaymentProvider;
pub use worker::{OrderDesk, WebhookAnswer, Worker};
