//! Which columns and which row rule a resource has.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::Value;

use super::fields::{Fields, row};
use super::registry::PRINTERS;
use super::{Column, column, columns};

/// A rule that makes a row's cells, one per column (see [`Printer::cells`]).
type CellsRule = fn(Fields<'_>, Timestamp) -> Vec<Value>;
/// A rule that makes a row's conditions.
type ConditionsRule = fn(Fields<'_>) -> Vec<Value>;

/// A rule that says which of two objects comes first in a list.
type OrderRule = fn(Fields<'_>, Fields<'_>) -> Ordering;

/// How objects of one resource become rows. Look it up once for a list, then call it per object.
#[derive(Debug)]
pub struct Printer {
    pub(super) group: &'static str,
    pub(super) resource: &'static str,
    columns: &'static [Column],
    cells: CellsRule,
    conditions: ConditionsRule,
    repeats_headers: bool,
    order: Option<OrderRule>,
}

impl Printer {
    pub(super) const fn new(
        group: &'static str,
        resource: &'static str,
        columns: &'static [Column],
        cells: CellsRule,
    ) -> Self {
        let conditions: ConditionsRule = |_| Vec::new();
        Self { group, resource, columns, cells, conditions, repeats_headers: false, order: None }
    }

    pub(super) const fn with_conditions(self, conditions: ConditionsRule) -> Self {
        Self { conditions, ..self }
    }

    pub(super) const fn repeating_headers(self) -> Self {
        Self { repeats_headers: true, ..self }
    }

    pub(super) const fn in_order(self, order: OrderRule) -> Self {
        Self { order: Some(order), ..self }
    }

    /// The columns, those of `-o wide` (priority 1) included: the client picks.
    #[must_use]
    pub fn columns(&self) -> &'static [Column] {
        self.columns
    }

    /// The cells of the object's row: strings, integers and booleans, one per column (a few
    /// printers of the real server make one cell more than they have columns; so do these).
    #[must_use]
    pub fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        (self.cells)(Fields(object), now)
    }

    /// The `TableRowCondition`s of the object's row; only finished pods have one.
    #[must_use]
    pub fn conditions(&self, object: &Value) -> Vec<Value> {
        (self.conditions)(Fields(object))
    }

    /// The order of a list's rows where it is not that of the list's objects: such a list must be
    /// collected and sorted before its rows are written.
    #[must_use]
    pub fn list_order(&self) -> Option<impl Fn(&Value, &Value) -> Ordering + use<>> {
        self.order.map(|order| move |a: &Value, b: &Value| order(Fields(a), Fields(b)))
    }

    /// The columns to send with a watch event: with the first of a stream only, save for the few
    /// resources whose server sends them each time.
    #[must_use]
    pub fn event_columns(&self, first: bool) -> Option<&'static [Column]> {
        (first || self.repeats_headers).then_some(self.columns)
    }
}

static DEFAULT_COLUMNS: &[Column] = &[
    column("Name", "string", "name", 0, columns::NAME_DESCRIPTION),
    column("Created At", "date", "", 0, columns::CREATED_DESCRIPTION),
];

/// The form of every resource that has no printer of its own.
static DEFAULT: Printer = Printer::new("", "", DEFAULT_COLUMNS, |object, _now| {
    let created = object.text_or(&["metadata", "creationTimestamp"], "0001-01-01T00:00:00Z");
    row![object.name(), created]
});

/// The printer of a resource, by its plural name; the default one where it has none.
#[must_use]
pub fn printer(group: &str, resource: &str) -> &'static Printer {
    let found = PRINTERS.binary_search_by(|it| (it.group, it.resource).cmp(&(group, resource)));
    found.map_or(&DEFAULT, |index| &PRINTERS[index])
}

/// Whether these are the columns of the default form, whose empty list has `null` for rows.
pub(super) fn are_default(columns: &[Column]) -> bool {
    columns == DEFAULT_COLUMNS
}
