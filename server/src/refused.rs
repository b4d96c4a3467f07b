//! Refusals that the edges make themselves. The type is core's; `http/error.rs` and the channel
//! map its code.

pub use vetrina_core::refused::Refused;
use vetrina_protocol::refusal::RefusalCode;

/// A field is missing, of the wrong kind or out of range.
pub fn invalid(field: &str, what: impl std::fmt::Display) -> Refused {
    Refused::new(RefusalCode::Invalid, format!("{field}: {what}"))
}

/// This role, or this seller, may not do that.
#[must_use]
pub fn forbidden(message: &'static str) -> Refused {
    Refused::new(RefusalCode::Forbidden, message)
}

/// A part of the server failed. The caller has logged the cause; it never leaves.
#[must_use]
pub fn internal() -> Refused {
    Refused::new(
        RefusalCode::Internal,
        "something failed inside the server; it was logged, please try again",
    )
}
