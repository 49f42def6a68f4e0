//! Protobuf to JSON. The bytes come from strangers: every length is checked, and depth and
//! number of messages are bounded.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Number, Value, json};

use super::{
    Decoded, MAGIC, MAX_DEPTH, MAX_MESSAGES, ProtobufError, envelope, root_of,
    wire::{Reader, WireValue},
};
use crate::types::{
    Field, Instant, Kind, Shape, TypeRef, canonical_quantity, finish, format_duration, zero,
};

/// Doubles up to here hold every whole number exactly; Go writes those without a point.
const EXACT_WHOLE: f64 = 9_007_199_254_740_992.0;

/// Decodes one document and counts what it has used of its bounds.
pub(super) struct Decoder {
    depth: usize,
    messages: usize,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { depth: 0, messages: 0 }
    }

    /// An envelope and what is in it, which is of the `default` kind when it does not say.
    pub(super) fn document(
        &mut self,
        bytes: &[u8],
        default: Option<(&str, &str)>,
    ) -> Result<Decoded, ProtobufError> {
        let envelope = envelope::read(bytes)?;
        let named = match default {
            Some(default) if envelope.kind.is_empty() => default,
            _ => (envelope.api_version, envelope.kind),
        };
        let (api_version, kind) = (named.0.to_owned(), named.1.to_owned());
        let mut value = if envelope.is_json {
            json_of("raw", envelope.raw)?
        } else {
            let root = root_of(&api_version, &kind)?;
            let value = self.nested(|decoder| decoder.object(envelope.raw, root, Map::new()))?;
            if root.field("kind").is_none() {
                return Ok(Decoded { api_version, kind, value });
            }
            value
        };
        if let Value::Object(fields) = &mut value {
            fields.insert("apiVersion".to_owned(), json!(api_version));
            fields.insert("kind".to_owned(), json!(kind));
        }
        Ok(Decoded { api_version, kind, value })
    }

    /// Runs a step one level deeper.
    fn nested<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, ProtobufError>,
    ) -> Result<T, ProtobufError> {
        if self.depth >= MAX_DEPTH {
            return Err(ProtobufError::TooDeep);
        }
        if self.messages >= MAX_MESSAGES {
            return Err(ProtobufError::TooManyMessages);
        }
        self.depth += 1;
        self.messages += 1;
        let result = step(self);
        self.depth -= 1;
        result
    }

    /// Reads fields into `into`, which holds what earlier parts of the same message gave.
    fn object(
        &mut self,
        bytes: &[u8],
        of: TypeRef,
        mut into: Map<String, Value>,
    ) -> Result<Value, ProtobufError> {
        self.fields(bytes, of, &mut into)?;
        finish(&mut into, of);
        Ok(Value::Object(into))
    }

    fn fields(
        &mut self,
        bytes: &[u8],
        of: TypeRef,
        into: &mut Map<String, Value>,
    ) -> Result<(), ProtobufError> {
        let fields = of.wire_fields();
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.field()? {
            let Ok(position) = fields.binary_search_by_key(&number, |field| field.number) else {
                continue;
            };
            let field = &fields[position];
            let at = Place { field, message: of };
            if field.inline
                && let Kind::Message(embedded) = field.kind
            {
                let bytes = at.bytes(wire)?;
                self.nested(|decoder| decoder.fields(bytes, embedded, into))?;
            } else if field.map {
                self.map_entry(&at, wire, into)?;
            } else if field.repeated {
                self.list_item(&at, wire, into)?;
            } else {
                let before = into.remove(field.name);
                let value = self.single(&at, wire, before)?;
                into.insert(field.name.to_owned(), value);
            }
        }
        Ok(())
    }

    fn map_entry(
        &mut self,
        at: &Place,
        wire: WireValue<'_>,
        into: &mut Map<String, Value>,
    ) -> Result<(), ProtobufError> {
        let mut key = String::new();
        let mut value = None;
        let mut reader = Reader::new(at.bytes(wire)?);
        while let Some((number, wire)) = reader.field()? {
            match number {
                1 => at.text(wire)?.clone_into(&mut key),
                2 => value = Some(self.single(at, wire, value.take())?),
                _ => {}
            }
        }
        let value = value.unwrap_or_else(|| match at.field.kind {
            // Go starts from empty bytes here, not from none.
            Kind::Bytes => json!(""),
            _ => zero(at.field.field_type()),
        });
        let entries = into.entry(at.field.name).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(entries) = entries {
            entries.insert(key, value);
        }
        Ok(())
    }

    fn list_item(
        &mut self,
        at: &Place,
        wire: WireValue<'_>,
        into: &mut Map<String, Value>,
    ) -> Result<(), ProtobufError> {
        let mut items = Vec::new();
        match (at.field.kind, wire) {
            // A packed list of numbers, which readers must take although Kubernetes writes none.
            (Kind::Int32 | Kind::Int64 | Kind::Bool | Kind::Double, WireValue::Bytes(bytes)) => {
                let mut reader = Reader::new(bytes);
                while !reader.is_empty() {
                    let wire = match at.field.kind {
                        Kind::Double => WireValue::Fixed64(reader.fixed64()?),
                        _ => WireValue::Varint(reader.varint()?),
                    };
                    items.push(self.single(at, wire, None)?);
                }
            }
            _ => items.push(self.single(at, wire, None)?),
        }
        let list = into.entry(at.field.name).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.append(&mut items);
        }
        Ok(())
    }

    /// One value; `before` is what the same field held already, into which messages merge.
    fn single(
        &mut self,
        at: &Place,
        wire: WireValue<'_>,
        before: Option<Value>,
    ) -> Result<Value, ProtobufError> {
        Ok(match at.field.kind {
            Kind::Int32 => json!(low_32_bits(at.varint(wire)?)),
            Kind::Int64 => json!(at.varint(wire)?.cast_signed()),
            Kind::Bool => Value::Bool(at.varint(wire)? != 0),
            Kind::Double => at.double(wire)?,
            Kind::String => Value::String(at.text(wire)?.to_owned()),
            Kind::Bytes => Value::String(STANDARD.encode(at.bytes(wire)?)),
            Kind::Message(message) => {
                let bytes = at.bytes(wire)?;
                self.nested(|decoder| decoder.any_message(at, message, bytes, before))?
            }
        })
    }

    fn any_message(
        &mut self,
        at: &Place,
        of: TypeRef,
        bytes: &[u8],
        before: Option<Value>,
    ) -> Result<Value, ProtobufError> {
        let field = at.field.name;
        Ok(match of.shape() {
            Shape::Object => {
                let into = match before {
                    Some(Value::Object(fields)) => fields,
                    _ => Map::new(),
                };
                self.object(bytes, of, into)?
            }
            Shape::Time => json!(at.instant(bytes)?.map(Instant::to_text)),
            Shape::MicroTime => json!(at.instant(bytes)?.map(Instant::to_micro_text)),
            Shape::Duration => {
                let nanos = at.scalars(bytes)?.numbers[0];
                json!(format_duration(nanos.cast_signed()))
            }
            Shape::Quantity => match at.scalars(bytes)?.texts[0] {
                "" => json!("0"),
                text => match canonical_quantity(&json!(text)) {
                    Some(canonical) => json!(canonical),
                    None => return Err(ProtobufError::Value { field, expected: "a quantity" }),
                },
            },
            Shape::IntOrString => {
                let scalars = at.scalars(bytes)?;
                match scalars.numbers[0] {
                    0 => json!(low_32_bits(scalars.numbers[1])),
                    1 => json!(scalars.texts[2]),
                    _ => return Err(ProtobufError::Range { field }),
                }
            }
            Shape::Raw | Shape::Json => self.raw(at, bytes)?,
            Shape::Strings => {
                let mut items = Vec::new();
                let mut reader = Reader::new(bytes);
                while let Some((number, wire)) = reader.field()? {
                    if number == 1 {
                        items.push(Value::String(at.text(wire)?.to_owned()));
                    }
                }
                Value::Array(items)
            }
            Shape::SchemaOrArray | Shape::SchemaOrBool | Shape::SchemaOrStrings => {
                self.schema_or(of, bytes)?
            }
        })
    }

    /// Bytes that hold JSON or an envelope; none are null.
    fn raw(&mut self, at: &Place, bytes: &[u8]) -> Result<Value, ProtobufError> {
        let mut raw: &[u8] = &[];
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.field()? {
            if number == 1 {
                raw = at.bytes(wire)?;
            }
        }
        if raw.is_empty() {
            Ok(Value::Null)
        } else if raw.starts_with(MAGIC) {
            Ok(self.document(raw, None)?.value)
        } else {
            json_of(at.field.name, raw)
        }
    }

    /// A schema or something else: a list, when there is one, stands before the schema, and that
    /// before a truth value.
    fn schema_or(&mut self, of: TypeRef, bytes: &[u8]) -> Result<Value, ProtobufError> {
        let mut members = Map::new();
        self.fields(bytes, of, &mut members)?;
        let mut chosen = None;
        for member in of.wire_fields() {
            let Some(value) = members.remove(member.name) else {
                continue;
            };
            let is_better = match &chosen {
                None | Some(Value::Bool(_)) => true,
                Some(_) => member.repeated,
            };
            if is_better {
                chosen = Some(value);
            }
        }
        Ok(chosen.unwrap_or(match of.shape() {
            Shape::SchemaOrBool => Value::Bool(false),
            _ => Value::Null,
        }))
    }
}

/// A field of a message, for reading its values and naming it in errors.
struct Place {
    field: &'static Field,
    message: TypeRef,
}

/// The fields of a small message with a form of its own, by number less one.
#[derive(Default)]
struct Scalars<'b> {
    numbers: [u64; 3],
    texts: [&'b str; 3],
}

impl Place {
    fn wrong(&self, wire: WireValue<'_>) -> ProtobufError {
        ProtobufError::WireType {
            message: self.message.short_name(),
            field: self.field.name,
            wire_type: wire.wire_type(),
        }
    }

    fn bytes<'b>(&self, wire: WireValue<'b>) -> Result<&'b [u8], ProtobufError> {
        match wire {
            WireValue::Bytes(bytes) => Ok(bytes),
            other => Err(self.wrong(other)),
        }
    }

    fn text<'b>(&self, wire: WireValue<'b>) -> Result<&'b str, ProtobufError> {
        std::str::from_utf8(self.bytes(wire)?)
            .map_err(|_| ProtobufError::Utf8 { field: self.field.name })
    }

    fn varint(&self, wire: WireValue<'_>) -> Result<u64, ProtobufError> {
        match wire {
            WireValue::Varint(value) => Ok(value),
            other => Err(self.wrong(other)),
        }
    }

    fn double(&self, wire: WireValue<'_>) -> Result<Value, ProtobufError> {
        let WireValue::Fixed64(bits) = wire else {
            return Err(self.wrong(wire));
        };
        let value = f64::from_bits(bits);
        if value.fract() == 0.0 && value.abs() < EXACT_WHOLE {
            // The text of such a double is that of the whole number.
            let whole: i64 = format!("{value:.0}").parse().unwrap_or_default();
            return Ok(json!(whole));
        }
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or(ProtobufError::Range { field: self.field.name })
    }

    fn scalars<'b>(&self, bytes: &'b [u8]) -> Result<Scalars<'b>, ProtobufError> {
        let mut scalars = Scalars::default();
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.field()? {
            let Some(position) = (number as usize).checked_sub(1).filter(|p| *p < 3) else {
                continue;
            };
            match wire {
                WireValue::Varint(value) => scalars.numbers[position] = value,
                wire => scalars.texts[position] = self.text(wire)?,
            }
        }
        Ok(scalars)
    }

    /// Seconds and nanoseconds; an empty message is no time.
    fn instant(&self, bytes: &[u8]) -> Result<Option<Instant>, ProtobufError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let [seconds, nanos, _] = self.scalars(bytes)?.numbers;
        Instant::from_unix(seconds.cast_signed(), low_32_bits(nanos))
            .map_err(|_| ProtobufError::Range { field: self.field.name })
    }
}

/// Numbers of 32 bits are on the wire with 64; what is above is cut, as every reader does.
fn low_32_bits(value: u64) -> i32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

fn json_of(field: &'static str, bytes: &[u8]) -> Result<Value, ProtobufError> {
    serde_json::from_slice(bytes).map_err(|source| ProtobufError::Json { field, source })
}
