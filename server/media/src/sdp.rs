//! Reading offers and fragments, writing answers. Knows nothing of sockets or sessions.

use crate::api::{Refused, SessionKind};

/// What an offer asks for.
#[derive(Debug)]
pub(crate) struct Offer {}

impl Offer {
    pub(crate) fn read(_text: &str, _kind: SessionKind) -> Result<Self, Refused> {
        Err(Refused::Overloaded)
    }
}

/// A trickle-ICE fragment.
#[derive(Debug)]
pub(crate) struct Fragment {}

impl Fragment {
    pub(crate) fn read(_text: &str) -> Result<Self, Refused> {
        Err(Refused::Overloaded)
    }
}
