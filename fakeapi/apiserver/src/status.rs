//! Every refusal as a Kubernetes `Status`: the one place where codes and reasons are chosen.
//!
//! The words follow `k8s.io/apimachinery/pkg/api/errors`, because clients match on the reason,
//! and people on the message.

use std::fmt;

use http::StatusCode;
use serde_json::{Map, Value, json};

/// An answer that is not the object that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The HTTP code.
    pub code: StatusCode,
    /// The machine-readable reason, as `metav1.StatusReason` names it; "" for success.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// `details`, when there are any.
    pub details: Option<Value>,
    /// Seconds after which to try again, sent also as `Retry-After`.
    pub retry_after: Option<u32>,
    /// `metadata.continue`: where a list that expired can go on.
    pub next: String,
}

/// One field that is wrong, for `details.causes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueInvalid`, `FieldValueRequired`, ...
    pub reason: &'static str,
    /// What is wrong, without the field.
    pub message: String,
    /// The path of the field.
    pub field: String,
}

impl Cause {
    /// The field has a value that it must not have; `value` is shown as JSON.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: impl fmt::Display) -> Self {
        let message = format!("Invalid value: {value}: {detail}");
        Self { reason: "FieldValueInvalid", message, field: field.into() }
    }

    /// The field has a value that is not among those it may have.
    pub fn not_supported(field: &str, value: &Value, supported: &[&str]) -> Self {
        let supported: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        let message =
            format!("Unsupported value: {value}: supported values: {}", supported.join(", "));
        Self { reason: "FieldValueNotSupported", message, field: field.into() }
    }

    /// The field must be set.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = if detail.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {detail}")
        };
        Self { reason: "FieldValueRequired", message, field: field.into() }
    }

    /// The field must not be set, or not like this.
    pub fn forbidden(field: impl Into<String>, detail: impl fmt::Display) -> Self {
        let message = format!("Forbidden: {detail}");
        Self { reason: "FieldValueForbidden", message, field: field.into() }
    }

    fn json(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }
}

/// Group and resource as messages name them: `deployments.apps`, `pods`.
fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

fn details(name: &str, group: &str, kind: &str) -> Map<String, Value> {
    [("name", name), ("group", group), ("kind", kind)]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect()
}

impl Status {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
            retry_after: None,
            next: String::new(),
        }
    }

    fn about(mut self, name: &str, group: &str, resource: &str) -> Self {
        self.details = Some(Value::Object(details(name, group, resource)));
        self
    }

    /// 404 for an object that is not there.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", qualified(group, resource));
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).about(name, group, resource)
    }

    /// 404 for a resource or subresource that does not exist.
    pub fn unknown_resource() -> Self {
        let message = "the server could not find the requested resource";
        let mut status = Self::new(StatusCode::NOT_FOUND, "NotFound", message);
        status.details = Some(json!({}));
        status
    }

    /// 409 for a create whose name is taken.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", qualified(group, resource));
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).about(name, group, resource)
    }

    /// 409 for a change of an object that has moved on.
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let of = qualified(group, resource);
        let message = format!("Operation cannot be fulfilled on {of} \"{name}\": {why}");
        Self::new(StatusCode::CONFLICT, "Conflict", message).about(name, group, resource)
    }

    /// 409 for a write with a stale resourceVersion.
    pub fn modified(group: &str, resource: &str, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version \
                   and try again";
        Self::conflict(group, resource, name, why)
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// 403 for what a user may not do; `why` is the authorizer's own reason, often empty.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let of = qualified(group, resource);
        let message = match (of.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (false, true) => format!("{of} is forbidden: {why}"),
            (false, false) => format!("{of} \"{name}\" is forbidden: {why}"),
        };
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about(name, group, resource)
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        let mut status = Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message);
        status.details = Some(json!({}));
        status
    }

    /// 405 for a verb that a kind does not have.
    pub fn verb_not_supported(group: &str, resource: &str, verb: &str) -> Self {
        let message = format!(
            "{verb} is not supported on resources of kind \"{}\"",
            qualified(group, resource)
        );
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
            .about("", group, resource)
    }

    /// 406.
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        let message =
            format!("only the following media types are accepted: {}", accepted.join(", "));
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    /// 413.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    }

    /// 415.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    /// 422 for an object that breaks rules; `kind` is the kind, not the resource.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        let each: Vec<String> =
            causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        let all = match each.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} \"{name}\" is invalid: {all}", qualified(group, kind));
        let mut details = details(name, group, kind);
        details.insert("causes".into(), causes.iter().map(Cause::json).collect());
        let mut status = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        status.details = Some(Value::Object(details));
        status
    }

    /// 422 for a patch that cannot be applied.
    pub fn unprocessable_patch(message: &str) -> Self {
        let message =
            format!("the server rejected our request due to an error in our request: {message}");
        let mut status = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        status.details = Some(json!({}));
        status
    }

    /// 410 for a revision that is no longer kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// 504 for a revision that is not there yet.
    pub fn revision_too_large(wanted: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
        let mut status = Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message);
        status.details = Some(json!({
            "causes": [{
                "reason": "ResourceVersionTooLarge",
                "message": "Too large resource version",
            }],
            "retryAfterSeconds": 1,
        }));
        status.retry_after = Some(1);
        status
    }

    /// 429.
    pub fn too_many_requests(message: impl Into<String>, retry_after: Option<u32>) -> Self {
        let mut status = Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message);
        status.retry_after = retry_after;
        if let Some(seconds) = retry_after {
            status.details = Some(json!({"retryAfterSeconds": seconds}));
        }
        status
    }

    /// 500.
    pub fn internal(message: impl fmt::Display) -> Self {
        let mut status = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            format!("Internal error occurred: {message}"),
        );
        status.details = Some(json!({"causes": [{"message": message.to_string()}]}));
        status
    }

    /// 500 for what the real server refuses without a reason.
    pub fn unexplained(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "", message)
    }

    /// 501.
    pub fn not_implemented(message: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
    }

    /// A refusal of any code, with a reason of `metav1.StatusReason`.
    ///
    /// `retry_after` is in seconds; Go's client repeats a request when a 429 or a 5xx has it.
    pub fn refusal(
        code: StatusCode,
        reason: &'static str,
        message: impl Into<String>,
        retry_after: Option<u32>,
    ) -> Self {
        let mut status = Self::new(code, reason, message);
        status.retry_after = retry_after;
        if let Some(seconds) = retry_after {
            status.details = Some(json!({"retryAfterSeconds": seconds}));
        }
        status
    }

    /// 504 for a request that took longer than it may.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
    }

    /// 200: an object is gone.
    pub fn deleted(group: &str, resource: &str, name: &str, uid: &str) -> Self {
        let mut details = details(name, group, resource);
        details.insert("uid".into(), uid.into());
        let mut status = Self::new(StatusCode::OK, "", "");
        status.details = Some(Value::Object(details));
        status
    }

    /// 201: a command such as an eviction was taken.
    pub fn created() -> Self {
        Self::new(StatusCode::CREATED, "", "")
    }

    /// Adds causes to `details`.
    #[must_use]
    pub fn with_causes(mut self, causes: Value) -> Self {
        let details = self.details.get_or_insert_with(|| json!({}));
        details["causes"] = causes;
        self
    }

    /// Whether this speaks of success.
    pub fn is_success(&self) -> bool {
        self.code.is_success()
    }

    /// The `Status` object.
    pub fn json(&self) -> Value {
        let mut object = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": if self.is_success() { "Success" } else { "Failure" },
        });
        if !self.next.is_empty() {
            object["metadata"]["continue"] = self.next.as_str().into();
        }
        if !self.message.is_empty() {
            object["message"] = self.message.as_str().into();
        }
        if !self.reason.is_empty() {
            object["reason"] = self.reason.into();
        }
        if let Some(details) = &self.details {
            object["details"] = details.clone();
        }
        if !self.is_success() || self.code != StatusCode::OK {
            object["code"] = self.code.as_u16().into();
        }
        object
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_object_is_named_as_the_real_server_names_it() {
        let status = Status::not_found("apps", "deployments", "web");
        assert_eq!(
            status.json(),
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "deployments.apps \"web\" not found", "reason": "NotFound",
                "details": {"name": "web", "group": "apps", "kind": "deployments"}, "code": 404,
            })
        );
    }

    #[test]
    fn one_cause_stands_alone_and_several_stand_in_brackets() {
        let one = Cause::required("spec.selector", "");
        let two = Cause::invalid("metadata.name", &json!("A"), "must be lower case");
        let status = Status::invalid("", "Service", "s", std::slice::from_ref(&one));
        assert_eq!(status.message, "Service \"s\" is invalid: spec.selector: Required value");
        let status = Status::invalid("", "Service", "s", &[one, two]);
        assert_eq!(
            status.message,
            "Service \"s\" is invalid: [spec.selector: Required value, \
             metadata.name: Invalid value: \"A\": must be lower case]"
        );
    }

    #[test]
    fn success_has_no_failure_words() {
        let status = Status::deleted("", "configmaps", "c", "u");
        assert_eq!(
            status.json(),
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": {"name": "c", "kind": "configmaps", "uid": "u"},
            })
        );
    }
}
