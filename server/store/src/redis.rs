//! The hot store on Redis: all that decides is a library of Redis Functions (`functions/*.lua`),
//! so that any number of nodes share one stock and one log per show.
//!
//! It refuses to know the ledger's tables, and what is sold for good.

pub mod functions;
pub mod keys;
