//! JSON to protobuf, fields in the order of their numbers.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::{
    MAX_DEPTH, ProtobufError,
    wire::{WireType, write_bytes_field, write_message_field, write_tag, write_varint_field},
};
use crate::types::{Field, Instant, Kind, Shape, TypeRef, canonical_quantity, parse_duration};

/// What stands for a message that is not there.
static NULL: Value = Value::Null;

type Written = Result<(), ProtobufError>;

/// Encodes the root object, without envelope.
pub(super) fn object(value: &Value, of: TypeRef, out: &mut Vec<u8>) -> Written {
    match value {
        Value::Object(fields) => message_fields(fields, of, out, 0),
        _ => Err(ProtobufError::Value { field: "", expected: "an object" }),
    }
}

fn message_fields(
    fields: &Map<String, Value>,
    of: TypeRef,
    out: &mut Vec<u8>,
    depth: usize,
) -> Written {
    if depth > MAX_DEPTH {
        return Err(ProtobufError::TooDeep);
    }
    for field in of.wire_fields().iter().filter(|field| field.number > 0) {
        if field.inline
            && let Kind::Message(embedded) = field.kind
        {
            write_message_field(out, field.number, |out| {
                message_fields(fields, embedded, out, depth + 1)
            })?;
            continue;
        }
        let value = fields.get(field.name).unwrap_or(&NULL);
        match value {
            Value::Array(items) if field.repeated => {
                items.iter().try_for_each(|item| single(field, field.number, item, out, depth))?;
            }
            Value::Object(entries) if field.map => map(field, entries, out, depth)?,
            Value::Null if field.repeated || field.map || field.pointer => {}
            Value::Null if field.kind == Kind::Bytes => {}
            _ if field.repeated => return Err(wrong(field, "a list")),
            _ if field.map => return Err(wrong(field, "a map")),
            value => single(field, field.number, value, out, depth)?,
        }
    }
    Ok(())
}

/// Entries in the order of their keys, as Go writes them.
fn map(field: &Field, entries: &Map<String, Value>, out: &mut Vec<u8>, depth: usize) -> Written {
    let mut sorted: Vec<(&String, &Value)> = entries.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    for (key, value) in sorted {
        write_message_field(out, field.number, |out| {
            write_bytes_field(out, 1, key.as_bytes());
            if value.is_null() && field.kind == Kind::Bytes {
                return Ok(());
            }
            single(field, 2, value, out, depth)
        })?;
    }
    Ok(())
}

/// One value of a field's type; null is its zero value.
fn single(field: &Field, number: u32, value: &Value, out: &mut Vec<u8>, depth: usize) -> Written {
    match field.kind {
        Kind::Int32 => {
            let found = integer(field, value)?;
            if i32::try_from(found).is_err() {
                return Err(wrong(field, "a whole number of 32 bits"));
            }
            write_varint_field(out, number, found.cast_unsigned());
        }
        Kind::Int64 => write_varint_field(out, number, integer(field, value)?.cast_unsigned()),
        Kind::Double => {
            let found = match value {
                Value::Null => 0.0,
                value => value.as_f64().ok_or_else(|| wrong(field, "a number"))?,
            };
            write_tag(out, number, WireType::Fixed64);
            out.extend_from_slice(&found.to_bits().to_le_bytes());
        }
        Kind::Bool => {
            let found = match value {
                Value::Null => false,
                value => value.as_bool().ok_or_else(|| wrong(field, "true or false"))?,
            };
            write_varint_field(out, number, u64::from(found));
        }
        Kind::String => write_bytes_field(out, number, text(field, value)?.as_bytes()),
        Kind::Bytes => {
            let found =
                STANDARD.decode(text(field, value)?).map_err(|_| wrong(field, "base64 text"))?;
            write_bytes_field(out, number, &found);
        }
        Kind::Message(message) => {
            return write_message_field(out, number, |out| {
                any_message(field, message, value, out, depth + 1)
            });
        }
    }
    Ok(())
}

/// The content of a message, whatever its form in JSON.
fn any_message(
    field: &Field,
    of: TypeRef,
    value: &Value,
    out: &mut Vec<u8>,
    depth: usize,
) -> Written {
    match of.shape() {
        Shape::Object => match value {
            Value::Object(fields) => message_fields(fields, of, out, depth)?,
            Value::Null => message_fields(&Map::new(), of, out, depth)?,
            _ => return Err(wrong(field, "an object")),
        },
        Shape::Time => {
            if let Some(time) = instant(field, value)? {
                write_varint_field(out, 1, time.seconds().cast_unsigned());
                write_varint_field(out, 2, 0);
            }
        }
        Shape::MicroTime => {
            if let Some(time) = instant(field, value)? {
                write_varint_field(out, 1, time.seconds().cast_unsigned());
                write_varint_field(out, 2, i64::from(time.micro_nanos()).cast_unsigned());
            }
        }
        Shape::Duration => {
            let nanos = match value {
                Value::Null => 0,
                value => value
                    .as_str()
                    .and_then(parse_duration)
                    .ok_or_else(|| wrong(field, "a duration"))?,
            };
            write_varint_field(out, 1, nanos.cast_unsigned());
        }
        Shape::Quantity => match value {
            Value::Null => write_bytes_field(out, 1, b"0"),
            value => {
                let canonical =
                    canonical_quantity(value).ok_or_else(|| wrong(field, "a quantity"))?;
                write_bytes_field(out, 1, canonical.as_bytes());
            }
        },
        Shape::IntOrString => int_or_string(field, value, out)?,
        Shape::Raw | Shape::Json => {
            if !value.is_null() {
                write_bytes_field(out, 1, value.to_string().as_bytes());
            }
        }
        Shape::Strings => strings(field, 1, value, out)?,
        Shape::SchemaOrArray | Shape::SchemaOrBool | Shape::SchemaOrStrings => {
            schema_or(field, of, value, out, depth)?;
        }
    }
    Ok(())
}

/// `IntOrString` has a type (0 number, 1 text), a number and a text, all always written.
fn int_or_string(field: &Field, value: &Value, out: &mut Vec<u8>) -> Written {
    let (kind, number, text) = match value {
        Value::Null => (0, 0, ""),
        Value::String(text) => (1, 0, text.as_str()),
        Value::Number(number) => {
            let number = number.as_i64().filter(|number| i32::try_from(*number).is_ok());
            (0, number.ok_or_else(|| wrong(field, "a whole number of 32 bits"))?, "")
        }
        _ => return Err(wrong(field, "a number or text")),
    };
    write_varint_field(out, 1, kind);
    write_varint_field(out, 2, number.cast_unsigned());
    write_bytes_field(out, 3, text.as_bytes());
    Ok(())
}

/// A schema or something else; the table holds the two fields of each such message.
fn schema_or(
    field: &Field,
    of: TypeRef,
    value: &Value,
    out: &mut Vec<u8>,
    depth: usize,
) -> Written {
    for member in of.wire_fields() {
        match (member.kind, value) {
            (Kind::Bool, value) => {
                // A schema allows, and so does `true`.
                let allows = value.is_object() || value.as_bool().unwrap_or(false);
                write_varint_field(out, member.number, u64::from(allows));
            }
            (Kind::Message(_), Value::Object(_)) if !member.repeated => {
                single(member, member.number, value, out, depth)?;
            }
            (Kind::Message(_), Value::Array(items)) if member.repeated => {
                items
                    .iter()
                    .try_for_each(|item| single(member, member.number, item, out, depth))?;
            }
            (Kind::String, Value::Array(_)) => strings(field, member.number, value, out)?,
            _ => {}
        }
    }
    match (of.shape(), value) {
        (_, Value::Null | Value::Object(_))
        | (Shape::SchemaOrBool, Value::Bool(_))
        | (Shape::SchemaOrArray | Shape::SchemaOrStrings, Value::Array(_)) => Ok(()),
        _ => Err(wrong(field, "a schema or what may stand for it")),
    }
}

fn strings(field: &Field, number: u32, value: &Value, out: &mut Vec<u8>) -> Written {
    match value {
        Value::Null => {}
        Value::Array(items) => {
            for item in items {
                write_bytes_field(out, number, text(field, item)?.as_bytes());
            }
        }
        _ => return Err(wrong(field, "a list of text")),
    }
    Ok(())
}

fn instant(field: &Field, value: &Value) -> Result<Option<Instant>, ProtobufError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Instant::parse(text).map_err(|_| wrong(field, "an RFC 3339 time")),
        _ => Err(wrong(field, "an RFC 3339 time")),
    }
}

fn integer(field: &Field, value: &Value) -> Result<i64, ProtobufError> {
    match value {
        Value::Null => Ok(0),
        value => value.as_i64().ok_or_else(|| wrong(field, "a whole number")),
    }
}

fn text<'v>(field: &Field, value: &'v Value) -> Result<&'v str, ProtobufError> {
    match value {
        Value::Null => Ok(""),
        value => value.as_str().ok_or_else(|| wrong(field, "text")),
    }
}

fn wrong(field: &Field, expected: &'static str) -> ProtobufError {
    ProtobufError::Value { field: field.name, expected }
}
