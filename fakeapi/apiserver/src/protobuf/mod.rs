//! Kubernetes' protobuf encoding, transcoded from and to JSON by the type table.
//!
//! Go clients send protobuf for every built-in kind and do not fall back to JSON. What they send
//! is not canonical `ProtoJSON`: an envelope names the kind, embedded messages are flat in JSON,
//! scalars that are no pointers are always on the wire, and several types have a text form of
//! their own. [`crate::types`] knows all of that, so no generated structs are needed.

mod decode;
mod encode;
mod envelope;
mod wire;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod vectors;

use serde_json::Value;
use thiserror::Error;

use crate::types::{TypeRef, table};

/// Levels of messages a document may have, envelopes inside it counted.
pub const MAX_DEPTH: usize = 100;

/// Messages a document to decode may have.
///
/// An empty message of two bytes becomes an object with all its mandatory fields, so the number
/// of messages bounds the memory a hostile document can take.
pub const MAX_MESSAGES: usize = 100_000;

/// What the bytes of every document start with.
pub const MAGIC: &[u8; 4] = b"k8s\0";

/// A document in JSON form.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// The object, with its `apiVersion` and `kind`.
    pub value: Value,
}

/// A document that is not what it should be.
#[derive(Debug, Error)]
pub enum ProtobufError {
    /// The bytes do not start with [`MAGIC`].
    #[error("the body is not a Kubernetes protobuf document: it does not start with \"k8s\\0\"")]
    NotAnEnvelope,
    /// The kind is not built in; others have no protobuf form.
    #[error("no kind \"{kind}\" is registered for version \"{api_version}\"")]
    UnknownKind {
        /// The version asked for.
        api_version: String,
        /// The kind asked for.
        kind: String,
    },
    /// The envelope says its content is compressed or in another format.
    #[error("the content of the envelope is {0:?}, which is not supported")]
    Content(String),
    /// The bytes end inside a value.
    #[error("unexpected EOF in a protobuf document")]
    Truncated,
    /// A number is longer than 64 bits, or a tag is not one.
    #[error("proto: malformed {0}")]
    Malformed(&'static str),
    /// A field is encoded as something it is not.
    #[error("proto: wrong wireType = {wire_type} for field {field} of {message}")]
    WireType {
        /// Short name of the message.
        message: &'static str,
        /// Name of the field in JSON.
        field: &'static str,
        /// What was found.
        wire_type: u8,
    },
    /// Text is not UTF-8.
    #[error("proto: field {field} contains invalid UTF-8")]
    Utf8 {
        /// Name of the field in JSON.
        field: &'static str,
    },
    /// A number has no JSON form, or a time is out of range.
    #[error("proto: field {field} has a value out of range")]
    Range {
        /// Name of the field in JSON.
        field: &'static str,
    },
    /// More than [`MAX_DEPTH`] levels.
    #[error("the document is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// More than [`MAX_MESSAGES`] messages.
    #[error("the document has more than {MAX_MESSAGES} messages")]
    TooManyMessages,
    /// A watch event longer than its frame can say.
    #[error("a watch event of {0} bytes does not fit a frame")]
    TooLarge(usize),
    /// Bytes that hold JSON do not.
    #[error("field {field} does not hold JSON")]
    Json {
        /// Name of the field in JSON.
        field: &'static str,
        /// What the reader said.
        source: serde_json::Error,
    },
    /// A JSON value that does not fit its field.
    #[error("field {field} is not {expected}")]
    Value {
        /// Name of the field in JSON.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

/// Decodes a document: the envelope and the built-in kind inside it.
///
/// Unknown fields are skipped, as every protobuf reader does. Objects inside the object may be
/// JSON or envelopes of their own.
pub fn decode(bytes: &[u8]) -> Result<Decoded, ProtobufError> {
    decode::Decoder::new().document(bytes, None)
}

/// Decodes like [`decode`]; a document that does not name its kind is of the given one, as a
/// server assumes of a body sent to the path of a resource.
pub fn decode_as(bytes: &[u8], api_version: &str, kind: &str) -> Result<Decoded, ProtobufError> {
    decode::Decoder::new().document(bytes, Some((api_version, kind)))
}

/// Encodes an object of a built-in kind, envelope included.
///
/// Fields the kind does not have are left out, since they have no place on the wire. The bytes
/// are those a real server writes for the same object.
pub fn encode(value: &Value, api_version: &str, kind: &str) -> Result<Vec<u8>, ProtobufError> {
    let root = root_of(api_version, kind)?;
    let mut raw = Vec::new();
    encode::object(value, root, &mut raw)?;
    // Types without `apiVersion` and `kind`, such as WatchEvent, do not name themselves.
    let named = root.field("kind").is_some();
    let (api_version, kind) = if named { (api_version, kind) } else { ("", "") };
    Ok(envelope::write(api_version, kind, &raw))
}

/// One frame of a watch stream (`application/vnd.kubernetes.protobuf;stream=watch`).
///
/// A frame is four bytes of length, most significant first, and a `WatchEvent` without envelope,
/// which holds the `document` that [`encode`] made of the object.
///
/// # Errors
///
/// [`ProtobufError::TooLarge`] when the frame's length does not fit its four bytes.
pub fn watch_frame(event_type: &str, document: &[u8]) -> Result<Vec<u8>, ProtobufError> {
    envelope::watch_frame(event_type, document)
}

fn root_of(api_version: &str, kind: &str) -> Result<TypeRef, ProtobufError> {
    table().root_of(api_version, kind).ok_or_else(|| ProtobufError::UnknownKind {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
    })
}
