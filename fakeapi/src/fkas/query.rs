//! The query of a request, read as Go's `url.ParseQuery` reads it: the first value of a name
//! counts, `+` is a space, and a pair that cannot be decoded is passed over.

use percent_encoding::percent_decode_str;

/// Names and values of a query, decoded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the `?`.
    pub(super) fn parse(text: Option<&str>) -> Self {
        let pairs = text.unwrap_or_default().split('&').filter(|pair| {
            // Go refuses ";", which once separated pairs too.
            !pair.is_empty() && !pair.contains(';')
        });
        let decoded = pairs.filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        });
        Self(decoded.collect())
    }

    /// The first value of `name`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(key, _)| key == name)?;
        Some(value)
    }

    /// The first value of `name` unless it is empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }
}

fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let whole = |at: usize| {
        bytes.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    };
    let escapes = (0..bytes.len()).filter(|&at| bytes[at] == b'%');
    if !escapes.into_iter().all(whole) {
        return None;
    }
    let spaced = text.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs() {
        for (query, name, expected) in [
            ("resource=ns/name&a=b", "resource", Some("ns/name")),
            ("resource=ns%2Fname", "resource", Some("ns/name")),
            ("a=1&a=2", "a", Some("1")),
            ("a=x+y%2Bz", "a", Some("x y+z")),
            ("a==", "a", Some("=")),
            ("a", "a", Some("")),
            ("b=%zz&a=1", "b", None),
            ("b=%4", "b", None),
            ("a;b=1", "a;b", None),
            ("", "", None),
        ] {
            assert_eq!(Query::parse(Some(query)).get(name), expected, "{query}");
        }
        assert_eq!(Query::parse(None), Query::default());
    }

    proptest::proptest! {
        #[test]
        fn what_is_escaped_is_read(value: String, noise: String) {
            let escaped = percent_encoding::utf8_percent_encode(&value, percent_encoding::NON_ALPHANUMERIC);
            let query = Query::parse(Some(&format!("a={escaped}&{noise}")));
            proptest::prop_assert_eq!(query.get("a"), Some(value.as_str()));
        }
    }
}
