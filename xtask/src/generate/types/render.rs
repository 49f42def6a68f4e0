//! Joins the three sources and writes the table as text, a line an entry.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use anyhow::{Context as _, bail, ensure};
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind as ProtoKind, MessageDescriptor};
use serde_json::Value;

use super::{
    golang::{GoField, Source},
    proto_package,
    schema::{Schemas, properties, requires},
};

const TYPE_META: &str = "k8s.io.apimachinery.pkg.apis.meta.v1.TypeMeta";

/// The envelope around every message on the wire; it is never part of an object.
const ENVELOPE: &str = "k8s.io.apimachinery.pkg.runtime.Unknown";

/// Messages whose JSON is not an object of their fields.
const SHAPES: [(&str, &str); 8] = [
    ("k8s.io.apimachinery.pkg.apis.meta.v1.Time", "time"),
    ("k8s.io.apimachinery.pkg.apis.meta.v1.MicroTime", "microTime"),
    ("k8s.io.apimachinery.pkg.apis.meta.v1.Duration", "duration"),
    ("k8s.io.apimachinery.pkg.apis.meta.v1.FieldsV1", "json"),
    ("k8s.io.apimachinery.pkg.api.resource.Quantity", "quantity"),
    ("k8s.io.apimachinery.pkg.api.resource.QuantityValue", "quantity"),
    ("k8s.io.apimachinery.pkg.util.intstr.IntOrString", "intOrString"),
    ("k8s.io.apimachinery.pkg.runtime.RawExtension", "raw"),
];

/// Shapes of the extension API's messages, in whatever version, by their own name.
const EXTENSION_SHAPES: [(&str, &str); 4] = [
    ("JSON", "json"),
    ("JSONSchemaPropsOrArray", "schemaOrArray"),
    ("JSONSchemaPropsOrBool", "schemaOrBool"),
    ("JSONSchemaPropsOrStringArray", "schemaOrStrings"),
];
const EXTENSIONS: &str = "k8s.io.apiextensions_apiserver.";

struct Join<'a> {
    sources: &'a BTreeMap<String, Source>,
    schemas: &'a Schemas,
    index: BTreeMap<String, usize>,
    /// The schema an embedded message's fields are described in: that of a message around it.
    hosts: BTreeMap<String, String>,
}

/// The whole table.
pub(super) fn table(
    pool: &DescriptorPool,
    sources: &BTreeMap<String, Source>,
    schemas: &Schemas,
) -> anyhow::Result<String> {
    let mut messages: Vec<MessageDescriptor> = pool
        .all_messages()
        .filter(|message| !message.is_map_entry() && message.full_name() != ENVELOPE)
        .collect();
    messages.sort_by(|a, b| a.full_name().cmp(b.full_name()));
    let index = messages.iter().enumerate().map(|(i, m)| (m.full_name().to_owned(), i)).collect();
    let mut join = Join { sources, schemas, index, hosts: BTreeMap::new() };
    join.hosts = join.find_hosts(&messages)?;
    let mut text = String::new();
    for message in &messages {
        join.message(message, &mut text)
            .with_context(|| format!("message {}", message.full_name()))?;
    }
    join.kinds(&messages, &mut text)?;
    Ok(text)
}

impl Join<'_> {
    fn go_fields(&self, message: &MessageDescriptor) -> anyhow::Result<&[GoField]> {
        let mut package = message.package_name().to_owned();
        let mut name = message.name();
        loop {
            let source = self.sources.get(&package).context("no Go package")?;
            if let Some(fields) = source.structs.get(name) {
                return Ok(fields);
            }
            let (import, other) = source
                .renamed
                .get(name)
                .with_context(|| format!("no Go struct for {}", message.full_name()))?;
            package = proto_package(import);
            name = other;
        }
    }

    /// JSON shape of a message.
    fn shape(&self, message: &MessageDescriptor) -> &'static str {
        let name = message.full_name();
        if let Some((_, shape)) = SHAPES.iter().find(|(known, _)| *known == name) {
            return shape;
        }
        if name.starts_with(EXTENSIONS)
            && let Some((_, shape)) = EXTENSION_SHAPES.iter().find(|(n, _)| *n == message.name())
        {
            return shape;
        }
        let is_list = self
            .sources
            .get(message.package_name())
            .is_some_and(|source| source.lists.iter().any(|list| list == message.name()));
        if is_list { "strings" } else { "object" }
    }

    /// For every message embedded in others, one with a schema that describes its fields.
    fn find_hosts(
        &self,
        messages: &[MessageDescriptor],
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let mut hosts: BTreeMap<String, String> = BTreeMap::new();
        loop {
            let known = hosts.len();
            for message in messages.iter().filter(|message| self.shape(message) == "object") {
                let name = message.full_name();
                let own = self.schemas.of(name).is_some().then(|| name.to_owned());
                let Some(host) = own.or_else(|| hosts.get(name).cloned()) else {
                    continue;
                };
                for go in self.go_fields(message)?.iter().filter(|go| go.is_inline()) {
                    let Some(number) = go.number else { continue };
                    let field = message.get_field(number).context("an embedded field")?;
                    if let ProtoKind::Message(embedded) = field.kind() {
                        hosts
                            .entry(embedded.full_name().to_owned())
                            .or_insert_with(|| host.clone());
                    }
                }
            }
            if hosts.len() == known {
                return Ok(hosts);
            }
        }
    }

    fn schema(&self, message: &str) -> Option<&Value> {
        self.schemas.of(message).or_else(|| self.schemas.of(self.hosts.get(message)?))
    }

    fn message(&self, message: &MessageDescriptor, text: &mut String) -> anyhow::Result<()> {
        let name = message.full_name();
        let shape = self.shape(message);
        let schema = self.schema(name);
        let atomic = schema.is_some_and(|schema| schema["x-kubernetes-map-type"] == "atomic")
            && self.schemas.of(name).is_some();
        let atomic = if atomic { "atomic" } else { "" };
        writeln!(text, "M\t{name}\t{shape}\t{atomic}")?;
        if shape == "object" || shape.starts_with("schema") {
            self.fields(message, schema, text)?;
        }
        Ok(())
    }

    fn fields(
        &self,
        message: &MessageDescriptor,
        schema: Option<&Value>,
        text: &mut String,
    ) -> anyhow::Result<()> {
        let go_fields = self.go_fields(message)?;
        let mut wired = BTreeSet::new();
        for go in go_fields {
            match go.number {
                None if go.is_inline() && go.go_type.ends_with("TypeMeta") => {
                    let meta = self.index.get(TYPE_META).context("TypeMeta is no message")?;
                    writeln!(text, "F\t0\t\t@{meta}\ti\t\t\t\t\t\t")?;
                }
                None => bail!("field {:?} is on neither side of the wire", go.json),
                Some(number) => {
                    let field = message.get_field(number).with_context(|| {
                        format!("field {:?} has number {number}, the message not", go.json)
                    })?;
                    wired.insert(number);
                    self.field(go, &field, schema, text)?;
                }
            }
        }
        let missing: Vec<_> =
            message.fields().filter(|field| !wired.contains(&field.number())).collect();
        ensure!(missing.is_empty(), "no Go field for {missing:?}");
        Ok(())
    }

    fn field(
        &self,
        go: &GoField,
        field: &FieldDescriptor,
        schema: Option<&Value>,
        text: &mut String,
    ) -> anyhow::Result<()> {
        let kind = match field.kind() {
            ProtoKind::Message(entry) if entry.is_map_entry() => {
                ensure!(
                    matches!(entry.map_entry_key_field().kind(), ProtoKind::String),
                    "a map whose keys are no text"
                );
                entry.map_entry_value_field().kind()
            }
            kind => kind,
        };
        let mut flags = String::new();
        let flag = |set: bool, letter: char| set.then_some(letter);
        flags.extend(
            [
                flag(field.is_list(), 'r'),
                flag(field.is_map(), 'm'),
                flag(go.go_type.starts_with('*'), 'p'),
                flag(go.omit_empty, 'o'),
                flag(go.omit_zero, 'z'),
                flag(go.is_inline(), 'i'),
            ]
            .into_iter()
            .flatten(),
        );
        let property = schema.and_then(properties).and_then(|all| all.get(&go.json));
        if property.is_some() && schema.is_some_and(|schema| requires(schema, &go.json)) {
            flags.push('R');
        }
        writeln!(
            text,
            "F\t{}\t{}\t{}\t{flags}\t{}\t{}",
            field.number(),
            go.json,
            self.kind(&kind)?,
            merge_columns(property)?,
            go_column(go, field, &kind),
        )?;
        Ok(())
    }

    fn kind(&self, kind: &ProtoKind) -> anyhow::Result<String> {
        Ok(match kind {
            ProtoKind::Int32 => "i32".to_owned(),
            ProtoKind::Int64 => "i64".to_owned(),
            ProtoKind::Bool => "bool".to_owned(),
            ProtoKind::String => "str".to_owned(),
            ProtoKind::Bytes => "bytes".to_owned(),
            ProtoKind::Double => "f64".to_owned(),
            ProtoKind::Message(message) => {
                let index = self.index.get(message.full_name()).context("an unknown message")?;
                format!("@{index}")
            }
            other => bail!("the transcoder does not know {other:?}"),
        })
    }

    /// Kinds from the Go packages, completed by those only OpenAPI names.
    fn kinds(&self, messages: &[MessageDescriptor], text: &mut String) -> anyhow::Result<()> {
        let mut kinds = BTreeMap::new();
        for message in messages.iter().filter(|message| self.shape(message) == "object") {
            let source = self.sources.get(message.package_name()).context("no Go package")?;
            let Some(group) = &source.group else { continue };
            if self.go_fields(message)?.iter().any(GoField::is_type_meta) {
                let version = message.package_name().rsplit('.').next().unwrap_or_default();
                let key = (group.clone(), version.to_owned(), message.name().to_owned());
                kinds.insert(key, self.index[message.full_name()]);
            }
        }
        for kind in self.schemas.kinds() {
            if let Some(index) = self.index.get(&kind.message) {
                kinds.entry((kind.group, kind.version, kind.kind)).or_insert(*index);
            }
        }
        for ((group, version, kind), index) in kinds {
            writeln!(text, "K\t{group}\t{version}\t{kind}\t{index}")?;
        }
        Ok(())
    }
}

/// The Go type where its name does not follow from the rest of the entry.
fn go_column(go: &GoField, field: &FieldDescriptor, kind: &ProtoKind) -> String {
    let item = match kind {
        ProtoKind::Int32 => "int32".to_owned(),
        ProtoKind::Int64 => "int64".to_owned(),
        ProtoKind::Bool => "bool".to_owned(),
        ProtoKind::Bytes => "[]uint8".to_owned(),
        ProtoKind::Double => "float64".to_owned(),
        ProtoKind::Message(message) => {
            let package = message.package_name().rsplit('.').next().unwrap_or_default();
            format!("{package}.{}", message.name())
        }
        _ => "string".to_owned(),
    };
    let expected = match (field.is_list(), field.is_map()) {
        (true, _) => format!("[]{item}"),
        (_, true) => format!("map[string]{item}"),
        _ if matches!(kind, ProtoKind::Message(_)) => return String::new(),
        _ => item,
    };
    if expected == go.qualified { String::new() } else { go.qualified.clone() }
}

/// List type, list map keys, merge key, merge strategy and default, tab-separated.
fn merge_columns(property: Option<&Value>) -> anyhow::Result<String> {
    let Some(property) = property else {
        return Ok("\t\t\t\t".to_owned());
    };
    let text = |key: &str| property[key].as_str().unwrap_or_default();
    let list = match (text("x-kubernetes-list-type"), text("x-kubernetes-map-type")) {
        ("", map) => map,
        (list, _) => list,
    };
    let keys: Vec<&str> = property["x-kubernetes-list-map-keys"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let default = match property.get("default") {
        None => String::new(),
        Some(Value::Object(fields)) if fields.is_empty() => String::new(),
        Some(value) => serde_json::to_string(value)?,
    };
    ensure!(!default.contains('\t'), "a default with a tab");
    Ok(format!(
        "{list}\t{}\t{}\t{}\t{default}",
        keys.join(","),
        text("x-kubernetes-patch-merge-key"),
        text("x-kubernetes-patch-strategy"),
    ))
}
