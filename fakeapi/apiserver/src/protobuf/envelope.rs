//! The envelope around every document: `k8s\0` and a `runtime.Unknown` message.

use super::{
    MAGIC, ProtobufError,
    wire::{Reader, WireValue, write_bytes_field},
};

/// Content types of the envelope's content that are protobuf; clients leave it empty.
const PROTOBUF_TYPES: [&str; 2] = ["", "application/vnd.kubernetes.protobuf"];
const JSON_TYPE: &str = "application/json";

/// Numbers of the fields of `runtime.Unknown`, of the `TypeMeta` in it, and of `WatchEvent`.
mod number {
    pub(super) const TYPE_META: u32 = 1;
    pub(super) const RAW: u32 = 2;
    pub(super) const CONTENT_ENCODING: u32 = 3;
    pub(super) const CONTENT_TYPE: u32 = 4;
    pub(super) const API_VERSION: u32 = 1;
    pub(super) const KIND: u32 = 2;
    pub(super) const EVENT_TYPE: u32 = 1;
    pub(super) const EVENT_OBJECT: u32 = 2;
    pub(super) const EXTENSION_RAW: u32 = 1;
}

/// An envelope taken apart.
pub(super) struct Envelope<'b> {
    pub(super) api_version: &'b str,
    pub(super) kind: &'b str,
    pub(super) raw: &'b [u8],
    /// Whether the content is JSON instead of protobuf.
    pub(super) is_json: bool,
}

pub(super) fn read(bytes: &[u8]) -> Result<Envelope<'_>, ProtobufError> {
    let unknown = bytes.strip_prefix(MAGIC).ok_or(ProtobufError::NotAnEnvelope)?;
    let mut envelope = Envelope { api_version: "", kind: "", raw: &[], is_json: false };
    let mut reader = Reader::new(unknown);
    while let Some((number, value)) = reader.field()? {
        match number {
            number::TYPE_META => {
                let mut meta = Reader::new(bytes_of("typeMeta", value)?);
                while let Some((number, value)) = meta.field()? {
                    match number {
                        number::API_VERSION => envelope.api_version = text("apiVersion", value)?,
                        number::KIND => envelope.kind = text("kind", value)?,
                        _ => {}
                    }
                }
            }
            number::RAW => envelope.raw = bytes_of("raw", value)?,
            number::CONTENT_ENCODING => match text("contentEncoding", value)? {
                "" => {}
                other => return Err(ProtobufError::Content(other.to_owned())),
            },
            number::CONTENT_TYPE => match text("contentType", value)? {
                JSON_TYPE => envelope.is_json = true,
                known if PROTOBUF_TYPES.contains(&known) => {}
                other => return Err(ProtobufError::Content(other.to_owned())),
            },
            _ => {}
        }
    }
    Ok(envelope)
}

pub(super) fn write(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let mut meta = Vec::with_capacity(api_version.len() + kind.len() + 4);
    write_bytes_field(&mut meta, number::API_VERSION, api_version.as_bytes());
    write_bytes_field(&mut meta, number::KIND, kind.as_bytes());
    let mut out = Vec::with_capacity(raw.len() + meta.len() + 24);
    out.extend_from_slice(MAGIC);
    write_bytes_field(&mut out, number::TYPE_META, &meta);
    write_bytes_field(&mut out, number::RAW, raw);
    write_bytes_field(&mut out, number::CONTENT_ENCODING, b"");
    write_bytes_field(&mut out, number::CONTENT_TYPE, b"");
    out
}

pub(super) fn watch_frame(event_type: &str, document: &[u8]) -> Result<Vec<u8>, ProtobufError> {
    let mut object = Vec::with_capacity(document.len() + 8);
    write_bytes_field(&mut object, number::EXTENSION_RAW, document);
    let mut frame = vec![0; 4];
    frame.reserve(object.len() + event_type.len() + 16);
    write_bytes_field(&mut frame, number::EVENT_TYPE, event_type.as_bytes());
    write_bytes_field(&mut frame, number::EVENT_OBJECT, &object);
    let length = frame.len() - 4;
    let prefix = u32::try_from(length).map_err(|_| ProtobufError::TooLarge(length))?;
    frame[..4].copy_from_slice(&prefix.to_be_bytes());
    Ok(frame)
}

fn bytes_of<'b>(field: &'static str, value: WireValue<'b>) -> Result<&'b [u8], ProtobufError> {
    match value {
        WireValue::Bytes(bytes) => Ok(bytes),
        other => {
            let wire_type = other.wire_type();
            Err(ProtobufError::WireType { message: "Unknown", field, wire_type })
        }
    }
}

fn text<'b>(field: &'static str, value: WireValue<'b>) -> Result<&'b str, ProtobufError> {
    let bytes = bytes_of(field, value)?;
    std::str::from_utf8(bytes).map_err(|_| ProtobufError::Utf8 { field })
}
