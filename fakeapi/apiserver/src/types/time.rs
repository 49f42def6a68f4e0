//! Points in time as Kubernetes writes them: RFC 3339 in JSON, seconds and nanoseconds on the wire.

use jiff::Timestamp;

/// Go's zero time, 0001-01-01T00:00:00Z, which stands for "no time".
const ZERO_SECONDS: i64 = -62_135_596_800;

const NANOS_A_MICRO: i32 = 1_000;

/// A point in time that is not Go's zero time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant(Timestamp);

/// The text is no RFC 3339 time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotATime;

impl Instant {
    /// Reads RFC 3339 text; Go's zero time is `None`.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, NotATime> {
        // The parser below takes more than RFC 3339: spaces for T, missing parts, annotations.
        let bytes = text.as_bytes();
        let shape = |position: usize, expected: u8| bytes.get(position) == Some(&expected);
        let separators = shape(4, b'-')
            && shape(7, b'-')
            && shape(10, b'T')
            && shape(13, b':')
            && shape(16, b':');
        let digits = bytes.len() >= 20
            && bytes[..19].iter().enumerate().all(|(position, byte)| {
                matches!(position, 4 | 7 | 10 | 13 | 16) || byte.is_ascii_digit()
            });
        let zone = text.get(19..).is_some_and(is_fraction_and_zone);
        if !separators || !digits || !zone {
            return Err(NotATime);
        }
        let time: Timestamp = text.parse().map_err(|_| NotATime)?;
        Ok(Self::not_zero(time))
    }

    /// From seconds and nanoseconds since 1970; Go's zero time is `None`.
    pub(crate) fn from_unix(seconds: i64, nanos: i32) -> Result<Option<Self>, NotATime> {
        Timestamp::new(seconds, nanos).map(Self::not_zero).map_err(|_| NotATime)
    }

    fn not_zero(time: Timestamp) -> Option<Self> {
        (time.as_second() != ZERO_SECONDS || time.subsec_nanosecond() != 0).then_some(Self(time))
    }

    /// Whole seconds since 1970, rounded down.
    pub(crate) fn seconds(self) -> i64 {
        let seconds = self.0.as_second();
        if self.0.subsec_nanosecond() < 0 { seconds - 1 } else { seconds }
    }

    /// What is left in the second, in nanoseconds, to the microsecond.
    pub(crate) fn micro_nanos(self) -> i32 {
        let nanos = self.0.subsec_nanosecond().rem_euclid(1_000_000_000);
        nanos - nanos % NANOS_A_MICRO
    }

    /// As `metav1.Time` writes it: `2006-01-02T15:04:05Z`.
    pub(crate) fn to_text(self) -> String {
        let whole = Timestamp::new(self.seconds(), 0).unwrap_or(self.0);
        whole.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// As `metav1.MicroTime` writes it: `2006-01-02T15:04:05.000000Z`.
    pub(crate) fn to_micro_text(self) -> String {
        let whole = Timestamp::new(self.seconds(), 0).unwrap_or(self.0);
        let micros = self.micro_nanos() / NANOS_A_MICRO;
        format!("{}.{micros:06}Z", whole.strftime("%Y-%m-%dT%H:%M:%S"))
    }
}

/// The two layouts Kubernetes reads times by.
#[derive(Clone, Copy)]
pub(super) enum Layout {
    /// RFC 3339, with or without a fraction.
    Seconds,
    /// RFC 3339 with exactly six digits of fraction.
    Micros,
}

/// Whether a time has the six digits of fraction `MicroTime` asks for.
pub(super) fn has_micros(text: &str) -> bool {
    text.as_bytes().get(19..).is_some_and(|rest| match rest {
        [b'.', digits @ .., _] if digits.len() >= 6 => {
            digits[..6].iter().all(u8::is_ascii_digit)
                && !rest.get(7).is_some_and(u8::is_ascii_digit)
        }
        _ => false,
    })
}

/// The parts of Go's layout before fraction and zone.
const LAYOUT: [&str; 11] = ["2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05"];

/// Why Go would refuse a text, in its words.
pub(super) fn explain(text: &str, layout: Layout) -> String {
    let (fraction, zone) = match layout {
        Layout::Seconds => ("", "Z07:00"),
        Layout::Micros => (".000000", ".000000"),
    };
    let told = format!("parsing time {text:?} as \"2006-01-02T15:04:05{fraction}Z07:00\"");
    let mut rest = text;
    for piece in LAYOUT {
        let fits = match rest.get(..piece.len()) {
            Some(part) if piece.len() == 1 => part == piece,
            Some(part) => part.bytes().all(|byte| byte.is_ascii_digit()),
            None => false,
        };
        if !fits {
            return format!("{told}: cannot parse {rest:?} as {piece:?}");
        }
        rest = &rest[piece.len()..];
    }
    let complete = is_fraction_and_zone(rest) && (fraction.is_empty() || has_micros(text));
    if complete {
        format!("parsing time {text:?}: out of range")
    } else {
        format!("{told}: cannot parse {rest:?} as {zone:?}")
    }
}

/// `Z`, `+02:00`, `.123-03:30`.
fn is_fraction_and_zone(text: &str) -> bool {
    let rest = match text.strip_prefix('.') {
        None => text,
        Some(fraction) => {
            let rest = fraction.trim_start_matches(|letter: char| letter.is_ascii_digit());
            if rest.len() == fraction.len() {
                return false;
            }
            rest
        }
    };
    match rest.as_bytes() {
        b"Z" => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_like_go() {
        for (text, seconds, micro) in [
            ("2008-01-01T01:01:01Z", "2008-01-01T01:01:01Z", "2008-01-01T01:01:01.000000Z"),
            (
                "2008-01-01T01:01:01.123456789Z",
                "2008-01-01T01:01:01Z",
                "2008-01-01T01:01:01.123456Z",
            ),
            ("2008-01-01T01:01:01+02:00", "2007-12-31T23:01:01Z", "2007-12-31T23:01:01.000000Z"),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.500000Z"),
        ] {
            let time = Instant::parse(text).expect(text).expect("not zero");
            assert_eq!((time.to_text().as_str(), time.to_micro_text().as_str()), (seconds, micro));
        }
        assert_eq!(Instant::parse("0001-01-01T00:00:00Z"), Ok(None));
    }

    #[test]
    fn tells_why_like_go() {
        let told = |text: &str, layout: &str, rest: &str, piece: &str| {
            format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {piece:?}")
        };
        let (seconds, micros) = ("2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05.000000Z07:00");
        let text = "2020-01-01";
        assert_eq!(explain(text, Layout::Seconds), told(text, seconds, "", "T"));
        let text = "2020-01-01T00:00:00";
        assert_eq!(explain(text, Layout::Seconds), told(text, seconds, "", "Z07:00"));
        let text = "2020-01-01T00:00:00Z";
        assert_eq!(explain(text, Layout::Micros), told(text, micros, "Z", ".000000"));
        assert!(!has_micros(text) && has_micros("2020-01-01T00:00:00.000001Z"));
        assert!(!has_micros("2020-01-01T00:00:00.0000001Z"));
        assert!(explain("2020-13-01T00:00:00Z", Layout::Seconds).ends_with("out of range"));
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in [
            "",
            "now",
            "2008-01-01",
            "2008-01-01 01:01:01Z",
            "2008-01-01T01:01:01",
            "2008-13-01T01:01:01Z",
            "2008-01-01T01:01:01.Z",
            "2008-01-01T01:01:01Z[UTC]",
        ] {
            assert_eq!(Instant::parse(text), Err(NotATime), "{text}");
        }
        assert_eq!(Instant::from_unix(i64::MAX, 0), Err(NotATime));
    }
}
