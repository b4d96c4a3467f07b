//! The channel over real sockets: a whole server, clients that speak the wire and nothing else.

mod doors;
mod frames;
mod house;
mod limits;
mod nodes;
mod resume;
mod sale;
mod shopping;
