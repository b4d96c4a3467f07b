//! The stores' integration tests: what every implementation must do, and what survives a kill.

mod conformance;
mod durability;
mod functions;
mod nodes;
mod redis_store;
mod sql;
mod tls;
