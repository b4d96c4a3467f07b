//! The stores' integration tests: what every implementation must do, and what survives a kill.

mod cluster;
mod conformance;
mod durability;
mod functions;
mod nodes;
mod redis_server;
mod redis_store;
mod sql;
