//! How often one address may ask for something that costs: a token bucket per address in bounded
//! memory.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use vetrina_core::limits::{Rate, TokenBucket};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::time::UnixMs;

use crate::refused::Refused;

/// Addresses remembered; beyond it the older half is forgotten, which only ever lets more in.
const ADDRESSES_MAX: usize = 50_000;

/// A bucket per address. The lock guards a plain map and is held for one look-up.
#[derive(Debug)]
pub(super) struct Rates {
    rate: Rate,
    buckets: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<IpAddr, TokenBucket>,
    old: HashMap<IpAddr, TokenBucket>,
}

impl Rates {
    pub(super) fn new(per_minute: u32) -> Self {
        Self {
            rate: Rate {
                burst: per_minute,
                per_minute,
            },
            buckets: Mutex::default(),
        }
    }

    /// Counts one request of this address.
    ///
    /// # Errors
    /// `rate_limited`, with the time to wait.
    pub(super) fn take(&self, address: IpAddr, now: UnixMs) -> Result<(), Refused> {
        let address = network(address);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.young.len() >= ADDRESSES_MAX / 2 && !buckets.young.contains_key(&address) {
            buckets.old = std::mem::take(&mut buckets.young);
        }
        let kept = buckets.old.remove(&address);
        let bucket = buckets.young.entry(address);
        bucket
            .or_insert_with(|| kept.unwrap_or_else(|| TokenBucket::new(self.rate, now)))
            .take(now)
            .map_err(|wait_ms| {
                Refused::for_now(
                    RefusalCode::RateLimited,
                    "too many requests from this address; wait, then try again",
                    wait_ms,
                )
            })
    }
}

/// What counts as one address: providers give every home a whole IPv6 /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_rate() {
        let rates = Rates::new(2);
        let ip = |text: &str| text.parse().expect("reads");
        assert!(rates.take(ip("192.0.2.1"), UnixMs(0)).is_ok());
        assert!(rates.take(ip("::ffff:192.0.2.1"), UnixMs(0)).is_ok());
        let refused = rates
            .take(ip("192.0.2.1"), UnixMs(0))
            .expect_err("is refused");
        assert_eq!(
            (refused.code, refused.retry_after_ms),
            (RefusalCode::RateLimited, Some(30_000))
        );
        assert!(rates.take(ip("192.0.2.2"), UnixMs(0)).is_ok());
        assert!(rates.take(ip("192.0.2.1"), UnixMs(30_000)).is_ok());
    }
}
