//! Request bodies into objects.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use crate::negotiate::{JSON, PROTOBUF, YAML};
use crate::status::Status;
use crate::{json, protobuf, yaml};

/// The most bytes a request body may have: the real server's limit.
pub const MAX_BODY: usize = 3 * 1024 * 1024;

/// A decoded body.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// The object.
    pub value: Value,
    /// `duplicate field "..."`, for strict callers.
    pub duplicates: Vec<String>,
}

/// The media type of the body, "" when none is named.
pub(crate) fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// Decodes a body by its `Content-Type`; `kind` is what it should be, for the message.
///
/// # Errors
/// 415 for a type nobody knows, 400 for bytes that are not of the type.
pub(crate) fn decode(headers: &HeaderMap, body: &Bytes, kind: &str) -> Result<Decoded, Status> {
    let decoded = match media_type(headers) {
        "" | JSON | "*/*" => {
            let (value, duplicates) =
                json::strict(body).map_err(|error| unrecognized(kind, &error.detail()))?;
            Decoded { value, duplicates }
        }
        YAML | "text/yaml" => {
            let yaml::Decoded { value, duplicates } =
                yaml::decode(body).map_err(|error| unrecognized(kind, &error.to_string()))?;
            Decoded { value, duplicates }
        }
        PROTOBUF => {
            let decoded =
                protobuf::decode(body).map_err(|error| unrecognized(kind, &error.to_string()))?;
            Decoded { value: decoded.value, duplicates: Vec::new() }
        }
        _ => return Err(Status::unsupported_media_type(&[JSON, YAML, PROTOBUF])),
    };
    if decoded.value.is_object() {
        Ok(decoded)
    } else {
        Err(unrecognized(kind, "the body is not an object"))
    }
}

fn unrecognized(kind: &str, why: &str) -> Status {
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; \
         json parse error: {why}"
    ))
}
