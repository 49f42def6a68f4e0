//! The little DER that a certificate needs written.
//!
//! Leaves are written by hand because an issuer's name must go into them byte for byte: clients
//! compare names as bytes, and names come in more forms (several attributes in one RDN, old
//! string types) than the structured form of any library keeps.

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_ID: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// A context tag: `[number]`, holding other elements or bytes.
pub(super) const fn context(number: u8, constructed: bool) -> u8 {
    0x80 | number | if constructed { 0x20 } else { 0 }
}

/// One element around the concatenation of `parts`.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    if length < 0x80 {
        out.push(length.to_le_bytes()[0]);
    } else {
        let bytes = length.to_be_bytes();
        let digits = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
        out.push(0x80 | digits.len().to_le_bytes()[0]);
        out.extend_from_slice(digits);
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// A bit string whose last `unused` bits do not count.
pub(super) fn bits(unused: u8, bytes: &[u8]) -> Vec<u8> {
    element(BIT_STRING, &[&[unused], bytes])
}

/// A point in time as RFC 5280 4.1.2.5 wants it: two digits of the year from 1950 to 2049.
///
/// # Errors
/// When the year has more than four digits or is negative.
pub(super) fn time(at: Timestamp) -> Result<Vec<u8>, jiff::Error> {
    let utc = at.to_zoned(TimeZone::UTC);
    let (tag, form) = if (1950..2050).contains(&utc.year()) {
        (UTC_TIME, "%y%m%d%H%M%SZ")
    } else {
        (GENERALIZED_TIME, "%Y%m%d%H%M%SZ")
    };
    let text = jiff::fmt::strtime::format(form, &utc)?;
    Ok(element(tag, &[text.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_short_form_up_to_127() {
        assert_eq!(element(4, &[b"ab", b"c"]), [4, 3, b'a', b'b', b'c']);
        for (length, head) in [
            (127, vec![4, 127]),
            (128, vec![4, 0x81, 128]),
            (256, vec![4, 0x82, 1, 0]),
            (70_000, vec![4, 0x83, 1, 0x11, 0x70]),
        ] {
            let out = element(4, &[&vec![0; length]]);
            assert_eq!(out[..head.len()], head);
            assert_eq!(out.len(), head.len() + length);
        }
    }

    #[test]
    fn the_year_2050_changes_the_form_of_time() {
        for (at, tag, text) in [
            ("2049-12-31T23:59:59Z", UTC_TIME, "491231235959Z"),
            ("2050-01-01T00:00:00Z", GENERALIZED_TIME, "20500101000000Z"),
            ("1949-01-01T00:00:00Z", GENERALIZED_TIME, "19490101000000Z"),
        ] {
            let out = time(at.parse().unwrap()).unwrap();
            assert_eq!(out, element(tag, &[text.as_bytes()]), "{at}");
        }
    }
}
