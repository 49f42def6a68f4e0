//! Reading an object's fields where any of them may be absent. Printers look at stored JSON, and
//! Kubernetes leaves empty values out of it: an absent field reads as its kind's zero.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::duration::human_duration;

pub(super) const NONE: &str = "<none>";
pub(super) const UNKNOWN: &str = "<unknown>";
pub(super) const UNSET: &str = "<unset>";

static NULL: Value = Value::Null;

/// A place in an object. Walking to a place that does not exist gives `null`.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a Value);

impl<'a> Fields<'a> {
    /// The place below this one.
    pub(super) fn at(self, path: &[&str]) -> Self {
        let found = path.iter().try_fold(self.0, |value, key| value.get(key));
        Self(found.unwrap_or(&NULL))
    }

    /// Whether something other than `null` stands here.
    pub(super) fn has(self, path: &[&str]) -> bool {
        !self.at(path).0.is_null()
    }

    /// A string, or `""`.
    pub(super) fn text(self, path: &[&str]) -> &'a str {
        self.at(path).0.as_str().unwrap_or_default()
    }

    /// A string, or `fallback` where it is absent or empty.
    pub(super) fn text_or(self, path: &[&str], fallback: &'a str) -> &'a str {
        match self.text(path) {
            "" => fallback,
            text => text,
        }
    }

    /// A string that may be empty, or `fallback` where it is absent: a pointer in the API type.
    pub(super) fn optional_text_or(self, path: &[&str], fallback: &'a str) -> &'a str {
        self.at(path).0.as_str().unwrap_or(fallback)
    }

    /// An integer, or 0.
    pub(super) fn int(self, path: &[&str]) -> i64 {
        self.int_or(path, 0)
    }

    /// An integer, or `fallback` where it is absent.
    pub(super) fn int_or(self, path: &[&str], fallback: i64) -> i64 {
        self.at(path).0.as_i64().unwrap_or(fallback)
    }

    /// A boolean, or `false`.
    pub(super) fn flag(self, path: &[&str]) -> bool {
        self.flag_or(path, false)
    }

    /// A boolean, or `fallback` where it is absent.
    pub(super) fn flag_or(self, path: &[&str], fallback: bool) -> bool {
        self.at(path).0.as_bool().unwrap_or(fallback)
    }

    /// The elements of a list.
    pub(super) fn items(self, path: &[&str]) -> impl DoubleEndedIterator<Item = Self> + use<'a> {
        self.list(path).iter().map(Self)
    }

    /// The strings of a list.
    pub(super) fn texts(self, path: &[&str]) -> Vec<&'a str> {
        self.list(path).iter().filter_map(Value::as_str).collect()
    }

    /// A list, empty where it is absent.
    pub(super) fn list(self, path: &[&str]) -> &'a [Value] {
        self.at(path).0.as_array().map_or(&[], Vec::as_slice)
    }

    /// The entries of a map.
    pub(super) fn entries(self, path: &[&str]) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let map = self.at(path).0.as_object();
        map.into_iter().flat_map(Map::iter).map(|(key, value)| (key.as_str(), value))
    }

    /// How many elements a list or a map has.
    pub(super) fn count(self, path: &[&str]) -> usize {
        match self.at(path).0 {
            Value::Array(list) => list.len(),
            Value::Object(map) => map.len(),
            _ => 0,
        }
    }

    /// The first element of `status.conditions` (or another list) with this type.
    pub(super) fn condition(self, path: &[&str], kind: &str) -> Option<Self> {
        self.items(path).find(|condition| condition.text(&["type"]) == kind)
    }

    /// `metadata.name`.
    pub(super) fn name(self) -> &'a str {
        self.text(&["metadata", "name"])
    }

    /// The value of an annotation, `""` where it is absent.
    pub(super) fn annotation(self, key: &str) -> &'a str {
        self.text(&["metadata", "annotations", key])
    }

    /// Whether deletion has begun.
    pub(super) fn deleting(self) -> bool {
        self.has(&["metadata", "deletionTimestamp"])
    }

    /// A point in time. Absent, `null`, the zero time and what is no time at all are `None`; the
    /// last cannot be stored, since decoding refuses it.
    pub(super) fn time(self, path: &[&str]) -> Option<Timestamp> {
        let text = self.text(path);
        if text.is_empty() || text.starts_with("0001-01-01T00:00:00") {
            return None;
        }
        text.parse().ok()
    }

    /// The age of a point in time.
    pub(super) fn since(self, path: &[&str], now: Timestamp) -> String {
        self.time(path)
            .map_or_else(|| UNKNOWN.to_owned(), |then| human_duration(between(then, now)))
    }

    /// The object's age.
    pub(super) fn age(self, now: Timestamp) -> String {
        self.since(&["metadata", "creationTimestamp"], now)
    }

    /// A quantity as served: the canonical string; a bare number prints as it is.
    pub(super) fn quantity(self, path: &[&str]) -> Option<String> {
        match self.at(path).0 {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}

/// The length from one point to another, negative when `to` is earlier.
pub(super) fn between(from: Timestamp, to: Timestamp) -> SignedDuration {
    to.duration_since(from)
}

/// A row of cells from anything that JSON can hold.
macro_rules! row {
    ($($cell:expr),* $(,)?) => { vec![$(::serde_json::Value::from($cell)),*] };
}
pub(super) use row;

/// A number of things as a cell.
pub(super) fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// `text`, or `fallback` when there is none.
pub(super) fn non_empty(text: String, fallback: &str) -> String {
    if text.is_empty() { fallback.to_owned() } else { text }
}
