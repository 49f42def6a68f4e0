//! The query parameters of reads and writes, checked as
//! `apimachinery/pkg/apis/meta/internalversion/validation` checks them.

use serde_json::json;

use crate::request::Query;
use crate::selector::{FieldSelector, LabelSelector};
use crate::server::Asked;
use crate::status::{Cause, Status};
use crate::storage::Object;

/// How a list relates to `resourceVersion`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    Unset,
    NotOlderThan,
    Exact,
}

/// The parameters of list and watch.
#[derive(Debug)]
pub(super) struct ListOptions {
    pub(super) labels: LabelSelector,
    pub(super) fields: FieldSelector,
    /// `None` for unset; 0 for "any".
    pub(super) revision: Option<u64>,
    pub(super) matching: Match,
    pub(super) limit: usize,
    pub(super) next: Option<String>,
    pub(super) bookmarks: bool,
    pub(super) initial_events: Option<bool>,
    pub(super) timeout_seconds: Option<u64>,
}

impl ListOptions {
    pub(super) fn read(asked: &Asked<'_>, watch: bool) -> Result<Self, Status> {
        let query = &asked.query;
        let labels = LabelSelector::parse(query.get("labelSelector").unwrap_or_default())
            .map_err(|error| Status::bad_request(error.to_string()))?;
        let fields = FieldSelector::parse(query.get("fieldSelector").unwrap_or_default())
            .and_then(|fields| fields.for_resource((&asked.resource.group, &asked.resource.plural)))
            .map_err(|error| Status::bad_request(error.to_string()))?;
        let options = Self {
            labels,
            fields,
            revision: revision(query)?,
            matching: matching(query)?,
            limit: number(query, "limit")?.map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX)),
            next: query.get("continue").map(str::to_owned),
            bookmarks: query.flag("allowWatchBookmarks"),
            initial_events: query.get("sendInitialEvents").map(|_| query.flag("sendInitialEvents")),
            timeout_seconds: number(query, "timeoutSeconds")?,
        };
        options.check(watch)?;
        Ok(options)
    }

    fn check(&self, watch: bool) -> Result<(), Status> {
        let mut causes = Vec::new();
        let matched = self.matching != Match::Unset;
        let mut forbid = |field: &str, why: &str| causes.push(Cause::forbidden(field, why));
        match (watch, self.initial_events) {
            (true, Some(_)) if self.matching != Match::NotOlderThan => forbid(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ),
            (true, None) if matched => forbid(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ),
            (false, Some(_)) => {
                forbid("sendInitialEvents", "sendInitialEvents is forbidden for list");
            }
            (false, None) if matched && self.next.is_some() => forbid(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden when continue is provided",
            ),
            (false, None) if matched && self.revision.is_none() => forbid(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ),
            (false, None) if self.matching == Match::Exact && self.revision == Some(0) => forbid(
                "resourceVersionMatch",
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ),
            _ => {}
        }
        if causes.is_empty() {
            return Ok(());
        }
        Err(Status::invalid("meta.k8s.io", "ListOptions", "", &causes))
    }

    /// Whether an object is wanted.
    pub(super) fn wants(&self, object: &Object) -> bool {
        (self.labels.is_everything() || self.labels.matches(|key| object.meta.label(key)))
            && (self.fields.is_everything() || self.fields.matches_object(&object.value()))
    }
}

fn revision(query: &Query) -> Result<Option<u64>, Status> {
    let Some(text) = query.get("resourceVersion") else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        let cause =
            Cause::invalid("resourceVersion", &json!(text), "strconv.ParseUint: invalid syntax");
        Status::invalid("", "", "", &[cause])
    })
}

fn matching(query: &Query) -> Result<Match, Status> {
    match query.get("resourceVersionMatch") {
        None => Ok(Match::Unset),
        Some("NotOlderThan") => Ok(Match::NotOlderThan),
        Some("Exact") => Ok(Match::Exact),
        Some(other) => {
            let message = format!(
                "Unsupported value: \"{other}\": supported values: \"Exact\", \"NotOlderThan\""
            );
            let field = "resourceVersionMatch".to_owned();
            let cause = Cause { reason: "FieldValueNotSupported", message, field };
            Err(Status::invalid("meta.k8s.io", "ListOptions", "", &[cause]))
        }
    }
}

fn number(query: &Query, key: &str) -> Result<Option<u64>, Status> {
    let Some(text) = query.get(key) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        Status::bad_request(format!(
            "unable to decode query parameter {key}: strconv.ParseInt: parsing \"{text}\": invalid \
             syntax"
        ))
    })
}

/// Whether a write is only to be tried.
pub(super) fn dry_run(query: &Query) -> Result<bool, Status> {
    check_dry_run(query.all("dryRun"))
}

/// Reads the values of a `dryRun`, in the query or in `DeleteOptions`.
pub(super) fn check_dry_run<'a>(values: impl Iterator<Item = &'a str>) -> Result<bool, Status> {
    let mut dry = false;
    for value in values {
        if value != "All" {
            let message = format!("Unsupported value: \"{value}\": supported values: \"All\"");
            let cause =
                Cause { reason: "FieldValueNotSupported", message, field: "dryRun".to_owned() };
            return Err(Status::invalid("meta.k8s.io", "UpdateOptions", "", &[cause]));
        }
        dry = true;
    }
    Ok(dry)
}

/// What to do about fields that the kind does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

pub(super) fn field_validation(query: &Query) -> Result<FieldValidation, Status> {
    match query.get("fieldValidation") {
        None | Some("Warn") => Ok(FieldValidation::Warn),
        Some("Ignore") => Ok(FieldValidation::Ignore),
        Some("Strict") => Ok(FieldValidation::Strict),
        Some(other) => {
            let message = format!(
                "Unsupported value: \"{other}\": supported values: \"Ignore\", \"Strict\", \"Warn\""
            );
            let field = "fieldValidation".to_owned();
            let cause = Cause { reason: "FieldValueNotSupported", message, field };
            Err(Status::invalid("meta.k8s.io", "CreateOptions", "", &[cause]))
        }
    }
}
