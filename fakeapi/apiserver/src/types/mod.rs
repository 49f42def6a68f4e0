//! What Kubernetes knows about its built-in types, as data: which fields an object has, how they
//! are written as JSON and as protobuf, and how they merge.
//!
//! Objects stay JSON in this crate; typed structs would drop what they do not know and say
//! nothing about merging. The table stands in for them: it drives the protobuf transcoder, field
//! validation, strategic merge patch and server-side apply.
//!
//! The table is embedded as compressed text, one entry a line, columns separated by tabs:
//!
//! ```text
//! M <message> <shape> <atomic or nothing>
//! F <number> <json name> <type> <flags> <list type> <list map keys> <merge key> <strategy> <default> <go type>
//! K <group> <version> <kind> <index of message>
//! ```
//!
//! A type is `i32 i64 f64 bool str bytes` or `@` and the index of a message. Flags are `r`epeated,
//! `m`ap, `p`ointer, `o`mitempty, omit`z`ero, `i`nline, `R`equired. A number of 0 is a field that
//! exists in JSON only. The type in Go is given where it cannot be told from the rest.

mod check;
mod duration;
mod field;
mod normalize;
mod parse;
mod prune;
mod time;

use std::sync::LazyLock;

pub use check::{FieldError, check};
pub use field::{Field, FieldType, ListType, PatchStrategy, Special};
pub use normalize::normalize;
pub use prune::{MAX_REPORTED_FIELDS, prune, unknown_fields};

pub use duration::{format_duration, parse_duration};
pub(crate) use field::Kind;
pub(crate) use normalize::{canonical_quantity, finish, zero};
pub(crate) use time::Instant;

/// Levels of nesting the walks over objects follow; deeper values are refused or left alone.
///
/// The JSON reader of `serde_json` stops at 128 levels itself.
pub const MAX_DEPTH: usize = 160;

/// The version-independent kinds every group version accepts.
const META_KINDS: [&str; 7] = [
    "CreateOptions",
    "DeleteOptions",
    "GetOptions",
    "ListOptions",
    "PatchOptions",
    "UpdateOptions",
    "WatchEvent",
];

/// Prefix of the messages of `meta.k8s.io/v1`.
const META: &str = "k8s.io.apimachinery.pkg.apis.meta.v1.";

static TABLE: LazyLock<TypeTable> = LazyLock::new(|| {
    parse::table(crate::generated::TYPES)
        .expect("the embedded table is made by `cargo xtask gen` and read by this module's tests")
});

/// Every built-in type.
pub struct TypeTable {
    /// Sorted by name.
    messages: Box<[Message]>,
    /// Sorted by group, version, kind.
    kinds: Box<[KindEntry]>,
}

struct KindEntry {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    root: TypeRef,
}

/// How a message is written as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Object,
    Time,
    MicroTime,
    Duration,
    Quantity,
    IntOrString,
    Raw,
    Json,
    Strings,
    SchemaOrArray,
    SchemaOrBool,
    SchemaOrStrings,
}

struct Message {
    name: &'static str,
    shape: Shape,
    atomic: bool,
    /// Its own fields, by number; embedded messages are one field here.
    fields: &'static [Field],
    /// Its fields as JSON shows them, by name; fields of embedded messages stand among them.
    json: Box<[&'static Field]>,
}

/// The table; the first call reads the embedded data, which takes a few milliseconds.
pub fn table() -> &'static TypeTable {
    &TABLE
}

impl TypeTable {
    /// The type of a kind, for instance of `("apps", "v1", "Deployment")`.
    ///
    /// List kinds, subresource kinds (`Scale`, `Eviction`, `TokenRequest`) and `Status` are
    /// included; the options kinds (`DeleteOptions`, ..) are found in every group version, as a
    /// real server accepts them there.
    pub fn root(&self, group: &str, version: &str, kind: &str) -> Option<TypeRef> {
        let wanted = (group, version, kind);
        let found = self
            .kinds
            .binary_search_by(|entry| (entry.group, entry.version, entry.kind).cmp(&wanted));
        if let Ok(position) = found {
            return Some(self.kinds[position].root);
        }
        let meta = META_KINDS.contains(&kind).then_some(kind)?;
        let found = self.messages.binary_search_by(|message| {
            let (prefix, rest) = message.name.split_at(META.len().min(message.name.len()));
            prefix.cmp(META).then_with(|| rest.cmp(meta))
        });
        found.ok().map(TypeRef::new)
    }

    /// The type of a kind given its `apiVersion`, such as `apps/v1` or `v1`.
    pub fn root_of(&self, api_version: &str, kind: &str) -> Option<TypeRef> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.root(group, version, kind)
    }

    /// A type by the full name of its message, such as `k8s.io.api.core.v1.PodSpec`.
    pub fn message(&self, name: &str) -> Option<TypeRef> {
        let found = self.messages.binary_search_by(|message| message.name.cmp(name));
        found.ok().map(TypeRef::new)
    }

    /// Every kind as group, version, kind and type.
    pub fn kinds(
        &self,
    ) -> impl Iterator<Item = (&'static str, &'static str, &'static str, TypeRef)> {
        self.kinds.iter().map(|entry| (entry.group, entry.version, entry.kind, entry.root))
    }
}

/// One type of the table: an object with fields.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TypeRef {
    index: u16,
}

impl TypeRef {
    /// `index` is a position in the table, which [`parse`] bounds to 16 bits.
    fn new(index: usize) -> Self {
        let index = u16::try_from(index).expect("the table's reader refuses larger tables");
        Self { index }
    }

    fn get(self) -> &'static Message {
        &table().messages[usize::from(self.index)]
    }

    /// Full name of the message, such as `k8s.io.api.core.v1.PodSpec`.
    pub fn name(self) -> &'static str {
        self.get().name
    }

    /// Name of the Go type without its package, such as `PodSpec`.
    pub fn short_name(self) -> &'static str {
        self.name().rsplit('.').next().unwrap_or_default()
    }

    /// A field by its name in JSON. Fields of embedded messages are found too.
    pub fn field(self, name: &str) -> Option<&'static Field> {
        let fields = &self.get().json;
        let position = fields.binary_search_by(|field| field.name.cmp(name)).ok()?;
        Some(fields[position])
    }

    /// All fields as JSON shows them, sorted by name.
    pub fn fields(self) -> impl ExactSizeIterator<Item = &'static Field> {
        self.get().json.iter().copied()
    }

    /// Whether the type as a whole has one owner in server-side apply (`structType=atomic`).
    pub fn is_atomic(self) -> bool {
        self.get().atomic
    }

    /// Fields as the wire shows them, sorted by number.
    pub(crate) fn wire_fields(self) -> &'static [Field] {
        self.get().fields
    }

    pub(crate) fn shape(self) -> Shape {
        self.get().shape
    }
}

impl std::fmt::Debug for TypeRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(api_version: &str, kind: &str) -> TypeRef {
        table().root_of(api_version, kind).expect("a built-in kind")
    }

    #[test]
    fn finds_kinds_of_every_sort() {
        for (api_version, kind, message) in [
            ("v1", "Pod", "k8s.io.api.core.v1.Pod"),
            ("v1", "PodList", "k8s.io.api.core.v1.PodList"),
            ("v1", "Status", "k8s.io.apimachinery.pkg.apis.meta.v1.Status"),
            ("v1", "Binding", "k8s.io.api.core.v1.Binding"),
            ("v1", "DeleteOptions", "k8s.io.apimachinery.pkg.apis.meta.v1.DeleteOptions"),
            (
                "example.com/v7",
                "DeleteOptions",
                "k8s.io.apimachinery.pkg.apis.meta.v1.DeleteOptions",
            ),
            ("apps/v1", "WatchEvent", "k8s.io.apimachinery.pkg.apis.meta.v1.WatchEvent"),
            (
                "meta.k8s.io/v1",
                "PartialObjectMetadata",
                "k8s.io.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata",
            ),
            ("policy/v1", "Eviction", "k8s.io.api.policy.v1.Eviction"),
            ("autoscaling/v1", "Scale", "k8s.io.api.autoscaling.v1.Scale"),
            (
                "authentication.k8s.io/v1",
                "TokenRequest",
                "k8s.io.api.authentication.v1.TokenRequest",
            ),
            (
                "authorization.k8s.io/v1",
                "SelfSubjectAccessReview",
                "k8s.io.api.authorization.v1.SelfSubjectAccessReview",
            ),
            (
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
                "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
            ),
            (
                "apiregistration.k8s.io/v1",
                "APIService",
                "k8s.io.kube_aggregator.pkg.apis.apiregistration.v1.APIService",
            ),
        ] {
            assert_eq!(root(api_version, kind).name(), message, "{api_version} {kind}");
        }
        assert!(table().root_of("v1", "Nothing").is_none());
        assert!(table().root_of("apps/v1", "Pod").is_none());
    }

    #[test]
    fn fields_know_how_they_merge() {
        let FieldType::Message(spec) = root("v1", "Pod").field("spec").expect("spec").field_type()
        else {
            panic!("a spec is a message");
        };
        let containers = spec.field("containers").expect("containers");
        assert!(containers.repeated && containers.required);
        assert_eq!(containers.patch_merge_key, Some("name"));
        assert!(containers.patch_strategy.merge && !containers.patch_strategy.retain_keys);
        assert_eq!(containers.list_type, Some(ListType::Map(&["name"])));
        let volumes = spec.field("volumes").expect("volumes");
        assert!(volumes.patch_strategy.merge && volumes.patch_strategy.retain_keys);
        let FieldType::Message(volume) = volumes.field_type() else { panic!("a message") };
        assert!(volume.field("emptyDir").is_some(), "fields of embedded messages are found");
        assert!(volume.field("volumeSource").is_none(), "the embedded message itself is not");
        let FieldType::Message(container) = containers.field_type() else { panic!("a message") };
        let ports = container.field("ports").expect("ports");
        assert_eq!(ports.list_type, Some(ListType::Map(&["containerPort", "protocol"])));
        assert_eq!(ports.patch_merge_key, Some("containerPort"));
        let FieldType::Message(port) = ports.field_type() else { panic!("a message") };
        assert_eq!(port.field("protocol").expect("protocol").default_json, Some("\"TCP\""));
    }

    #[test]
    fn recursive_types_are_read() {
        let schema = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
        let schema = table().message(schema).expect("JSONSchemaProps");
        let not = schema.field("not").expect("not");
        assert_eq!(not.field_type(), FieldType::Message(schema));
        let items = schema.field("items").expect("items");
        assert_eq!(items.field_type(), FieldType::Special(Special::SchemaOrArray(schema)));
    }
}
