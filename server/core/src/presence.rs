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
