//! How many watch a show: each node reports its own count under a lease, the sum of the leases
//! that have not run out is the audience. It refuses to know who watches.

use std::collections::BTreeMap;

use vetrina_protocol::time::UnixMs;

use crate::limits::NODES_MAX;

/// The audience of one show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presence {
    nodes: BTreeMap<u64, Lease>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lease {
    viewers: u32,
    until: UnixMs,
}

impl Presence {
    /// Nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A node's count, believed for `lease_ms` from `now` on. A count of zero ends the lease.
    /// False when too many nodes report already.
    pub fn report(&mut self, now: UnixMs, node: u64, viewers: u32, lease_ms: i64) -> bool {
        self.nodes.retain(|_, lease| lease.until > now);
        if viewers == 0 {
            self.nodes.remove(&node);
            return true;
        }
        if self.nodes.len() >= NODES_MAX && !self.nodes.contains_key(&node) {
            return false;
        }
        let until = now.plus_ms(lease_ms.max(0));
        self.nodes.insert(node, Lease { viewers, until });
        true
    }

    /// Viewers now.
    #[must_use]
    pub fn viewers(&self, now: UnixMs) -> u32 {
        self.nodes
            .values()
            .filter(|lease| lease.until > now)
            .fold(0, |sum, lease| sum.saturating_add(lease.viewers))
    }

    /// When the count next falls by itself; none: never.
    #[must_use]
    pub fn next_due(&self) -> Option<UnixMs> {
        self.nodes.values().map(|lease| lease.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_the_leases_that_hold() {
        let mut presence = Presence::new();
        presence.report(UnixMs(0), 1, 10, 1_000);
        presence.report(UnixMs(500), 2, 5, 1_000);
        assert_eq!(presence.viewers(UnixMs(999)), 15);
        assert_eq!(presence.next_due(), Some(UnixMs(1_000)));
        assert_eq!(
            presence.viewers(UnixMs(1_000)),
            5,
            "node 1 died without a word"
        );
        presence.report(UnixMs(1_000), 2, 7, 1_000);
        assert_eq!(presence.viewers(UnixMs(1_000)), 7);
        presence.report(UnixMs(1_001), 2, 0, 1_000);
        assert_eq!(presence.viewers(UnixMs(1_001)), 0);
    }

    #[test]
    fn nodes_are_bounded() {
        let mut presence = Presence::new();
        for node in 0..NODES_MAX as u64 {
            assert!(presence.report(UnixMs(0), node, 1, 10));
        }
        assert!(!presence.report(UnixMs(0), u64::MAX, 1, 10));
        assert!(
            presence.report(UnixMs(0), 1, 3, 10),
            "a known node may go on"
        );
        assert!(
            presence.report(UnixMs(10), u64::MAX, 1, 10),
            "the dead made room"
        );
    }
}
