//! The channel over real sockets: a whole server, clients that speak the wire and nothing else.

mod doors;
mod frames;
mod heavy_nodes;
mod house;
mod limits;
mod resume;
mod sale;
mod shopping;
