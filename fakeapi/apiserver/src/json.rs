//! JSON decoding that notices what lenient decoders pass over.
//!
//! `fieldValidation=Strict|Warn` has the server report members that occur twice, by path. A
//! stock decoder keeps the last one silently, so this one reads the bytes itself.

use std::collections::HashSet;
use std::fmt::{self, Write as _};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Deepest nesting of a document. The decoder refuses more; the objects of Kubernetes stay far
/// below.
pub const MAX_DEPTH: usize = 128;
/// Most duplicates reported of one document; the real server's bound.
pub const MAX_DUPLICATES: usize = 100;

/// Bytes that are no JSON document.
#[derive(Debug, thiserror::Error)]
#[error("invalid JSON")]
pub struct JsonError(#[from] serde_json::Error);

impl JsonError {
    /// What is wrong, and where, for the client.
    pub fn detail(&self) -> String {
        self.0.to_string()
    }
}

/// Decodes `bytes`; beside the value come the complaints about members that occur twice, as
/// `duplicate field "spec.containers[0].name"`. The last of them wins.
///
/// Integers beyond 64 bits become floating point numbers, as in the server.
///
/// # Errors
/// When the bytes are no single JSON document, or nest deeper than [`MAX_DEPTH`].
pub fn strict(bytes: &[u8]) -> Result<(Value, Vec<String>), JsonError> {
    let mut decoder = serde_json::Deserializer::from_slice(bytes);
    let mut found = Found::default();
    let value = Node { found: &mut found, depth: 0 }.deserialize(&mut decoder)?;
    decoder.end()?;
    Ok((value, found.complaints))
}

#[derive(Default)]
struct Found {
    /// Path of the node being read.
    path: String,
    complaints: Vec<String>,
    seen: HashSet<String>,
}

impl Found {
    fn duplicate(&mut self) {
        if self.complaints.len() < MAX_DUPLICATES && self.seen.insert(self.path.clone()) {
            self.complaints.push(format!("duplicate field \"{}\"", self.path));
        }
    }
}

struct Node<'a> {
    found: &'a mut Found,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, decoder: D) -> Result<Value, D::Error> {
        decoder.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(unsigned(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let Self { found, depth } = self;
        check_depth(depth)?;
        let mut list = Vec::new();
        let parent = found.path.len();
        loop {
            // Writing to a String cannot fail.
            let _ = write!(found.path, "[{}]", list.len());
            let item = items.next_element_seed(Node { found, depth: depth + 1 })?;
            found.path.truncate(parent);
            match item {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let Self { found, depth } = self;
        check_depth(depth)?;
        let mut map = Map::new();
        let parent = found.path.len();
        while let Some(key) = members.next_key::<String>()? {
            if parent > 0 {
                found.path.push('.');
            }
            found.path.push_str(&key);
            if map.contains_key(&key) {
                found.duplicate();
            }
            let value = members.next_value_seed(Node { found, depth: depth + 1 })?;
            found.path.truncate(parent);
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

fn check_depth<E: serde::de::Error>(depth: usize) -> Result<(), E> {
    if depth < MAX_DEPTH { Ok(()) } else { Err(E::custom("exceeded max depth")) }
}

/// The server's integers are signed; what is larger becomes a floating point number.
pub(crate) fn unsigned(value: u64) -> Value {
    match i64::try_from(value) {
        Ok(value) => Value::from(value),
        #[expect(clippy::cast_precision_loss, reason = "the server loses it too")]
        Err(_) => Number::from_f64(value as f64).map_or(Value::Null, Value::Number),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn duplicates_are_named_by_path_once() {
        for (text, duplicates, value) in [
            (r#"{"a":1,"b":[{}]}"#, &[] as &[&str], json!({"a": 1, "b": [{}]})),
            (r#"{"a":1,"a":2,"a":3}"#, &["duplicate field \"a\""], json!({"a": 3})),
            (
                r#"{"spec":{"x":1,"x":{"y":1,"y":2}}}"#,
                &["duplicate field \"spec.x\"", "duplicate field \"spec.x.y\""],
                json!({"spec": {"x": {"y": 2}}}),
            ),
            (
                r#"{"c":[{"n":1},{"n":1,"n":2},[{"m":0,"m":1}]]}"#,
                &["duplicate field \"c[1].n\"", "duplicate field \"c[2][0].m\""],
                json!({"c": [{"n": 1}, {"n": 2}, [{"m": 1}]]}),
            ),
            ("18446744073709551615", &[], json!(18_446_744_073_709_552_000.0)),
            ("[1.5,-3,\"x\",null,true]", &[], json!([1.5, -3, "x", null, true])),
        ] {
            let (read, found) = strict(text.as_bytes()).expect(text);
            assert_eq!(found, duplicates, "{text}");
            assert_eq!(read, value, "{text}");
        }
    }

    #[test]
    fn bounds_and_refusals() {
        let many: Vec<String> = (0..200).map(|n| format!("\"k{n}\":1,\"k{n}\":2")).collect();
        let (_, found) = strict(format!("{{{}}}", many.join(",")).as_bytes()).expect("valid");
        assert_eq!(found.len(), MAX_DUPLICATES);
        let nest = |n| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(strict(nest(100).as_bytes()).is_ok());
        assert!(strict(nest(MAX_DEPTH + 1).as_bytes()).is_err());
        for bad in ["", "{", "{} {}", "[1,]", "{'a':1}", "\u{feff}{}"] {
            let refusal = strict(bad.as_bytes()).expect_err(bad);
            assert!(refusal.detail().contains("line 1"), "{bad}: {}", refusal.detail());
        }
    }
}
