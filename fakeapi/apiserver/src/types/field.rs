//! One field of a type.

use super::{Shape, TypeRef};

/// A field of a type, as JSON shows it.
#[derive(Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a field, read as data")]
pub struct Field {
    /// Name in JSON.
    pub name: &'static str,
    /// Whether it is a list of its type.
    pub repeated: bool,
    /// Whether it is a map from text to its type.
    pub map: bool,
    /// Whether OpenAPI requires it.
    pub required: bool,
    /// How a list or map of it merges in server-side apply, when the type says so. A map can
    /// only be [`ListType::Atomic`].
    pub list_type: Option<ListType>,
    /// The field that identifies an item in strategic merge patch.
    pub patch_merge_key: Option<&'static str>,
    /// What strategic merge patch does with it.
    pub patch_strategy: PatchStrategy,
    /// The default OpenAPI gives, as JSON text.
    pub default_json: Option<&'static str>,
    /// Type in Go, where it cannot be told from the rest, for error texts.
    pub(crate) go_type: Option<&'static str>,
    /// Number on the wire; 0 when it is not on the wire.
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    /// In Go a pointer: absent and zero differ.
    pub(crate) pointer: bool,
    pub(crate) omit_empty: bool,
    pub(crate) omit_zero: bool,
    /// Its fields stand in the JSON of the message around it.
    pub(crate) inline: bool,
}

/// What a value of a field is made of, before it is repeated or mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Int32,
    Int64,
    Double,
    Bool,
    String,
    Bytes,
    Message(TypeRef),
}

/// The type of a field, or of its items when it is repeated or a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// A number without fraction in 32 bits.
    Int32,
    /// A number without fraction in 64 bits.
    Int64,
    /// Any number.
    Double,
    /// `true` or `false`.
    Bool,
    /// Text.
    String,
    /// Base64 text.
    Bytes,
    /// An object with fields.
    Message(TypeRef),
    /// A value with a form of its own in JSON.
    Special(Special),
}

/// Types whose JSON is not an object of their fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// RFC 3339 in whole seconds.
    Time,
    /// RFC 3339 in microseconds.
    MicroTime,
    /// A duration as Go writes it, such as `1h30m0s`.
    Duration,
    /// An amount, such as `100m` or `1Gi`.
    Quantity,
    /// A number or text.
    IntOrString,
    /// Any object, usually one with a kind of its own.
    RawExtension,
    /// Any value.
    Json,
    /// A list of text with a name of its own.
    Strings,
    /// A schema or a list of schemas.
    SchemaOrArray(TypeRef),
    /// A schema or a truth value.
    SchemaOrBool(TypeRef),
    /// A schema or a list of text.
    SchemaOrStrings(TypeRef),
}

/// How a list merges in server-side apply (`x-kubernetes-list-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListType {
    /// As a whole.
    Atomic,
    /// By value.
    Set,
    /// By the named fields of its items.
    Map(&'static [&'static str]),
}

/// What strategic merge patch does with a field (`x-kubernetes-patch-strategy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PatchStrategy {
    /// A list merges, by its merge key or by value, instead of being replaced.
    pub merge: bool,
    /// An object is replaced instead of merged.
    pub replace: bool,
    /// An object keeps only the keys the patch names in `$retainKeys`.
    pub retain_keys: bool,
}

impl Field {
    /// The type of the field, or of its items when it is repeated or a map.
    pub fn field_type(&self) -> FieldType {
        match self.kind {
            Kind::Int32 => FieldType::Int32,
            Kind::Int64 => FieldType::Int64,
            Kind::Double => FieldType::Double,
            Kind::Bool => FieldType::Bool,
            Kind::String => FieldType::String,
            Kind::Bytes => FieldType::Bytes,
            Kind::Message(message) => message.field_type(),
        }
    }
}

impl TypeRef {
    pub(crate) fn field_type(self) -> FieldType {
        FieldType::Special(match self.shape() {
            Shape::Object => return FieldType::Message(self),
            Shape::Time => Special::Time,
            Shape::MicroTime => Special::MicroTime,
            Shape::Duration => Special::Duration,
            Shape::Quantity => Special::Quantity,
            Shape::IntOrString => Special::IntOrString,
            Shape::Raw => Special::RawExtension,
            Shape::Json => Special::Json,
            Shape::Strings => Special::Strings,
            Shape::SchemaOrArray => Special::SchemaOrArray(self.schema()),
            Shape::SchemaOrBool => Special::SchemaOrBool(self.schema()),
            Shape::SchemaOrStrings => Special::SchemaOrStrings(self.schema()),
        })
    }

    /// The schema inside a message that holds a schema or something else.
    pub(crate) fn schema(self) -> Self {
        self.wire_fields()
            .iter()
            .find_map(|field| match field.kind {
                Kind::Message(schema) => Some(schema),
                _ => None,
            })
            .unwrap_or(self)
    }
}
