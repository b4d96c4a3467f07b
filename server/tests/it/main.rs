//! The server's integration tests: one binary, one module per line. Tests speak to the public parts
//! only (a whole server in this process, over its ports), wait for events with a deadline, and
//! never sleep.

mod harness;

mod accounts;
mod channel;
mod command_line;
mod errors;
mod ops;
mod rest;
mod tenants;
mod video;
