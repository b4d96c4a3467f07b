//! How fast the stores are, measured from inside: what `vetrina bench` prints. It refuses to know
//! how the figures are shown and what they are compared with.

mod hot;

pub use hot::{HotFigures, hot};
