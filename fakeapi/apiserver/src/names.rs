//! What a name, a label and an annotation may be, in the words the real server uses.
//!
//! Clients match on these texts (a 422 carries each as a cause), so every check returns the
//! list of complaints, each without the field it is about: empty means valid. The caller knows
//! the field and the kind.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Longest DNS label (RFC 1123 and RFC 1035), label name part and label value, in bytes.
pub const LABEL_MAX: usize = 63;
/// Longest DNS subdomain (RFC 1123), in bytes.
pub const SUBDOMAIN_MAX: usize = 253;
/// Sum of all annotation keys and values of one object, in bytes.
pub const ANNOTATIONS_MAX: usize = 256 * 1024;
/// Longest name that [`generate_name`] returns for a base it had to cut, in bytes.
pub const GENERATED_MAX: usize = 63;

/// Characters of a generated suffix: no vowels and nothing that looks like one, so no words.
const SUFFIX_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LEN: usize = 5;

const LABEL_RULE: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_1035_RULE: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN_RULE: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const KEY_RULE: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const VALUE_RULE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";

const LABEL_TEXT: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric \
    characters or '-', and must start and end with an alphanumeric character";
const LABEL_1035_TEXT: &str = "a DNS-1035 label must consist of lower case alphanumeric \
    characters or '-', start with an alphabetic character, and end with an alphanumeric character";
const SUBDOMAIN_TEXT: &str = "a lowercase RFC 1123 subdomain must consist of lower case \
    alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
const KEY_TEXT: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start \
    and end with an alphanumeric character";
const VALUE_TEXT: &str = "a valid label must be an empty string or consist of alphanumeric \
    characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const EMPTY_TEXT: &str = "must be non-empty";

/// Complaints about `value` as an RFC 1123 label (names of namespaces, nodes' parts, ...).
pub fn dns1123_label(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    too_long(value, LABEL_MAX, "bytes", &mut faults);
    if !is_dns1123_label(value) {
        faults.push(if is_dns1123_subdomain(value) {
            "must not contain dots".to_owned()
        } else {
            rule(LABEL_TEXT, LABEL_RULE, &["my-name", "123-abc"])
        });
    }
    faults
}

/// Complaints about `value` as an RFC 1123 subdomain (names of most kinds).
pub fn dns1123_subdomain(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    too_long(value, SUBDOMAIN_MAX, "bytes", &mut faults);
    if !is_dns1123_subdomain(value) {
        faults.push(rule(SUBDOMAIN_TEXT, SUBDOMAIN_RULE, &["example.com"]));
    }
    faults
}

/// Complaints about `value` as an RFC 1035 label (names of Services).
pub fn dns1035_label(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    too_long(value, LABEL_MAX, "characters", &mut faults);
    let starts_low = value.starts_with(|c: char| c.is_ascii_lowercase());
    if !starts_low || !is_dns1123_label(value) {
        faults.push(rule(LABEL_1035_TEXT, LABEL_1035_RULE, &["my-name", "abc-123"]));
    }
    faults
}

/// Complaints about `value` as one segment of a URL path (names of RBAC kinds and of custom
/// resources' less strict relatives). Empty names are the caller's to refuse.
pub fn path_segment(value: &str) -> Vec<String> {
    if value == "." || value == ".." {
        return vec![format!("may not be '{value}'")];
    }
    ["/", "%"]
        .into_iter()
        .filter(|illegal| value.contains(illegal))
        .map(|illegal| format!("may not contain '{illegal}'"))
        .collect()
}

/// Complaints about a `generateName` under `rule`. The suffix follows it, so a trailing dash is
/// allowed; like the server, the character before the dash is then not looked at.
pub fn name_prefix(value: &str, rule: fn(&str) -> Vec<String>) -> Vec<String> {
    let masked = value.strip_suffix('-').and_then(|head| {
        let mut chars = head.chars();
        chars.next_back()?;
        Some(format!("{}a", chars.as_str()))
    });
    rule(masked.as_deref().unwrap_or(value))
}

/// Complaints about `value` as a qualified name: a label key, a finalizer, a condition type.
pub fn qualified_name(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let name = match value.split_once('/') {
        None => value,
        Some((_, name)) if name.contains('/') => {
            let text = rule(KEY_TEXT, KEY_RULE, &["MyName", "my.name", "123-abc"]);
            return vec![format!(
                "a valid label key {text} with an optional DNS subdomain prefix and '/' \
                 (e.g. 'example.com/MyName')"
            )];
        }
        Some(("", name)) => {
            faults.push(format!("prefix part {EMPTY_TEXT}"));
            name
        }
        Some((prefix, name)) => {
            faults.extend(dns1123_subdomain(prefix).iter().map(|f| format!("prefix part {f}")));
            name
        }
    };
    if name.is_empty() {
        faults.push(format!("name part {EMPTY_TEXT}"));
    } else if name.len() > LABEL_MAX {
        faults.push(format!("name part must be no more than {LABEL_MAX} bytes"));
    }
    if !is_key_name(name) {
        let text = rule(KEY_TEXT, KEY_RULE, &["MyName", "my.name", "123-abc"]);
        faults.push(format!("name part {text}"));
    }
    faults
}

/// Complaints about `value` as a label's value.
pub fn label_value(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    too_long(value, LABEL_MAX, "bytes", &mut faults);
    if !value.is_empty() && !is_key_name(value) {
        faults.push(rule(VALUE_TEXT, VALUE_RULE, &["MyValue", "my_value", "12345"]));
    }
    faults
}

/// Complaints about `key` as an annotation's key: a qualified name in which case is free.
pub fn annotation_key(key: &str) -> Vec<String> {
    qualified_name(&key.to_lowercase())
}

/// The complaint about the size of all annotations together, if there is one.
pub fn annotations_size<'a>(
    annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Option<String> {
    let total: usize = annotations.into_iter().map(|(key, value)| key.len() + value.len()).sum();
    (total > ANNOTATIONS_MAX).then(|| format!("may not be more than {ANNOTATIONS_MAX} bytes"))
}

/// One refused metadata entry, ready to become a 422 cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The offending key or value; `None` where the server omits it (`Too long`).
    pub value: Option<String>,
    /// What is wrong with it.
    pub detail: String,
}

impl Fault {
    fn of(value: &str, detail: String) -> Self {
        Self { value: Some(value.to_owned()), detail }
    }
}

/// Every fault of a `metadata.labels` map, keys before their values.
pub fn labels<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (key, value) in labels {
        faults.extend(qualified_name(key).into_iter().map(|detail| Fault::of(key, detail)));
        faults.extend(label_value(value).into_iter().map(|detail| Fault::of(value, detail)));
    }
    faults
}

/// Every fault of a `metadata.annotations` map.
pub fn annotations(annotations: &BTreeMap<&str, &str>) -> Vec<Fault> {
    let mut faults: Vec<Fault> = annotations
        .keys()
        .flat_map(|&key| annotation_key(key).into_iter().map(move |detail| (key, detail)))
        .map(|(key, detail)| Fault::of(key, detail))
        .collect();
    let pairs = annotations.iter().map(|(&key, &value)| (key, value));
    faults.extend(annotations_size(pairs).map(|detail| Fault { value: None, detail }));
    faults
}

/// A name from `metadata.generateName`: the base, cut so that the whole is at most
/// [`GENERATED_MAX`] bytes, and five random characters.
pub fn generate_name(base: &str) -> String {
    // The first 32 bits of a version 4 UUID are all random.
    generate_name_from(base, uuid::Uuid::new_v4().as_fields().0)
}

/// [`generate_name`] with the randomness given, for callers that must be repeatable.
pub fn generate_name_from(base: &str, mut bits: u32) -> String {
    let mut name = base[..base.floor_char_boundary(GENERATED_MAX - SUFFIX_LEN)].to_owned();
    for _ in 0..SUFFIX_LEN {
        let index = bits as usize % SUFFIX_ALPHABET.len();
        name.push(char::from(SUFFIX_ALPHABET[index]));
        bits /= 27;
    }
    name
}

/// `text` in double quotes, escaped as the server's `%q` does: the form of `Invalid value: "x"`.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            // Writing to a String cannot fail.
            c if c < ' ' || c == '\x7f' => drop(write!(out, "\\x{:02x}", u32::from(c))),
            c if c.is_control() => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn too_long(value: &str, max: usize, unit: &str, faults: &mut Vec<String>) {
    if value.len() > max {
        faults.push(format!("must be no more than {max} {unit}"));
    }
}

/// The server's sentence for a broken pattern: text, examples, then the pattern itself.
fn rule(text: &str, pattern: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{text} (e.g. {}regex used for validation is '{pattern}')", examples.join(" or "))
}

fn is_dns1123_label(value: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    has_shape(value, plain, |b| plain(b) || b == b'-')
}

fn is_dns1123_subdomain(value: &str) -> bool {
    value.split('.').all(is_dns1123_label)
}

fn is_key_name(value: &str) -> bool {
    has_shape(
        value,
        |b| b.is_ascii_alphanumeric(),
        |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'),
    )
}

/// Not empty, first and last byte are `edge`, all bytes are `inner`.
fn has_shape(value: &str, edge: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    match value.as_bytes() {
        [] => false,
        [only] => edge(*only),
        [first, middle @ .., last] => {
            edge(*first) && edge(*last) && middle.iter().all(|&b| inner(b))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_subdomains() {
        for good in ["a", "1", "a-b", "0a9", &"a".repeat(63)] {
            assert_eq!(dns1123_label(good), Vec::<String>::new(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a b", "é"] {
            assert_eq!(dns1123_label(bad).len(), 1, "{bad}");
            assert_eq!(dns1123_subdomain(bad).len(), 1, "{bad}");
        }
        assert_eq!(dns1123_label("a.b"), ["must not contain dots"]);
        assert_eq!(dns1123_label(&"a".repeat(64)), ["must be no more than 63 bytes"]);
        assert!(dns1123_subdomain("a.b-c.9").is_empty());
        for bad in ["a..b", ".a", "a.", "a.-b"] {
            assert_eq!(dns1123_subdomain(bad).len(), 1, "{bad}");
        }
        assert_eq!(dns1123_subdomain(&"a".repeat(254)), ["must be no more than 253 bytes"]);
    }

    #[test]
    fn the_texts_are_the_servers() {
        assert_eq!(
            dns1123_subdomain("Abc"),
            ["a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
              '-' or '.', and must start and end with an alphanumeric character (e.g. \
              'example.com', regex used for validation is \
              '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"]
        );
        assert_eq!(
            dns1123_label("Abc"),
            ["a lowercase RFC 1123 label must consist of lower case alphanumeric characters or \
              '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
              '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"]
        );
        assert_eq!(dns1035_label("1a").len(), 1);
        assert!(dns1035_label("a1").is_empty());
        assert_eq!(dns1035_label(&"a".repeat(64)), ["must be no more than 63 characters"]);
    }

    #[test]
    fn path_segments() {
        assert!(path_segment("system:node").is_empty());
        assert_eq!(path_segment(".."), ["may not be '..'"]);
        assert_eq!(path_segment("a/b%"), ["may not contain '/'", "may not contain '%'"]);
    }

    #[test]
    fn qualified_names() {
        for good in ["simple", "now-with-dashes", "1-num.2-num", "a/b", "example.com/A_b.c"] {
            assert!(qualified_name(good).is_empty(), "{good}");
        }
        for bad in ["nospecialchars%^=@", "cantendwithadash-", "only/one/slash", "Prefix/a"] {
            assert_eq!(qualified_name(bad).len(), 1, "{bad}");
        }
        assert_eq!(qualified_name("/a"), ["prefix part must be non-empty"]);
        assert_eq!(qualified_name("a/").len(), 2);
        let long = "a".repeat(64);
        assert_eq!(qualified_name(&long), ["name part must be no more than 63 bytes"]);
    }

    #[test]
    fn metadata_maps() {
        assert!(labels([("a", ""), ("b", "x.Y")]).is_empty());
        let faults = labels([("a b", "c d")]);
        assert_eq!(faults.len(), 2);
        assert_eq!(faults[1].value.as_deref(), Some("c d"));
        assert!(annotations(&BTreeMap::from([("Example.COM/a", "any\ntext")])).is_empty());
        let big = "x".repeat(ANNOTATIONS_MAX);
        let faults = annotations(&BTreeMap::from([("a", big.as_str())]));
        let detail = "may not be more than 262144 bytes".to_owned();
        assert_eq!(faults, [Fault { value: None, detail }]);
    }

    #[test]
    fn generated_names() {
        assert_eq!(generate_name_from("web-", 0), "web-bbbbb");
        let name = generate_name(&"a".repeat(80));
        assert_eq!(name.len(), GENERATED_MAX);
        assert!(name.bytes().skip(58).all(|b| SUFFIX_ALPHABET.contains(&b)));
        assert_ne!(generate_name("x"), generate_name("x"));
        assert_eq!(generate_name_from(&"é".repeat(40), 0).len(), 63);
        assert!(name_prefix("web-", dns1123_label).is_empty());
        assert_eq!(name_prefix("-", dns1123_label).len(), 1);
    }

    #[test]
    fn quoting() {
        assert_eq!(quote("a\"b\\\n\x01é"), "\"a\\\"b\\\\\\n\\x01é\"");
    }
}
