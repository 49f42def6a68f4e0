//! OpenAPI v2 in its protobuf encoding, which older clients ask for first.
//!
//! The definition is gnostic's `OpenAPIv2.proto`. It is not canonical `ProtoJSON`: maps are lists of
//! named entries, extensions are kept as YAML text, and alternatives are wrapped in messages of
//! their own. The rules below follow the names of the definition.

use anyhow::{Context as _, bail};
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _,
    Value as ProtoValue, prost::Message as _,
};
use serde_json::Value;

use super::{modules::Modules, proto};

const SOURCE: &str = "openapiv2/OpenAPIv2.proto";
const DOCUMENT: &str = "openapi.v2.Document";

/// Encodes a whole document.
pub(super) fn encode(modules: &Modules, document: &Value) -> anyhow::Result<Vec<u8>> {
    let sources = [(SOURCE.to_owned(), modules.gnostic(SOURCE))].into_iter().collect();
    let pool = proto::compile_sources(sources)?;
    let descriptor = pool.get_message_by_name(DOCUMENT).context("no Document message")?;
    Ok(message(&descriptor, document)?.encode_to_vec())
}

fn message(descriptor: &MessageDescriptor, json: &Value) -> anyhow::Result<DynamicMessage> {
    let mut to = DynamicMessage::new(descriptor.clone());
    match descriptor.name() {
        // JSON is YAML, and clients read this text as YAML.
        "Any" => to.set_field_by_name("yaml", ProtoValue::String(format!("{json}\n"))),
        "TypeItem" | "StringArray" => wrap_list(&mut to, "value", json)?,
        "ItemsItem" => wrap_list(&mut to, "schema", json)?,
        name => match alternative(name, json)? {
            Some(chosen) => {
                let field = descriptor.get_field_by_name(chosen).context("no such alternative")?;
                to.set_field(&field, single(&field.kind(), json)?);
            }
            None => object(&mut to, descriptor, json)
                .with_context(|| format!("in a {}", descriptor.name()))?,
        },
    }
    Ok(to)
}

/// Puts one value, or each of a list, into a repeated field.
fn wrap_list(to: &mut DynamicMessage, name: &str, json: &Value) -> anyhow::Result<()> {
    let field = to.descriptor().get_field_by_name(name).context("no such list")?;
    let items = match json {
        Value::Array(items) => items.as_slice(),
        item => std::slice::from_ref(item),
    };
    let items = items.iter().map(|item| single(&field.kind(), item)).collect::<Result<_, _>>()?;
    to.set_field(&field, ProtoValue::List(items));
    Ok(())
}

/// Which member of a message of alternatives a value takes.
fn alternative(message: &str, json: &Value) -> anyhow::Result<Option<&'static str>> {
    let is_reference = json.get("$ref").is_some();
    let place = json["in"].as_str().unwrap_or_default();
    Ok(Some(match message {
        "AdditionalPropertiesItem" if json.is_boolean() => "boolean",
        "SchemaItem" if json["type"] == "file" => "file_schema",
        "AdditionalPropertiesItem" | "SchemaItem" => "schema",
        "ParametersItem" | "ResponseValue" if is_reference => "json_reference",
        "ParametersItem" => "parameter",
        "ResponseValue" => "response",
        "Parameter" if place == "body" => "body_parameter",
        "Parameter" => "non_body_parameter",
        "NonBodyParameter" => match place {
            "header" => "header_parameter_sub_schema",
            "formData" => "form_data_parameter_sub_schema",
            "query" => "query_parameter_sub_schema",
            "path" => "path_parameter_sub_schema",
            other => bail!("a parameter in {other:?}"),
        },
        "SecurityDefinitionsItem" => match json["type"].as_str() {
            Some("basic") => "basic_authentication_security",
            Some("apiKey") => "api_key_security",
            other => bail!("security of type {other:?}"),
        },
        _ => return Ok(None),
    }))
}

/// Fields by name; what has no field of its own goes to the message's list of named entries.
fn object(
    to: &mut DynamicMessage,
    descriptor: &MessageDescriptor,
    json: &Value,
) -> anyhow::Result<()> {
    let entries = ["additional_properties", "path", "response_code"]
        .iter()
        .find_map(|name| descriptor.get_field_by_name(name).filter(FieldDescriptor::is_list));
    for (key, value) in json.as_object().context("expected an object")? {
        if key.starts_with("x-")
            && let Some(extensions) = descriptor.get_field_by_name("vendor_extension")
        {
            push_named(to, &extensions, key, value)?;
        } else if let Some(entries) = &entries {
            push_named(to, entries, key, value)?;
        } else {
            let name = field_name(key);
            let field = descriptor
                .get_field_by_name(&name)
                .with_context(|| format!("no field {name:?}"))?;
            if field.is_list() {
                wrap_list(to, &name, value)?;
            } else {
                to.set_field(&field, single(&field.kind(), value)?);
            }
        }
    }
    Ok(())
}

fn push_named(
    to: &mut DynamicMessage,
    list: &FieldDescriptor,
    name: &str,
    value: &Value,
) -> anyhow::Result<()> {
    let Kind::Message(descriptor) = list.kind() else { bail!("entries are no messages") };
    let mut entry = DynamicMessage::new(descriptor.clone());
    let field = descriptor.get_field_by_name("value").context("an entry without a value")?;
    entry.set_field_by_name("name", ProtoValue::String(name.to_owned()));
    entry.set_field(&field, single(&field.kind(), value)?);
    match to.get_field_mut(list) {
        ProtoValue::List(items) => items.push(ProtoValue::Message(entry)),
        _ => bail!("{} is no list", list.name()),
    }
    Ok(())
}

fn single(kind: &Kind, json: &Value) -> anyhow::Result<ProtoValue> {
    let value = match kind {
        Kind::Message(descriptor) => Some(ProtoValue::Message(message(descriptor, json)?)),
        Kind::String => json.as_str().map(|text| ProtoValue::String(text.to_owned())),
        Kind::Bool => json.as_bool().map(ProtoValue::Bool),
        Kind::Int64 => json.as_i64().map(ProtoValue::I64),
        Kind::Double => json.as_f64().map(ProtoValue::F64),
        other => bail!("the definition has a field of kind {other:?}"),
    };
    value.with_context(|| format!("{json} where {kind:?} belongs"))
}

/// `operationId` is `operation_id`, `$ref` is `_ref`.
fn field_name(key: &str) -> String {
    let mut name = String::with_capacity(key.len() + 4);
    for letter in key.chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(if letter == '$' { '_' } else { letter.to_ascii_lowercase() });
    }
    name
}
