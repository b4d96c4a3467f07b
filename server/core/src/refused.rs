//! A refusal as core says it: a code for programs, a sentence for people, and when to try again.
//! Translation to `Refused` on the channel or a problem document in REST is the edges' work.

use std::borrow::Cow;
use std::fmt;

use vetrina_protocol::refusal::RefusalCode;

/// A request that was understood and not granted. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why, for programs; the table of codes says what the client should do next.
    pub code: RefusalCode,
    /// Why, and what to do next, for people. Holds no personal data.
    pub message: Cow<'static, str>,
    /// When the same request may succeed, milliseconds from now; only where waiting helps.
    pub retry_after_ms: Option<u64>,
}

impl Refused {
    /// A refusal that waiting does not cure.
    #[must_use]
    pub fn new(code: RefusalCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_ms: None,
        }
    }

    /// A refusal that is over in `retry_after_ms`.
    #[must_use]
    pub fn for_now(
        code: RefusalCode,
        message: impl Into<Cow<'static, str>>,
        retry_after_ms: u64,
    ) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_ms: Some(retry_after_ms),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Refused {}
