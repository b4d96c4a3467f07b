//! Amounts as people write them in a spreadsheet, exactly, without floating point.

use vetrina_protocol::money::{Currency, Money};

/// Reads "24", "24.00" or "24,00" in the currency's minor units.
///
/// # Errors
/// What is wrong and how to write it.
pub(super) fn amount(text: &str, currency: &str) -> Result<Money, String> {
    let code: Currency = currency
        .trim()
        .parse()
        .map_err(|error| format!("currency: {error}"))?;
    let known = iso_currency::Currency::from_code(code.as_str())
        .ok_or("currency: an ISO 4217 code in use, such as EUR")?;
    let decimals = usize::from(known.exponent().unwrap_or(0));
    let wrong = || format!("price: write digits with at most {decimals} decimals, such as 24.00");
    let text = text.trim().replace(',', ".");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > decimals {
        return Err(wrong());
    }
    let minor: i64 = format!("{whole}{fraction:0<decimals$}")
        .parse()
        .map_err(|_| wrong())?;
    Ok(Money::new(minor, code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        let minor = |text, currency| amount(text, currency).map(|money| money.amount_minor).ok();
        assert_eq!(minor("24", "EUR"), Some(2_400));
        assert_eq!(minor("24.5", "EUR"), Some(2_450));
        assert_eq!(minor(" 24,05 ", "EUR"), Some(2_405));
        assert_eq!(minor("1200", "JPY"), Some(1_200));
        assert_eq!(minor("0.001", "KWD"), Some(1));
        for (text, currency) in [
            ("24.005", "EUR"),
            ("1.200,00", "EUR"),
            ("-1", "EUR"),
            ("1e3", "EUR"),
            ("", "EUR"),
            ("12.5", "JPY"),
            ("1", "eur"),
            ("1", "XQX"),
            ("99999999999999999999", "EUR"),
        ] {
            assert_eq!(minor(text, currency), None, "{text} {currency}");
        }
    }
}
