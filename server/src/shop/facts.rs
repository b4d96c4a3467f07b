//! What never changes of a show: whose it is and its currency. Read once per node.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vetrina_core::refused::Refused;
use vetrina_protocol::id::{SellerId, ShowId};
use vetrina_protocol::money::Currency;
use vetrina_protocol::refusal::RefusalCode;

use super::Shop;
use super::limits::SHOWS_MAX;
use crate::auth::Principal;
use crate::refused::forbidden;

/// What never changes of a show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShowFacts {
    /// Which.
    pub id: ShowId,
    /// Whose.
    pub seller: SellerId,
    /// The one currency of its prices and orders.
    pub currency: Currency,
}

impl ShowFacts {
    /// Whether a token is good for this show.
    ///
    /// # Errors
    /// `forbidden` for another show's or another seller's.
    pub fn check_scope(&self, by: &Principal) -> Result<(), Refused> {
        if by.may_enter(self.seller, self.id) {
            return Ok(());
        }
        Err(forbidden(
            "this token is for another show; get one for this show at POST /v1/tokens",
        ))
    }
}

/// The shows that were asked for. The lock is taken for a look-up.
#[derive(Debug, Default)]
pub(super) struct Facts {
    known: Mutex<HashMap<ShowId, ShowFacts>>,
}

impl Facts {
    fn known(&self) -> MutexGuard<'_, HashMap<ShowId, ShowFacts>> {
        // Whole after every statement, so a poisoned lock is usable.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shop {
    /// Whose a show is, and its currency.
    ///
    /// # Errors
    /// `show_unknown`; `try_again` when the ledger does not answer.
    pub async fn facts(&self, show: ShowId) -> Result<ShowFacts, Refused> {
        if let Some(facts) = self.inner.facts.known().get(&show) {
            return Ok(*facts);
        }
        let row = self
            .ledger()
            .show(show)
            .await
            .map_err(|error| self.refusal(error))?;
        let row = row.ok_or_else(show_unknown)?;
        let facts = ShowFacts {
            id: show,
            seller: row.seller,
            currency: row.currency,
        };
        let mut known = self.inner.facts.known();
        if known.len() >= SHOWS_MAX {
            // They are read again when needed; which goes first does not matter.
            known.clear();
        }
        known.insert(show, facts);
        Ok(facts)
    }
}

pub(super) fn show_unknown() -> Refused {
    Refused::new(RefusalCode::ShowUnknown, "no such show; check the link")
}
