//! Objects and lists as the bytes that were asked for.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::body::Body;
use crate::catalog::Resource;
use crate::negotiate::{Encoding, Form, Shape};
use crate::protobuf;
use crate::status::Status;
use crate::storage::Object;
use crate::table::{
    self, IncludeObject, ListMeta, PartialListWriter, RowObject, TableVersion, TableWriter,
};

/// About as many bytes are around the metadata of an object that is reduced to them.
const PARTIAL_ENVELOPE: usize = 80;

/// The metadata of a list.
#[derive(Clone, Debug, Default)]
pub struct ListHead {
    /// The revision of the list.
    pub revision: u64,
    /// Where the next page begins, "" for none.
    pub next: String,
    /// How many objects follow, where that is known.
    pub remaining: Option<i64>,
}

/// One object as a response.
pub fn object(
    form: Form,
    resource: &Resource,
    object: &Object,
    code: StatusCode,
) -> Response<Body> {
    let shaped = match form.shape {
        Shape::Whole if form.encoding == Encoding::Json && !form.pretty => {
            return respond(form, code, [object.json().clone(), NEWLINE].into_iter().collect());
        }
        Shape::Whole => object.json().clone(),
        Shape::PartialMetadata(version) => partial(version, object),
        Shape::Table(version, include) => {
            let mut out = Vec::new();
            let columns = Some(table::columns(&resource.group, &resource.plural));
            event_table(&mut out, (version, include), columns, resource, object);
            out.into()
        }
    };
    encoded(form, code, &shaped)
}

/// A list as a response. Items of built-in kinds go without `kind` and `apiVersion`.
pub fn list<'a>(
    form: Form,
    resource: &Resource,
    head: &ListHead,
    objects: impl ExactSizeIterator<Item = &'a Object>,
) -> Response<Body> {
    match form.shape {
        Shape::Whole => {
            let body = whole_list(resource, head, objects);
            if form.encoding == Encoding::Json && !form.pretty {
                return respond(form, StatusCode::OK, body.into_iter().collect());
            }
            encoded(form, StatusCode::OK, &body.concat())
        }
        Shape::PartialMetadata(version) => {
            let mut out = Vec::new();
            let revision = head.revision.to_string();
            let mut list = PartialListWriter::begin(&mut out, version, &head.meta(&revision));
            objects.for_each(|object| list.item(&mut out, object.metadata()));
            list.finish(&mut out);
            encoded(form, StatusCode::OK, &out)
        }
        Shape::Table(version, include) => {
            let out = table_list((version, include), resource, head, objects);
            encoded(form, StatusCode::OK, &out)
        }
    }
}

impl ListHead {
    fn meta<'a>(&'a self, revision: &'a str) -> ListMeta<'a> {
        ListMeta {
            resource_version: revision,
            continue_: &self.next,
            remaining_item_count: self.remaining,
        }
    }
}

const NEWLINE: Bytes = Bytes::from_static(b"\n");

fn whole_list<'a>(
    resource: &Resource,
    head: &ListHead,
    objects: impl ExactSizeIterator<Item = &'a Object>,
) -> Vec<Bytes> {
    const OPEN: Bytes = Bytes::from_static(b"{");
    const NEXT: Bytes = Bytes::from_static(b",{");
    const END: Bytes = Bytes::from_static(b"]}\n");
    let revision = head.revision.to_string();
    let mut opening = json!({
        "kind": resource.list_kind(),
        "apiVersion": resource.api_version(),
        "metadata": head.meta(&revision),
    })
    .to_string();
    opening.truncate(opening.len() - 1);
    opening.push_str(",\"items\":[");
    let mut parts = Vec::with_capacity(2 * objects.len() + 2);
    parts.push(opening.into());
    for (index, object) in objects.enumerate() {
        parts.push(if index == 0 { OPEN } else { NEXT });
        parts.push(object.item());
    }
    parts.push(END);
    parts
}

fn table_list<'a>(
    (version, include): (TableVersion, IncludeObject),
    resource: &Resource,
    head: &ListHead,
    objects: impl Iterator<Item = &'a Object>,
) -> Vec<u8> {
    let mut out = Vec::new();
    let now = Timestamp::now();
    let printer = table::printer(&resource.group, &resource.plural);
    let revision = head.revision.to_string();
    let columns = Some(printer.columns());
    let mut table = TableWriter::begin(&mut out, version, columns, &head.meta(&revision));
    for object in objects {
        let value = object.value();
        let (cells, conditions) = (printer.cells(&value, now), printer.conditions(&value));
        table.row(&mut out, &cells, &conditions, row_object(include, object));
    }
    table.finish(&mut out);
    out
}

/// The Table of one row that stands for an object, in a GET or a watch event.
pub fn event_table(
    out: &mut Vec<u8>,
    (version, include): (TableVersion, IncludeObject),
    columns: Option<&[table::Column]>,
    resource: &Resource,
    object: &Object,
) {
    let printer = table::printer(&resource.group, &resource.plural);
    let value = object.value();
    let cells = printer.cells(&value, Timestamp::now());
    let row = (&*cells, &*printer.conditions(&value));
    let revision = object.meta.resource_version.to_string();
    table::write_event_table(out, version, columns, &revision, row, row_object(include, object));
}

fn row_object(include: IncludeObject, object: &Object) -> RowObject<'_> {
    match include {
        IncludeObject::None => RowObject::None,
        IncludeObject::Metadata => RowObject::Metadata(object.metadata()),
        IncludeObject::Object => RowObject::Object(object.json()),
    }
}

/// An object reduced to its metadata.
pub fn partial(version: TableVersion, object: &Object) -> Bytes {
    let mut out = Vec::with_capacity(object.metadata().len() + PARTIAL_ENVELOPE);
    table::append_partial(&mut out, version, object.metadata());
    out.into()
}

/// A value that is no stored object (a review, a scale, a document) as a response.
pub fn value(form: Form, code: StatusCode, value: &Value) -> Response<Body> {
    let kind = value.get("kind").is_some();
    let object = if kind { Object::encode(value).json().clone() } else { value.to_string().into() };
    encoded(form.whole(), code, &object)
}

/// A refusal, or a success without an object, as a response.
pub fn status(form: Form, status: &Status) -> Response<Body> {
    let mut response = value(form, status.code, &status.json());
    if let Some(seconds) = status.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// JSON bytes in the encoding that was asked for.
fn encoded(form: Form, code: StatusCode, json: &[u8]) -> Response<Body> {
    let bytes = match form.encoding {
        Encoding::Json if form.pretty => reencode(json, |value| {
            serde_json::to_vec_pretty(value).map_err(|error| error.to_string())
        }),
        Encoding::Json => Ok(json.to_vec()),
        Encoding::Yaml => reencode(json, |value| {
            serde_saphyr::to_string(value)
                .map(String::into_bytes)
                .map_err(|error| error.to_string())
        }),
        Encoding::Protobuf => reencode(json, |value| {
            let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
            protobuf::encode(value, text("apiVersion"), text("kind"))
                .map_err(|error| error.to_string())
        }),
    };
    match bytes {
        Ok(mut bytes) => {
            if form.encoding == Encoding::Json && bytes.last() != Some(&b'\n') {
                bytes.push(b'\n');
            }
            respond(form, code, bytes.into())
        }
        Err(error) => {
            let refusal = Status::internal(error);
            let bytes = refusal.json().to_string();
            respond(Form::JSON, refusal.code, bytes.into())
        }
    }
}

fn reencode(
    json: &[u8],
    encode: impl FnOnce(&Value) -> Result<Vec<u8>, String>,
) -> Result<Vec<u8>, String> {
    let value: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    encode(&value)
}

/// Puts the headers on that every answer has.
pub fn respond(form: Form, code: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    response
}
