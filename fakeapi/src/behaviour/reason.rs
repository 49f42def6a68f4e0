//! The reasons of refusals and the codes they go with.
//!
//! `metav1.StatusReason`, and `NewGenericServerResponse` of `k8s.io/apimachinery/pkg/api/errors`
//! for a code that comes without one.

use http::StatusCode;

/// Code, reason, what is said when nothing else is. The first of a code goes with it.
const REASONS: [(u16, &str, &str); 19] = [
    (400, "BadRequest", "the server rejected the request"),
    (401, "Unauthorized", "Unauthorized"),
    (403, "Forbidden", "forbidden: the request was refused"),
    (404, "NotFound", "the server could not find the requested resource"),
    (405, "MethodNotAllowed", "the server does not allow this method on the requested resource"),
    (406, "NotAcceptable", "the server can answer in none of the requested media types"),
    (409, "Conflict", "the server reported a conflict"),
    (409, "AlreadyExists", "the object already exists"),
    (410, "Expired", "the provided resource version or continue token is too old"),
    (410, "Gone", "the item is no longer available at the server"),
    (413, "RequestEntityTooLarge", "the request is too large"),
    (415, "UnsupportedMediaType", "the request's body is in an unsupported format"),
    (422, "Invalid", "the server rejected the request due to an error in it"),
    (429, "TooManyRequests", "the server has received too many requests, try again later"),
    (500, "InternalError", "an internal error occurred"),
    (500, "ServerTimeout", "the server could not finish in time"),
    (500, "StoreReadError", "the storage could not be read"),
    (503, "ServiceUnavailable", "the server is currently unable to handle the request"),
    (504, "Timeout", "the server was unable to answer in the time allotted"),
];

/// The reason of this name, as the text that lives as long as the program.
pub(super) fn named(name: &str) -> Option<&'static str> {
    REASONS.iter().find(|(_, reason, _)| *reason == name).map(|(_, reason, _)| *reason)
}

/// The reason and the message that go with a code; none for codes that no reason goes with.
pub(super) fn of(code: StatusCode) -> (&'static str, &'static str) {
    let known = REASONS.iter().find(|(known, ..)| *known == code.as_u16());
    match known {
        Some((_, reason, message)) => (reason, message),
        None if code.is_server_error() => ("InternalError", "an error occurred on the server"),
        None => ("", "the server refused the request"),
    }
}
