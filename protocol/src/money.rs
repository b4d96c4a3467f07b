//! Money: integer minor units and an ISO 4217 code. No floating point, no implicit conversion, and
//! arithmetic that reports overflow instead of wrapping.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ts_rs::TS;
use utoipa::ToSchema;

/// Largest amount on the wire: 2^53 - 1, because browsers read numbers as doubles.
pub const AMOUNT_MINOR_MAX: i64 = (1 << 53) - 1;

/// An ISO 4217 currency code: three upper-case letters. Whether the code is in use is checked where
/// a show is created, not here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The euro.
    pub const EUR: Self = Self(*b"EUR");

    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a currency is built from ASCII letters only")
    }
}

/// A text that is not three upper-case letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidCurrency;

impl fmt::Display for InvalidCurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a currency is an ISO 4217 code: three upper-case letters, such as EUR")
    }
}

impl std::error::Error for InvalidCurrency {}

impl FromStr for Currency {
    type Err = InvalidCurrency;
    fn from_str(text: &str) -> Result<Self, InvalidCurrency> {
        let bytes: [u8; 3] = text.as_bytes().try_into().map_err(|_| InvalidCurrency)?;
        if bytes.iter().all(u8::is_ascii_uppercase) {
            Ok(Self(bytes))
        } else {
            Err(InvalidCurrency)
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An amount in minor units (cents for EUR, yen for JPY) of one currency.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS, JsonSchema, ToSchema,
)]
pub struct Money {
    /// Minor units; never more than 2^53 - 1 in size.
    pub amount_minor: i64,
    /// ISO 4217 code.
    #[ts(type = "string")]
    #[schemars(with = "String", regex(pattern = "^[A-Z]{3}$"))]
    #[schema(value_type = String, example = "EUR")]
    pub currency: Currency,
}

impl Money {
    /// An amount.
    #[must_use]
    pub const fn new(amount_minor: i64, currency: Currency) -> Self {
        Self {
            amount_minor,
            currency,
        }
    }

    /// This amount `quantity` times; `None` beyond [`AMOUNT_MINOR_MAX`].
    #[must_use]
    pub fn times(self, quantity: u32) -> Option<Self> {
        let amount_minor = self.amount_minor.checked_mul(i64::from(quantity))?;
        (amount_minor.abs() <= AMOUNT_MINOR_MAX).then_some(Self {
            amount_minor,
            ..self
        })
    }

    /// The sum; `None` when the currencies differ or the sum is beyond [`AMOUNT_MINOR_MAX`].
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        let amount_minor = self.amount_minor.checked_add(other.amount_minor)?;
        (amount_minor.abs() <= AMOUNT_MINOR_MAX).then_some(Self {
            amount_minor,
            ..self
        })
    }
}
