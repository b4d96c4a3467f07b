//! The Redis Functions against a real Redis: they answer and tell exactly what core's `ShowStock`
//! does, touch only the keys that they were given, and are fast.

mod cast;
mod model;
mod play;
mod shared;

use redis::{Connection, Value};
use vetrina_backends::RedisServer;
use vetrina_store::redis::functions::{Call, CallError, load};

/// Slots are checked as a Cluster's node does, so that a call whose keys are not of one slot fails.
fn redis_with_library() -> RedisServer {
    let server = RedisServer::start_alone_in_cluster();
    let mut admin = server.connect().expect("it is up");
    run(&mut admin, &load()).expect("the library loads");
    server
}

/// Sends a call and reads its answer.
fn run<T>(to: &mut Connection, call: &Call<T>) -> Result<T, CallError> {
    match call.cmd().query::<Value>(to) {
        Ok(value) => call.read(value),
        Err(error) => Err(CallError::Failed(error.to_string())),
    }
}
