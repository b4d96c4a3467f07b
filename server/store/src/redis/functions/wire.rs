//! Values as bytes, big endian, as `struct.unpack` reads them in `functions/wire.lua`: ids are 16
//! bytes, units four, times and versions doubles (exact below 2^53), texts carry their length.

use redis::Value;
use vetrina_core::reservation::ReservationRow;
use vetrina_protocol::id::{ListingId, OrderId, ReservationId, UserId};
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::time::{MediaTime, UnixMs};
use vetrina_protocol::view::{ReservationState, Stock};

use super::CallError;

/// Integers up to here are exact in Lua.
const EXACT_MAX: u64 = (1 << 53) - 1;
const HAS_ORDER: u8 = 1;
const HAS_FENCE: u8 = 2;
const SEATED: u8 = 4;
const CLOSED: u8 = 8;

/// Bytes of one value; the first error sticks.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    error: Option<CallError>,
}

impl Writer {
    pub(super) fn tagged(tag: u8) -> Self {
        Self {
            bytes: vec![tag],
            error: None,
        }
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, CallError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.bytes),
        }
    }

    pub(super) fn byte(&mut self, byte: u8) -> &mut Self {
        self.bytes.push(byte);
        self
    }

    pub(super) fn id(&mut self, id: u128) -> &mut Self {
        self.raw(&id.to_be_bytes())
    }

    pub(super) fn units(&mut self, units: u32) -> &mut Self {
        self.raw(&units.to_be_bytes())
    }

    pub(super) fn count(&mut self, count: usize, what: &'static str) -> &mut Self {
        match u32::try_from(count) {
            Ok(count) => self.units(count),
            Err(_) => self.fail(what),
        }
    }

    /// A version or an offset.
    pub(super) fn number(&mut self, number: u64, what: &'static str) -> &mut Self {
        if number > EXACT_MAX {
            return self.fail(what);
        }
        #[expect(clippy::cast_precision_loss, reason = "below 2^53 nothing is lost")]
        self.raw(&(number as f64).to_be_bytes())
    }

    pub(super) fn ms(&mut self, ms: i64) -> &mut Self {
        if ms.unsigned_abs() > EXACT_MAX {
            return self.fail("a time");
        }
        #[expect(clippy::cast_precision_loss, reason = "below 2^53 nothing is lost")]
        self.raw(&(ms as f64).to_be_bytes())
    }

    pub(super) fn money(&mut self, money: Money) -> &mut Self {
        self.raw(&money.amount_minor.to_be_bytes())
            .raw(money.currency.as_str().as_bytes())
    }

    pub(super) fn media_time(&mut self, media_time: Option<MediaTime>) -> &mut Self {
        self.byte(u8::from(media_time.is_some()))
            .raw(&media_time.map_or(0, |it| it.0).to_be_bytes())
    }

    /// A name: two bytes of length.
    pub(super) fn name(&mut self, name: &str) -> &mut Self {
        match u16::try_from(name.len()) {
            Ok(len) => self.raw(&len.to_be_bytes()).raw(name.as_bytes()),
            Err(_) => self.fail("a name"),
        }
    }

    /// Bytes with four bytes of length.
    pub(super) fn blob(&mut self, blob: &[u8]) -> &mut Self {
        self.count(blob.len(), "an event").raw(blob)
    }

    pub(super) fn stock(&mut self, stock: Stock) -> &mut Self {
        let Stock {
            total,
            reserved,
            claimed,
            paid,
            available,
            waiting,
        } = stock;
        for units in [total, reserved, claimed, paid, available, waiting] {
            self.units(units);
        }
        self
    }

    /// A row as `functions/rows.lua` keeps it.
    pub(super) fn row(&mut self, row: &ReservationRow) -> &mut Self {
        let mut flags = 0;
        for (flag, is_set) in [
            (HAS_ORDER, row.order.is_some()),
            (HAS_FENCE, row.fence_at.is_some()),
            (SEATED, row.seated),
            (CLOSED, row.closed_at.is_some()),
        ] {
            if is_set {
                flags |= flag;
            }
        }
        self.byte(state_byte(row.state))
            .byte(flags)
            .units(row.extensions_used)
            .ms(row.expires_at.0)
            .ms(row.fence_at.map_or(0, |at| at.0))
            .ms(row.closed_at.map_or(0, |at| at.0))
            .id(row.order.map_or(0, |order| order.0))
            .byte(u8::from(row.from_waitlist))
            .money(row.unit_price)
            .id(row.id.0)
            .id(row.listing.0)
            .id(row.buyer.0)
            .units(row.quantity)
            .media_time(row.media_time)
            .name(&row.buyer_name)
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn fail(&mut self, what: &'static str) -> &mut Self {
        self.error.get_or_insert(CallError::TooBig(what));
        self
    }
}

/// Reads what [`Writer`] or Lua wrote.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn byte(&mut self) -> Result<u8, CallError> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn id(&mut self) -> Result<u128, CallError> {
        Ok(u128::from_be_bytes(self.array()?))
    }

    pub(super) fn units(&mut self) -> Result<u32, CallError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn count(&mut self) -> Result<usize, CallError> {
        usize::try_from(self.units()?).map_err(|_| CallError::Malformed("a count"))
    }

    pub(super) fn ms(&mut self) -> Result<UnixMs, CallError> {
        let ms = f64::from_be_bytes(self.array()?);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "checked to be a whole number"
        )]
        let whole = ms as i64;
        #[expect(
            clippy::cast_precision_loss,
            reason = "compared with what it was made of"
        )]
        let exact = whole as f64 == ms && whole.unsigned_abs() <= EXACT_MAX;
        if exact {
            Ok(UnixMs(whole))
        } else {
            Err(CallError::Malformed("a number that is not whole"))
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, CallError> {
        u64::try_from(self.ms()?.0).map_err(|_| CallError::Malformed("a number below zero"))
    }

    pub(super) fn money(&mut self) -> Result<Money, CallError> {
        let amount_minor = i64::from_be_bytes(self.array()?);
        let letters: [u8; 3] = self.array()?;
        let currency: Option<Currency> = std::str::from_utf8(&letters)
            .ok()
            .and_then(|letters| letters.parse().ok());
        let currency = currency.ok_or(CallError::Malformed("a currency"))?;
        Ok(Money::new(amount_minor, currency))
    }

    pub(super) fn name(&mut self) -> Result<String, CallError> {
        let len = usize::from(u16::from_be_bytes(self.array()?));
        let bytes = self.take(len)?.to_vec();
        String::from_utf8(bytes).map_err(|_| CallError::Malformed("a name"))
    }

    pub(super) fn blob(&mut self) -> Result<&'a [u8], CallError> {
        let len = self.count()?;
        self.take(len)
    }

    pub(super) fn stock(&mut self) -> Result<Stock, CallError> {
        Ok(Stock {
            total: self.units()?,
            reserved: self.units()?,
            claimed: self.units()?,
            paid: self.units()?,
            available: self.units()?,
            waiting: self.units()?,
        })
    }

    pub(super) fn row(&mut self) -> Result<ReservationRow, CallError> {
        let state = state_of(self.byte()?)?;
        let flags = self.byte()?;
        let extensions_used = self.units()?;
        let (expires_at, fence_at, closed_at) = (self.ms()?, self.ms()?, self.ms()?);
        let order = OrderId(self.id()?);
        let has = |flag: u8| flags & flag != 0;
        Ok(ReservationRow {
            state,
            extensions_used,
            expires_at,
            fence_at: has(HAS_FENCE).then_some(fence_at),
            closed_at: has(CLOSED).then_some(closed_at),
            order: has(HAS_ORDER).then_some(order),
            seated: has(SEATED),
            from_waitlist: self.byte()? != 0,
            unit_price: self.money()?,
            id: ReservationId(self.id()?),
            listing: ListingId(self.id()?),
            buyer: UserId(self.id()?),
            quantity: self.units()?,
            media_time: self.media_time()?,
            buyer_name: self.name()?,
        })
    }

    /// All rows up to the end.
    pub(super) fn rows(&mut self) -> Result<Vec<ReservationRow>, CallError> {
        let mut rows = Vec::new();
        while !self.is_empty() {
            rows.push(self.row()?);
        }
        Ok(rows)
    }

    fn media_time(&mut self) -> Result<Option<MediaTime>, CallError> {
        let is_some = self.byte()? != 0;
        let ticks = u64::from_be_bytes(self.array()?);
        Ok(is_some.then_some(MediaTime(ticks)))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CallError> {
        let taken = self.take(N)?;
        taken
            .try_into()
            .map_err(|_| CallError::Malformed("too short"))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], CallError> {
        let split = self.bytes.split_at_checked(len);
        let (taken, rest) = split.ok_or(CallError::Malformed("too short"))?;
        self.bytes = rest;
        Ok(taken)
    }
}

fn state_byte(state: ReservationState) -> u8 {
    match state {
        ReservationState::Reserved => b'R',
        ReservationState::CheckingOut => b'O',
        ReservationState::Claimed => b'C',
        ReservationState::Released => b'L',
        ReservationState::Expired => b'X',
    }
}

fn state_of(byte: u8) -> Result<ReservationState, CallError> {
    match byte {
        b'R' => Ok(ReservationState::Reserved),
        b'O' => Ok(ReservationState::CheckingOut),
        b'C' => Ok(ReservationState::Claimed),
        b'L' => Ok(ReservationState::Released),
        b'X' => Ok(ReservationState::Expired),
        _ => Err(CallError::Malformed("a state")),
    }
}

/// The parts of an answer.
pub(super) fn array(value: Value) -> Result<Vec<Value>, CallError> {
    match value {
        Value::Array(values) => Ok(values),
        Value::ServerError(error) => Err(CallError::Failed(error.to_string())),
        _ => Err(CallError::Malformed("not an array")),
    }
}

/// Bytes of a part.
pub(super) fn bytes(value: &Value) -> Result<&[u8], CallError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.as_bytes()),
        _ => Err(CallError::Malformed("not a string")),
    }
}

/// A part that is a text.
pub(super) fn text(value: &Value) -> Result<String, CallError> {
    let bytes = bytes(value)?.to_vec();
    String::from_utf8(bytes).map_err(|_| CallError::Malformed("not UTF-8"))
}

/// A part that is a count.
pub(super) fn int(value: &Value) -> Result<i64, CallError> {
    match value {
        Value::Int(int) => Ok(*int),
        _ => Err(CallError::Malformed("not an integer")),
    }
}
