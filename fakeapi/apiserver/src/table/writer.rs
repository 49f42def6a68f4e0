//! Writing a Table as bytes, row by row: a list of 5,000 pods must not be held as a tree first,
//! and objects are there as bytes already.

use serde::Serialize;
use serde_json::Value;

use super::Column;
use super::options::TableVersion;
use super::printer::are_default;

/// The metadata of a list. Empty strings are left out, as the real server does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListMeta<'a> {
    /// The revision of the list, or of the single object in a Table made of one.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub resource_version: &'a str,
    /// The token for the next page, empty on the last one.
    #[serde(rename = "continue", skip_serializing_if = "str::is_empty")]
    pub continue_: &'a str,
    /// How many items follow this page, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining_item_count: Option<i64>,
}

/// What a row carries beside its cells. The bytes are JSON objects, taken as they are.
#[derive(Clone, Copy, Debug)]
pub enum RowObject<'a> {
    /// Nothing.
    None,
    /// The object's encoded `metadata`; it is wrapped as `PartialObjectMetadata`.
    Metadata(&'a [u8]),
    /// The whole encoded object, `apiVersion` and `kind` included.
    Object(&'a [u8]),
}

/// Writes a Table row by row onto a buffer that the caller may drain between calls.
///
/// ```
/// use apiserver::table::{ListMeta, RowObject, TableVersion, TableWriter, printer};
/// # let now = "2026-11-21T12:00:00Z".parse().expect("a time");
/// let pods = printer("", "pods");
/// let object = serde_json::json!({"metadata": {"name": "web-0"}});
/// let mut out = Vec::new();
/// let meta = ListMeta { resource_version: "42", ..ListMeta::default() };
/// let mut table = TableWriter::begin(&mut out, TableVersion::V1, Some(pods.columns()), &meta);
/// let cells = pods.cells(&object, now);
/// let metadata = object["metadata"].to_string();
/// table.row(&mut out, &cells, &pods.conditions(&object), RowObject::Metadata(metadata.as_bytes()));
/// assert_eq!(table.finish(&mut out), 1);
/// ```
#[derive(Debug)]
pub struct TableWriter {
    version: TableVersion,
    rows: usize,
    /// An empty table of this kind has `null` instead of an empty list.
    null_when_empty: bool,
}

impl TableWriter {
    /// Writes everything up to the first row. Without `columns` their list is `null`, as in all
    /// but the first event of a watch.
    pub fn begin(
        out: &mut Vec<u8>,
        version: TableVersion,
        columns: Option<&[Column]>,
        meta: &ListMeta<'_>,
    ) -> Self {
        out.extend_from_slice(br#"{"kind":"Table","apiVersion":""#);
        out.extend_from_slice(version.api_version().as_bytes());
        out.extend_from_slice(br#"","metadata":"#);
        append_list_meta(out, meta);
        out.extend_from_slice(br#","columnDefinitions":"#);
        append_json(out, &columns);
        out.extend_from_slice(br#","rows":"#);
        Self { version, rows: 0, null_when_empty: columns.is_some_and(are_default) }
    }

    /// Writes one row. `conditions` are left out when there are none.
    pub fn row(
        &mut self,
        out: &mut Vec<u8>,
        cells: &[Value],
        conditions: &[Value],
        object: RowObject<'_>,
    ) {
        out.push(if self.rows == 0 { b'[' } else { b',' });
        out.extend_from_slice(br#"{"cells":"#);
        append_json(out, cells);
        if !conditions.is_empty() {
            out.extend_from_slice(br#","conditions":"#);
            append_json(out, conditions);
        }
        out.extend_from_slice(br#","object":"#);
        match object {
            RowObject::None => out.extend_from_slice(b"null"),
            RowObject::Metadata(metadata) => append_partial(out, self.version, metadata),
            RowObject::Object(object) => out.extend_from_slice(object.trim_ascii_end()),
        }
        out.push(b'}');
        self.rows += 1;
    }

    /// Writes the end and gives the number of rows.
    pub fn finish(self, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(match (self.rows, self.null_when_empty) {
            (0, true) => b"null}".as_slice(),
            (0, false) => b"[]}",
            _ => b"]}",
        });
        out.push(b'\n');
        self.rows
    }
}

/// Writes the Table of one row that is a watch event's object (or the answer to a GET of one
/// object). `columns` come from [`Printer::event_columns`](super::Printer::event_columns). The
/// document ends without a newline, so that the event can be closed around it. Objects of ERROR
/// events are no rows: they go to the client as the Status they are.
pub fn write_event_table(
    out: &mut Vec<u8>,
    version: TableVersion,
    columns: Option<&[Column]>,
    resource_version: &str,
    (cells, conditions): (&[Value], &[Value]),
    object: RowObject<'_>,
) {
    let meta = ListMeta { resource_version, ..ListMeta::default() };
    let mut table = TableWriter::begin(out, version, columns, &meta);
    table.row(out, cells, conditions, object);
    out.extend_from_slice(b"]}");
}

/// Writes an object reduced to its metadata.
pub(crate) fn append_partial(out: &mut Vec<u8>, version: TableVersion, metadata: &[u8]) {
    out.extend_from_slice(br#"{"kind":"PartialObjectMetadata","apiVersion":""#);
    out.extend_from_slice(version.api_version().as_bytes());
    out.extend_from_slice(br#"","metadata":"#);
    out.extend_from_slice(metadata.trim_ascii_end());
    out.push(b'}');
}

pub(super) fn append_list_meta(out: &mut Vec<u8>, meta: &ListMeta<'_>) {
    append_json(out, meta);
}

fn append_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("strings and numbers always encode, a Vec takes them");
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;
    use serde_json::json;

    use super::super::{columns, printer};
    use super::*;

    fn written(
        version: TableVersion,
        columns: Option<&[Column]>,
        meta: &ListMeta<'_>,
        rows: &[(&[Value], &[Value], RowObject<'_>)],
    ) -> Value {
        let mut out = Vec::new();
        let mut table = TableWriter::begin(&mut out, version, columns, meta);
        for (cells, conditions, object) in rows {
            table.row(&mut out, cells, conditions, *object);
        }
        assert_eq!(table.finish(&mut out), rows.len());
        serde_json::from_slice(&out).expect("the writer writes JSON")
    }

    #[test]
    fn a_table_with_each_kind_of_row() {
        let meta =
            ListMeta { resource_version: "5", continue_: "c", remaining_item_count: Some(0) };
        let cells = [json!("a"), json!(1)];
        let rows: [(&[Value], &[Value], RowObject<'_>); 3] = [
            (&cells, &[], RowObject::None),
            (&cells, &[json!({"type": "Completed"})], RowObject::Metadata(br#"{"name":"a"}"#)),
            (&cells, &[], RowObject::Object(b"{\"kind\":\"Pod\"}\n")),
        ];
        let columns = [super::super::column("Name", "string", "name", 0, "The \"name\".\n")];
        assert_eq!(
            written(TableVersion::V1Beta1, Some(&columns), &meta, &rows),
            json!({
                "kind": "Table",
                "apiVersion": "meta.k8s.io/v1beta1",
                "metadata": {"resourceVersion": "5", "continue": "c", "remainingItemCount": 0},
                "columnDefinitions": [{"name": "Name", "type": "string", "format": "name",
                    "description": "The \"name\".\n", "priority": 0}],
                "rows": [
                    {"cells": ["a", 1], "object": null},
                    {"cells": ["a", 1], "conditions": [{"type": "Completed"}], "object":
                        {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1beta1",
                         "metadata": {"name": "a"}}},
                    {"cells": ["a", 1], "object": {"kind": "Pod"}},
                ],
            })
        );
    }

    #[test]
    fn empty_tables() {
        let meta = ListMeta::default();
        let pods = written(TableVersion::V1, Some(columns("", "pods")), &meta, &[]);
        assert_eq!((&pods["rows"], &pods["metadata"]), (&json!([]), &json!({})));
        let roles = columns("rbac.authorization.k8s.io", "roles");
        assert_eq!(written(TableVersion::V1, Some(roles), &meta, &[])["rows"], json!(null));
    }

    #[test]
    fn events_after_the_first_have_no_columns() {
        let pods = printer("", "pods");
        for (first, want) in [(true, 9), (false, 0)] {
            let mut out = Vec::new();
            let columns = pods.event_columns(first);
            let cells = [json!("a")];
            let row = (cells.as_slice(), [].as_slice());
            write_event_table(&mut out, TableVersion::V1, columns, "9", row, RowObject::None);
            assert_eq!(out.last(), Some(&b'}'));
            let table: Value = serde_json::from_slice(&out).expect("the writer writes JSON");
            assert_eq!(table["metadata"], json!({"resourceVersion": "9"}));
            assert_eq!(table["columnDefinitions"].as_array().map_or(0, Vec::len), want);
            assert_eq!(table["columnDefinitions"].is_null(), !first);
            assert_eq!(table["rows"], json!([{"cells": ["a"], "object": null}]));
        }
    }
}
