//! Objects as rows: the `meta.k8s.io` Table that `kubectl get` asks the server for.
//!
//! What a kind's columns are and how a row is worked out of an object is the server's business,
//! and clients print the cells unchanged, so everything here is held against the real printers of
//! Kubernetes v1.36.3: the columns are generated from them, and `testdata/` holds the rows they
//! gave for objects of ours (`xtask/tables` is the program that asks them).
//!
//! Look a resource up with [`printer`], then write a list with [`TableWriter`], row by row, or a
//! watch event with [`write_event_table`].

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

mod admission;
mod autoscaling;
mod batch;
mod certificates;
#[rustfmt::skip]
mod columns;
mod coordination;
mod core;
mod devices;
mod duration;
mod event;
mod fields;
#[cfg(test)]
mod golden;
mod labels;
mod machinery;
mod network;
mod node;
mod options;
mod partial;
mod pod;
mod policy;
mod printer;
mod rbac;
mod registry;
mod scheduling;
mod service;
mod storage;
mod workload;
mod writer;

pub use duration::{human_duration, short_human_duration};
pub use options::{IncludeObject, InvalidIncludeObject, TableVersion};
pub use partial::{PartialListWriter, partial_metadata, partial_metadata_list};
pub use printer::{Printer, printer};
pub(crate) use writer::append_partial;
pub use writer::{ListMeta, RowObject, TableWriter, write_event_table};

/// A `TableColumnDefinition`. Serialized as the wire has it, every field present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// The heading; clients print it in capitals.
    pub name: Cow<'static, str>,
    /// An OpenAPI type: `string`, `integer`, `number`, `boolean`, `date`.
    #[serde(rename = "type")]
    pub type_: Cow<'static, str>,
    /// An OpenAPI format, mostly empty; `name` marks the object's name.
    pub format: Cow<'static, str>,
    /// What the column shows.
    pub description: Cow<'static, str>,
    /// 0 is always shown, more is for wide output.
    pub priority: i32,
}

const fn column(
    name: &'static str,
    type_: &'static str,
    format: &'static str,
    priority: i32,
    description: &'static str,
) -> Column {
    Column {
        name: Cow::Borrowed(name),
        type_: Cow::Borrowed(type_),
        format: Cow::Borrowed(format),
        description: Cow::Borrowed(description),
        priority,
    }
}

/// The columns of a resource, by its plural name: [`Printer::columns`].
#[must_use]
pub fn columns(group: &str, resource: &str) -> &'static [Column] {
    printer(group, resource).columns()
}

/// The cells of an object's row: [`Printer::cells`].
#[must_use]
pub fn cells(group: &str, resource: &str, object: &Value, now: Timestamp) -> Vec<Value> {
    printer(group, resource).cells(object, now)
}

/// The conditions of an object's row: [`Printer::conditions`].
#[must_use]
pub fn conditions(group: &str, resource: &str, object: &Value) -> Vec<Value> {
    printer(group, resource).conditions(object)
}
