//! Reading offers and trickle fragments, writing answers. Knows nothing of sockets or sessions.

mod answer;
mod codec;
mod fragment;
mod offer;
mod section;

pub(crate) use answer::{CNAME, Credentials, Local, SendTrack, write_answer, write_fragment};
pub(crate) use codec::Codec;
pub(crate) use fragment::Fragment;
pub(crate) use offer::{Fingerprint, Offer};
pub(crate) use section::{MediaKind, OfferedCodec, Section};
