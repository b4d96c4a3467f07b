//! Decisions about packets, without IO.
