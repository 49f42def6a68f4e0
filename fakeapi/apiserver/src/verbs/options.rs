//! The query parameters of reads and writes, checked as
//! `apimachinery/pkg/apis/meta/internalversion/validation` checks them.

use serde_json::json;

use crate::request::{Query, Verb};
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
    /// 0 for no limit.
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
            .map_err(|error| Status::bad_request(error.to_string()))?;
        let limit = number(query, "limit")?.unwrap_or_default();
        let timeout = number(query, "timeoutSeconds")?;
        let matching = check(query, watch)?;
        let fields = fields
            .for_resource((&asked.resource.group, &asked.resource.plural))
            .map_err(|error| Status::bad_request(error.to_string()))?;
        Ok(Self {
            labels,
            fields,
            revision: revision(asked, watch)?,
            matching,
            limit: usize::try_from(limit).unwrap_or(0),
            next: query.get("continue").map(str::to_owned),
            bookmarks: query.flag("allowWatchBookmarks"),
            initial_events: initial_events(query),
            timeout_seconds: timeout.and_then(|seconds| u64::try_from(seconds).ok()),
        })
    }

    /// Whether an object is wanted.
    pub(super) fn wants(&self, object: &Object) -> bool {
        (self.labels.is_everything() || self.labels.matches(|key| object.meta.label(key)))
            && (self.fields.is_everything() || self.fields.matches_object(&object.value()))
    }
}

fn initial_events(query: &Query) -> Option<bool> {
    query.all("sendInitialEvents").next().map(|_| query.flag("sendInitialEvents"))
}

/// Refuses parameters that contradict each other.
fn check(query: &Query, watch: bool) -> Result<Match, Status> {
    let text = query.get("resourceVersionMatch");
    let mut causes = Vec::new();
    let matching = match text {
        Some("NotOlderThan") => Match::NotOlderThan,
        Some("Exact") => Match::Exact,
        _ => Match::Unset,
    };
    if watch {
        check_watch(query, text, &mut causes);
    } else {
        check_list(query, text, &mut causes);
    }
    if causes.is_empty() {
        return Ok(matching);
    }
    Err(Status::invalid("meta.k8s.io", "ListOptions", "", &causes))
}

const MATCH: &str = "resourceVersionMatch";

fn check_list(query: &Query, matching: Option<&str>, causes: &mut Vec<Cause>) {
    if let Some(text) = matching {
        let mut forbid = |why: &str| causes.push(Cause::forbidden(MATCH, why));
        if query.get("resourceVersion").is_none() {
            forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if query.get("continue").is_some() {
            forbid("resourceVersionMatch is forbidden when continue is provided");
        }
        if text == "Exact" && query.get("resourceVersion") == Some("0") {
            forbid("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
        }
        if !matches!(text, "Exact" | "NotOlderThan") {
            let supported = ["Exact", "NotOlderThan", ""];
            causes.push(Cause::not_supported(MATCH, &json!(text), &supported));
        }
    }
    if initial_events(query).is_some() {
        let why = "sendInitialEvents is forbidden for list";
        causes.push(Cause::forbidden("sendInitialEvents", why));
    }
}

fn check_watch(query: &Query, matching: Option<&str>, causes: &mut Vec<Cause>) {
    let initial = initial_events(query).is_some();
    let mut forbid = |why: &str| causes.push(Cause::forbidden(MATCH, why));
    if initial && matching != Some("NotOlderThan") {
        forbid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    }
    let Some(text) = matching else {
        return;
    };
    if !initial {
        forbid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    }
    if text != "NotOlderThan" {
        causes.push(Cause::not_supported(MATCH, &json!(text), &["NotOlderThan"]));
    }
    if query.get("continue").is_some() {
        let why = "resourceVersionMatch is forbidden when continue is provided";
        causes.push(Cause::forbidden(MATCH, why));
    }
}

/// The revision that is named. A text that is no number is refused late and in different ways by
/// the real server: a list tells its storage's error, a watch makes it a refusal.
fn revision(asked: &Asked<'_>, watch: bool) -> Result<Option<u64>, Status> {
    let Some(text) = asked.query.get("resourceVersion") else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| bad_revision(asked, text, watch))
}

pub(super) fn bad_revision(asked: &Asked<'_>, text: &str, watch: bool) -> Status {
    let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
    let cause = Cause::invalid("resourceVersion", &json!(text), why);
    if watch {
        return Status::invalid(&asked.resource.group, &asked.resource.plural, "", &[cause]);
    }
    Status::unexplained(format!("{}: {}", cause.field, cause.message))
}

fn number(query: &Query, key: &str) -> Result<Option<i64>, Status> {
    let Some(text) = query.all(key).next() else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
    })
}

/// The kind of options that a write's parameters are.
fn options_kind(asked: &Asked<'_>) -> &'static str {
    match asked.request.verb {
        Verb::Create => "CreateOptions",
        Verb::Patch => "PatchOptions",
        _ => "UpdateOptions",
    }
}

/// Whether a write is only to be tried.
pub(super) fn dry_run(asked: &Asked<'_>) -> Result<bool, Status> {
    check_dry_run(&asked.query.all("dryRun").collect::<Vec<_>>(), options_kind(asked))
}

/// Reads the values of a `dryRun`, in the query or in `DeleteOptions`.
pub(super) fn check_dry_run(values: &[&str], kind: &str) -> Result<bool, Status> {
    if values.iter().all(|value| *value == "All") {
        return Ok(!values.is_empty());
    }
    let cause = Cause::not_supported("dryRun", &json!(values), &["All"]);
    Err(Status::invalid("meta.k8s.io", kind, "", &[cause]))
}

/// What to do about fields that the kind does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

pub(super) fn field_validation(asked: &Asked<'_>) -> Result<FieldValidation, Status> {
    match asked.query.get("fieldValidation") {
        None | Some("Warn") => Ok(FieldValidation::Warn),
        Some("Ignore") => Ok(FieldValidation::Ignore),
        Some("Strict") => Ok(FieldValidation::Strict),
        Some(other) => {
            let supported = ["", "Ignore", "Strict", "Warn"];
            let cause = Cause::not_supported("fieldValidation", &json!(other), &supported);
            Err(Status::invalid("meta.k8s.io", options_kind(asked), "", &[cause]))
        }
    }
}
