//! JSON as Go's `encoding/json` reads and writes it, because FKAS's callers were written against
//! that: keys match whatever their case, unknown keys are passed over, `null` leaves a field
//! alone, only the first value of a body is read, and `<`, `>` and `&` are escaped on output.
//!
//! One difference: Go turns half a surrogate pair (`"\ud800"`) into U+FFFD, here it is refused.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The bytes are not JSON, or not of the type wanted. FKAS says no more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid JSON")]
pub(super) struct InvalidJson;

/// What a request body holds.
#[derive(Debug)]
pub(super) enum Body {
    /// One object; `null` is an empty one.
    One(Object),
    /// An array: each item on its own, so that a bad one does not spoil the others.
    Many(Vec<Result<Object, InvalidJson>>),
}

impl Body {
    /// Reads the first JSON value of `bytes`; what follows it is not looked at.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, InvalidJson> {
        // Go reads bad UTF-8 in a string as U+FFFD; outside strings that is no JSON either way.
        let text = String::from_utf8_lossy(bytes);
        let value = first_value(&text)?;
        if value.get().starts_with('[') {
            let items: Vec<&RawValue> = parse(value)?;
            return Ok(Self::Many(items.into_iter().map(Object::decode).collect()));
        }
        Object::decode(value).map(Self::One)
    }

    /// The one object; an array is refused where only one makes sense.
    pub(super) fn one(self) -> Result<Object, InvalidJson> {
        match self {
            Self::One(object) => Ok(object),
            Self::Many(_) => Err(InvalidJson),
        }
    }
}

/// Reads the first JSON value of `bytes` as `T`, by serde's own rules for keys.
pub(super) fn decode_as<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    T::deserialize(&mut serde_json::Deserializer::from_slice(bytes))
}

fn first_value(text: &str) -> Result<&RawValue, InvalidJson> {
    let mut reader = serde_json::Deserializer::from_str(text);
    <&RawValue>::deserialize(&mut reader).map_err(|_| InvalidJson)
}

fn parse<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Result<T, InvalidJson> {
    serde_json::from_str(value.get()).map_err(|_| InvalidJson)
}

/// An object's members in the order they came, values not yet looked into.
#[derive(Debug, Default)]
pub(super) struct Object(Vec<(String, Box<RawValue>)>);

impl Object {
    fn decode(value: &RawValue) -> Result<Self, InvalidJson> {
        Ok(parse::<Option<Self>>(value)?.unwrap_or_default())
    }

    /// The text of `field`, empty when there is none. Of several members the last one that is not
    /// `null` counts.
    pub(super) fn string(&self, field: &str) -> Result<String, InvalidJson> {
        let mut found = String::new();
        for value in self.members(field) {
            if let Some(text) = parse::<Option<String>>(value)? {
                found = text;
            }
        }
        Ok(found)
    }

    /// The text of `field`, if there is any.
    pub(super) fn text(&self, field: &str) -> Result<Option<String>, InvalidJson> {
        Ok(Some(self.string(field)?).filter(|text| !text.is_empty()))
    }

    /// The map of texts in `field`, if there is one.
    pub(super) fn strings_if_any(
        &self,
        field: &str,
    ) -> Result<Option<BTreeMap<String, String>>, InvalidJson> {
        let there = self.members(field).any(|value| value.get() != "null");
        there.then(|| self.strings(field)).transpose()
    }

    /// The map of texts in `field`. Several members add up; `null` starts over.
    pub(super) fn strings(&self, field: &str) -> Result<BTreeMap<String, String>, InvalidJson> {
        let mut found = BTreeMap::new();
        for value in self.members(field) {
            match parse::<Option<BTreeMap<String, Option<String>>>>(value)? {
                Some(map) => {
                    found
                        .extend(map.into_iter().map(|(key, text)| (key, text.unwrap_or_default())));
                }
                None => found.clear(),
            }
        }
        Ok(found)
    }

    fn members<'a>(&'a self, field: &'a str) -> impl Iterator<Item = &'a RawValue> {
        self.0.iter().filter(move |(key, _)| same_key(key, field)).map(|(_, value)| &**value)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// Whether Go takes `key` for the field `field`, which is ASCII. By Unicode's simple folding two
/// letters outside ASCII are the same as ones inside.
fn same_key(key: &str, field: &str) -> bool {
    let fold = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(field.chars().map(|letter| letter.to_ascii_lowercase()))
}

/// `value` as Go's `json.Marshal` writes it.
pub(super) fn encode(value: &impl Serialize) -> String {
    let plain = serde_json::to_string(value)
        .expect("answers are structures of texts and numbers, which always encode");
    // These stand only inside strings, so replacing them leaves the structure as it is.
    let escapes = [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ];
    let mut text = Cow::from(plain);
    for (letter, escape) in escapes {
        if text.contains(letter) {
            text = text.replace(letter, escape).into();
        }
    }
    text.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn object(text: &str) -> Object {
        Body::decode(text.as_bytes()).unwrap().one().unwrap()
    }

    #[test]
    fn strings_by_gos_rules() {
        for (json, expected) in [
            (r#"{"cluster":"a"}"#, Ok("a")),
            (r#"{"CLUSTER":"a"}"#, Ok("a")),
            ("{\"clu\u{17f}ter\":\"a\"}", Ok("a")),
            (r#"{"Cluster":"a","cluster":"b"}"#, Ok("b")),
            (r#"{"cluster":"a","cluster":null}"#, Ok("a")),
            (r#"{"cluster":null}"#, Ok("")),
            (r#"{"other":{"deep":[1,{}]}}"#, Ok("")),
            ("null", Ok("")),
            (" \n{\"cluster\":\"a\"} trailing }{", Ok("a")),
            (r#"{"cluster":"\u00e9\/"}"#, Ok("é/")),
            (r#"{"cluster":5}"#, Err(InvalidJson)),
            (r#"{"cluster":["a"]}"#, Err(InvalidJson)),
        ] {
            let found = object(json).string("cluster");
            assert_eq!(found, expected.map(str::to_owned), "{json}");
        }
    }

    #[test]
    fn what_is_not_json() {
        for text in
            ["", "  ", "{", "[", "x", "5", "\"a\"", "true", "{\"a\":}", "{'a':1}", "{\"a\":1,}"]
        {
            assert!(Body::decode(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn bad_utf8_in_a_string_is_replaced() {
        let body = Body::decode(b"{\"cluster\":\"a\xff\"}").unwrap().one().unwrap();
        assert_eq!(body.string("cluster"), Ok("a\u{fffd}".to_owned()));
    }

    #[test]
    fn maps_add_up_and_null_starts_over() {
        let labels = |json: &str| {
            object(json).strings("labels").map(|map| {
                map.into_iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect::<Vec<_>>()
                    .join(",")
            })
        };
        assert_eq!(
            labels(r#"{"labels":{"a":"1"},"Labels":{"b":"2","a":"3"}}"#),
            Ok("a=3,b=2".into())
        );
        assert_eq!(labels(r#"{"labels":{"a":null}}"#), Ok("a=".into()));
        assert_eq!(labels(r#"{"labels":{"a":"1"},"labels":null}"#), Ok(String::new()));
        assert_eq!(labels("{}"), Ok(String::new()));
        assert_eq!(labels(r#"{"labels":"a=1"}"#), Err(InvalidJson));
        assert_eq!(labels(r#"{"labels":{"a":1}}"#), Err(InvalidJson));
    }

    #[test]
    fn a_bad_item_does_not_spoil_the_array() {
        let Body::Many(items) = Body::decode(br#"[{"cluster":"a"},5,null]"#).unwrap() else {
            panic!("an array is many");
        };
        assert_eq!(items.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    }

    #[test]
    fn output_is_escaped_like_gos() {
        assert_eq!(encode(&"<a&b>\u{2028}\u{7f}\n"), "\"\\u003ca\\u0026b\\u003e\\u2028\u{7f}\\n\"");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_an_error(bytes: Vec<u8>) {
            if let Ok(Body::One(object)) = Body::decode(&bytes) {
                let _ = (object.string("cluster"), object.strings("labels"));
            }
        }

        #[test]
        fn what_is_encoded_is_decoded(cluster: String, labels: BTreeMap<String, String>) {
            let text = encode(&serde_json::json!({ "cluster": cluster, "labels": labels }));
            let object = object(&text);
            proptest::prop_assert_eq!(object.string("cluster"), Ok(cluster));
            proptest::prop_assert_eq!(object.strings("labels"), Ok(labels));
        }
    }
}
