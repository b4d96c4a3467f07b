//! How fast the stores are, measured from inside: what `vetrina bench` prints. It refuses to know
//! how the figures are shown and what they are compared with.

mod claims;
mod hot;

pub use claims::{ClaimsError, ClaimsFigures, claims};
pub use hot::{HotFigures, hot};
