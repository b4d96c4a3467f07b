//! Real Redis and PostgreSQL servers for tests: each a process of the test's own, in a temporary
//! folder, gone when the test is. For the tests of every crate that stands on them; no server that
//! is delivered contains it.
//!
//! It refuses to know what is kept in them. Whatever does not start panics with what to install:
//! a test that was skipped has shown nothing.

mod postgres_server;
mod redis_server;

use std::net::TcpListener;

pub use postgres_server::PostgresServer;
pub use redis_server::{RedisCluster, RedisServer, Watched};

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
