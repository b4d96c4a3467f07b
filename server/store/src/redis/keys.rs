//! The names of all keys. Every key of a show carries the show's hash tag, so that one function
//! call never leaves its slot; every key that a function touches is handed to it by name.
//!
//! It refuses to know what is kept under the names: the headers of `functions/*.lua` say that.

use sha2::{Digest, Sha256};
use vetrina_protocol::id::ShowId;

/// A prefix that is not fit for key names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("prefix: use from 1 to 32 of the characters a-z, A-Z, 0-9, `-`, `_`, `.` and `:`")]
pub struct InvalidPrefix;

/// The names under one prefix, by which several installations share one Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// The prefix used unless another one is asked for.
    pub const PREFIX_DEFAULT: &str = "vetrina:";

    /// Names that begin with `prefix`; an ACL user needs `~<prefix>*` and nothing more.
    ///
    /// # Errors
    /// A prefix with other characters: braces would move the hash tag, `*` would widen an ACL.
    pub fn new(prefix: &str) -> Result<Self, InvalidPrefix> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if prefix.is_empty() || prefix.len() > 32 || !prefix.bytes().all(fits) {
            return Err(InvalidPrefix);
        }
        Ok(Self {
            prefix: prefix.to_owned(),
        })
    }

    /// The keys of one show.
    #[must_use]
    pub fn show(&self, show: ShowId) -> ShowKeys {
        ShowKeys::new(&self.prefix, show)
    }

    /// Tells this incarnation of the data from an earlier one: written once, gone with the data.
    /// Every primary of a Cluster has its own `part`; a single Redis has part 0.
    #[must_use]
    pub fn generation(&self, part: u16) -> String {
        format!("{}generation:{{{part}}}", self.prefix)
    }

    /// The first answer to an idempotency key within `scope` (who asked for what).
    #[must_use]
    pub fn remembered(&self, scope: &str, key: &str) -> String {
        self.digested("once", scope, key)
    }

    /// A token bucket of `who` for `what`.
    #[must_use]
    pub fn bucket(&self, what: &str, who: &str) -> String {
        self.digested("bucket", what, who)
    }

    /// The stream that wakes the reader of one node.
    #[must_use]
    pub fn wake(&self, node: &str) -> String {
        self.digested("wake", node, "")
    }

    /// Who has `what` of a show.
    #[must_use]
    pub fn lease(&self, what: &str, show: ShowId) -> String {
        format!("{}lease:{what}:{show}", self.prefix)
    }

    /// What people wrote never becomes part of a name, and names are short.
    fn digested(&self, kind: &str, scope: &str, text: &str) -> String {
        use std::fmt::Write as _;
        let mut hash = Sha256::new();
        hash.update((scope.len() as u64).to_be_bytes());
        hash.update(scope);
        hash.update(text);
        let mut name = format!("{}{kind}:", self.prefix);
        for byte in &hash.finalize()[..16] {
            // Writing to a String cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        name
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            prefix: Self::PREFIX_DEFAULT.to_owned(),
        }
    }
}

/// The keys of one show. The order is the order of `KEYS` in `functions/*.lua`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowKeys {
    names: [String; NAMES.len()],
}

/// The last part of every name: those of a show's state first.
const NAMES: [&str; 16] = [
    "meta", "listings", "rows", "counts", "people", "due", "closed", "queue", "waiting", "early",
    "fences", "words", "log", "notices", "viewers", "leases",
];
/// How many of them are the show's state; the others outlive a rebuilding.
pub(super) const STATE_KEYS: usize = 14;
const LOG: usize = 12;
const NOTICES: usize = 13;
const VIEWERS: usize = 14;
const LEASES: usize = 15;

impl ShowKeys {
    fn new(prefix: &str, show: ShowId) -> Self {
        Self {
            names: NAMES.map(|name| format!("{prefix}{{{show}}}:{name}")),
        }
    }

    /// The stream of public events, see [`super::functions::log_entry`].
    #[must_use]
    pub fn log(&self) -> &str {
        &self.names[LOG]
    }

    /// The stream of private facts, see [`super::functions::notices_entry`].
    #[must_use]
    pub fn notices(&self) -> &str {
        &self.names[NOTICES]
    }

    /// All keys of the show's state, in the order of `KEYS`.
    pub(super) fn state(&self) -> &[String] {
        &self.names[..STATE_KEYS]
    }

    pub(super) fn all(&self) -> &[String] {
        &self.names
    }

    pub(super) fn viewers(&self) -> &str {
        &self.names[VIEWERS]
    }

    pub(super) fn leases(&self) -> &str {
        &self.names[LEASES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_show_has_the_shows_tag_and_the_prefix() {
        let keys = Keys::new("shop-1:").unwrap();
        let show = keys.show(ShowId(7));
        for name in show.all() {
            assert!(name.starts_with("shop-1:{00000000-0000-0000-0000-000000000007}:"));
        }
        assert!(show.log().ends_with(":log") && show.notices().ends_with(":notices"));
        assert!(show.viewers().ends_with(":viewers") && show.leases().ends_with(":leases"));
        assert_eq!(show.state().len(), STATE_KEYS);
        assert_ne!(keys.bucket("a", "bc"), keys.bucket("ab", "c"));
    }

    #[test]
    fn a_prefix_moves_no_tag_and_widens_no_acl() {
        for bad in ["", "a{b}", "a*", "a b", &"x".repeat(33)] {
            assert_eq!(Keys::new(bad), Err(InvalidPrefix), "{bad}");
        }
    }
}
