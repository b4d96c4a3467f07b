//! Which prices a listing may have. It refuses to know discounts, taxes and shipping.

use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::refusal::RefusalCode;

use crate::limits::PRICE_MINOR_MAX;
use crate::refused::Refused;

/// Checks the price of one unit.
///
/// # Errors
/// `currency` when it is not the show's; `invalid` unless it is from 1 to [`PRICE_MINOR_MAX`]
/// minor units (a provider cannot charge nothing).
pub fn check(price: Money, currency: Currency) -> Result<(), Refused> {
    if price.currency != currency {
        return Err(Refused::new(
            RefusalCode::Currency,
            format!(
                "price: this show sells in {currency}, not {}",
                price.currency
            ),
        ));
    }
    if !(1..=PRICE_MINOR_MAX).contains(&price.amount_minor) {
        return Err(Refused::new(
            RefusalCode::Invalid,
            format!("price: amount_minor must be from 1 to {PRICE_MINOR_MAX}"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_one_cent_to_the_bound_in_the_shows_currency() {
        let code = |amount, letters: &str| {
            let price = Money::new(amount, letters.parse().unwrap());
            check(price, Currency::EUR).map_err(|refused| refused.code)
        };
        assert_eq!(code(1, "EUR"), Ok(()));
        assert_eq!(code(PRICE_MINOR_MAX, "EUR"), Ok(()));
        assert_eq!(code(0, "EUR"), Err(RefusalCode::Invalid));
        assert_eq!(code(-5, "EUR"), Err(RefusalCode::Invalid));
        assert_eq!(code(PRICE_MINOR_MAX + 1, "EUR"), Err(RefusalCode::Invalid));
        assert_eq!(code(1, "USD"), Err(RefusalCode::Currency));
    }
}
