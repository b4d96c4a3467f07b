//! What only a hot store on Redis can do wrong: nodes that share it, and a Redis that goes away.

mod faults;
mod nodes;
mod rate;
