//! The server's integration tests: one binary, one module per line. Tests speak to the public parts
//! only, wait for events with a deadline, and never sleep.

mod store_conformance;
