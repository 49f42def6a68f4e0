//! An object as it is kept: the bytes that are served, and what must be known without parsing.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Map, Value};

/// One stored object.
#[derive(Debug)]
pub struct Object {
    /// Compact JSON that opens with `kind` and `apiVersion`.
    json: Bytes,
    /// Where the rest of the object begins, behind `{"kind":..,"apiVersion":..,`.
    rest: u16,
    /// What selectors and rules read without parsing.
    pub meta: Meta,
}

/// The part of an object's metadata that is kept parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// The revision of the object's last change.
    pub resource_version: u64,
    /// `metadata.labels`, sorted by key.
    pub labels: Box<[(Box<str>, Box<str>)]>,
}

impl Meta {
    /// The value of one label.
    pub fn label(&self, key: &str) -> Option<&str> {
        let at = self.labels.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
        Some(&self.labels[at].1)
    }

    fn of(object: &Map<String, Value>) -> Self {
        let metadata = object.get("metadata");
        let resource_version = metadata
            .and_then(|m| m.get("resourceVersion"))
            .and_then(Value::as_str)
            .and_then(|rv| rv.parse().ok())
            .unwrap_or_default();
        let mut labels: Vec<(Box<str>, Box<str>)> = metadata
            .and_then(|m| m.get("labels"))
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(k, v)| Some((k.as_str().into(), v.as_str()?.into())))
            .collect();
        labels.sort();
        Self { resource_version, labels: labels.into() }
    }
}

impl Object {
    /// Encodes `value`, a whole object with `kind`, `apiVersion` and `metadata`.
    ///
    /// # Panics
    /// When `value` is not a JSON object: callers decode requests before they store them.
    pub fn encode(value: &Value) -> Self {
        let map = value.as_object().expect("a stored object is a JSON object");
        let mut out = BytesMut::with_capacity(1024).writer();
        let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default();
        out.get_mut().put_slice(b"{\"kind\":");
        write(&mut out, &text("kind"));
        out.get_mut().put_slice(b",\"apiVersion\":");
        write(&mut out, &text("apiVersion"));
        let rest = u16::try_from(out.get_ref().len() + 1).unwrap_or(u16::MAX);
        let mut field = |key: &str, value: &Value| {
            out.get_mut().put_slice(b",");
            write(&mut out, &key);
            out.get_mut().put_slice(b":");
            write(&mut out, value);
        };
        if let Some(metadata) = map.get("metadata") {
            field("metadata", metadata);
        }
        for (key, value) in map {
            if !matches!(key.as_str(), "kind" | "apiVersion" | "metadata") {
                field(key, value);
            }
        }
        out.get_mut().put_slice(b"}");
        Self { json: out.into_inner().freeze(), rest, meta: Meta::of(map) }
    }

    /// Takes bytes that [`Object::encode`] made before, or a template of the same form, with
    /// their metadata known: nothing is parsed.
    ///
    /// `rest` is the offset of `"metadata"`, as [`Object::rest`] told it.
    pub fn from_parts(json: Bytes, rest: u16, meta: Meta) -> Self {
        debug_assert!(json.get(usize::from(rest)..).is_some_and(|b| b.first() == Some(&b'"')));
        Self { json, rest, meta }
    }

    /// The object as it is served.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// The object without `kind` and `apiVersion` and without its opening brace, as the items
    /// of a list of built-in kinds have it.
    pub fn item(&self) -> Bytes {
        self.json.slice(usize::from(self.rest)..)
    }

    /// The value of `metadata`, encoded.
    pub fn metadata(&self) -> &[u8] {
        let item = &self.json[usize::from(self.rest)..];
        let value = &item[b"\"metadata\":".len().min(item.len())..];
        &value[..end_of_object(value)]
    }

    /// The offset of [`Object::item`] in [`Object::json`].
    pub fn rest(&self) -> u16 {
        self.rest
    }

    /// The object parsed.
    ///
    /// # Panics
    /// Never for objects made by [`Object::encode`]; templates given to [`Object::from_parts`]
    /// must be JSON.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).expect("stored bytes are JSON")
    }
}

/// Where the JSON object that `bytes` begins with ends.
fn end_of_object(bytes: &[u8]) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        match (byte, quoted) {
            _ if escaped => escaped = false,
            (b'\\', true) => escaped = true,
            (b'"', _) => quoted = !quoted,
            (b'{', false) => depth += 1,
            (b'}', false) => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    bytes.len()
}

/// JSON values and strings always encode, and a growing buffer takes what is written.
fn write<T: serde::Serialize + ?Sized>(out: &mut bytes::buf::Writer<BytesMut>, value: &T) {
    serde_json::to_writer(out, value).expect("JSON values encode into memory");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kind_and_version_open_the_bytes_and_an_item_goes_without() {
        let object = Object::encode(&json!({
            "data": {"a": "b"}, "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "c", "resourceVersion": "7", "labels": {"z": "1", "a": "2"}},
        }));
        assert!(object.json().starts_with(br#"{"kind":"ConfigMap","apiVersion":"v1","metadata":"#));
        assert!(object.item().starts_with(br#""metadata":{"#));
        assert_eq!(object.meta.resource_version, 7);
        assert_eq!(object.meta.label("z"), Some("1"));
        assert_eq!(object.meta.label("a"), Some("2"));
        assert_eq!(object.meta.label("b"), None);
        assert_eq!(object.value()["data"]["a"], "b");
    }

    #[test]
    fn metadata_is_found_among_braces_in_strings() {
        let metadata = json!({"name": "a", "annotations": {"x": "}\\\"{", "y": "\""}});
        let object = Object::encode(
            &json!({"kind": "K", "apiVersion": "v1", "metadata": metadata, "z": {}}),
        );
        assert_eq!(serde_json::from_slice::<Value>(object.metadata()).unwrap(), metadata);
    }
}
