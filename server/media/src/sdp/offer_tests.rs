//! Offers of real clients.
