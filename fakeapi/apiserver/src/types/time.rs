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
