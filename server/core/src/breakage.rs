//! Deliberate faults, so that the simulation can show that it would notice them. They exist only in
//! a build with the feature `breakages`, which nothing but tests asks for, and even there only on a
//! thread that switched one on. In every other build [`is_on`] is a constant.

/// A fault that can be switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakage {
    /// The ledger's guard lets one unit too many through.
    Oversell,
    /// A buyer may reserve while others queue.
    Overtake,
    /// A repeated webhook starts a second refund.
    DoubleRefund,
}

#[cfg(feature = "breakages")]
thread_local! {
    static ON: std::cell::Cell<Option<Breakage>> = const { std::cell::Cell::new(None) };
}

/// Switches a fault on for this thread, or all off.
#[cfg(feature = "breakages")]
pub fn switch(breakage: Option<Breakage>) {
    ON.set(breakage);
}

#[cfg(feature = "breakages")]
pub(crate) fn is_on(breakage: Breakage) -> bool {
    ON.get() == Some(breakage)
}

#[cfg(not(feature = "breakages"))]
pub(crate) const fn is_on(_: Breakage) -> bool {
    false
}
