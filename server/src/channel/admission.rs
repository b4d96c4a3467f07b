//! Who may come in and how fast: sessions of this node and of one address.
//!
//! It refuses to know tokens and messages. Addresses come resolved (a proxy's header is believed or
//! not before this).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vetrina_core::limits::Rate;
use vetrina_core::refused::Refused;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::time::UnixMs;

use crate::rates::{ADDRESSES_MAX, Rates, network};

/// Bounds that an operator may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Sessions of this node.
    pub sessions_max: usize,
    /// Sessions of one address (IPv6: of one /64). Carriers put thousands of phones behind one.
    pub sessions_per_address_max: u32,
    /// Sockets that one address may open per minute in the long run, and at once.
    pub opens_per_address: Rate,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self {
            sessions_max: 50_000,
            sessions_per_address_max: 2_000,
            opens_per_address: Rate {
                burst: 2_000,
                per_minute: 6_000,
            },
        }
    }
}

/// The door of this node. The lock guards a plain map and is taken for one look-up; it exists
/// because every session passes here.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: AdmissionLimits,
    inside: Mutex<Inside>,
    opens: Rates<IpAddr>,
}

#[derive(Debug, Default)]
struct Inside {
    total: usize,
    by_address: HashMap<IpAddr, u32>,
}

/// A session's place; dropping it gives the place to the next.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    pub(crate) fn new(limits: AdmissionLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            inside: Mutex::default(),
            opens: Rates::new(limits.opens_per_address, ADDRESSES_MAX),
        })
    }

    /// Takes a place for one socket.
    ///
    /// # Errors
    /// `rate_limited` when this address opens too many too quickly, `overloaded` when it or the
    /// node has as many as it may have.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr, now: UnixMs) -> Result<Place, Refused> {
        let address = network(address);
        if let Err(wait_ms) = self.opens.take(address, now) {
            let message = "this address opens connections too quickly; wait, then come back";
            return Err(Refused::for_now(RefusalCode::RateLimited, message, wait_ms));
        }
        let mut inside = lock(&self.inside);
        let here = inside.by_address.get(&address).copied().unwrap_or(0);
        if here >= self.limits.sessions_per_address_max || inside.total >= self.limits.sessions_max
        {
            let message = "no room for another session now; come back in a few seconds";
            return Err(Refused::for_now(RefusalCode::Overloaded, message, 5_000));
        }
        inside.total += 1;
        inside.by_address.insert(address, here + 1);
        Ok(Place {
            admission: self.clone(),
            address,
        })
    }

    /// Sessions inside now.
    pub(crate) fn sessions(&self) -> usize {
        lock(&self.inside).total
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = lock(&self.admission.inside);
        inside.total -= 1;
        if let Some(here) = inside.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                inside.by_address.remove(&self.address);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole after every statement, so a poisoned lock is usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(sessions_max: usize, per_address: u32) -> Arc<Admission> {
        Admission::new(AdmissionLimits {
            sessions_max,
            sessions_per_address_max: per_address,
            opens_per_address: Rate {
                burst: 5,
                per_minute: 60,
            },
        })
    }

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_place_is_free_again_when_its_session_ends() {
        let door = door(2, 1);
        let first = door.enter(v4(1), UnixMs(0)).unwrap();
        assert_eq!(
            door.enter(v4(1), UnixMs(0)).unwrap_err().code,
            RefusalCode::Overloaded
        );
        let _second = door.enter(v4(2), UnixMs(0)).unwrap();
        assert_eq!(
            door.enter(v4(3), UnixMs(0)).unwrap_err().code,
            RefusalCode::Overloaded
        );
        drop(first);
        assert_eq!(door.sessions(), 1);
        assert!(door.enter(v4(3), UnixMs(0)).is_ok());
    }

    #[test]
    fn a_reconnect_does_not_reset_a_rate() {
        let door = door(100, 100);
        for _ in 0..5 {
            drop(door.enter(v4(1), UnixMs(0)).unwrap());
        }
        let refused = door.enter(v4(1), UnixMs(0)).unwrap_err();
        assert_eq!(refused.code, RefusalCode::RateLimited);
        assert_eq!(refused.retry_after_ms, Some(1_000));
        assert!(
            door.enter(v4(2), UnixMs(0)).is_ok(),
            "another address is not meant"
        );
        assert!(door.enter(v4(1), UnixMs(1_000)).is_ok());
    }

    #[test]
    fn one_home_is_one_address() {
        let door = door(100, 1);
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let _one = door.enter(at("2001:db8::1"), UnixMs(0)).unwrap();
        assert!(door.enter(at("2001:db8::2"), UnixMs(0)).is_err());
        assert!(door.enter(at("2001:db8:0:1::1"), UnixMs(0)).is_ok());
        let _four = door.enter(at("192.0.2.1"), UnixMs(0)).unwrap();
        assert!(door.enter(at("::ffff:192.0.2.1"), UnixMs(0)).is_err());
    }
}
