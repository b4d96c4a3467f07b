//! `%XX` in the parts of a URL.

/// What is wrong with a text that does not decode.
pub(crate) const NOT_DECODED: &str = "a `%` must be followed by two hexadecimal digits of UTF-8";

/// The text without its `%XX`.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || {
            let digit = char::from(rest.next()?).to_digit(16)?;
            u8::try_from(digit).ok()
        };
        let (high, low) = (digit()?, digit()?);
        bytes.push(high * 16 + low);
    }
    String::from_utf8(bytes).ok()
}
