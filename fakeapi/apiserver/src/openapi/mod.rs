//! The OpenAPI documents of the impersonated release.
//!
//! They are what kubectl validates and explains with, and the same for every cluster, so each is
//! kept once for the process: compressed as embedded, which most clients accept as it is, and
//! decompressed from the first time on that somebody wants it plain.

mod document;

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};

pub use document::Document;

use crate::generated::{OPENAPI_V2_JSON, OPENAPI_V2_PROTO, OPENAPI_V3};

/// Media types clients ask for [`v2_proto`] by: the present one, and the one with `@`, which is
/// none by the standard but which older clients send first.
pub const V2_PROTO_TYPES: [&str; 2] = [V2_PROTO_TYPE, V2_PROTO_TYPE_DEPRECATED];

/// Media type the server answers [`v2_proto`] with, whichever it was asked for.
pub const V2_PROTO_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

const V2_PROTO_TYPE_DEPRECATED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

static V2: LazyLock<Document> = LazyLock::new(|| Document::new(OPENAPI_V2_JSON));
static V2_PROTO: LazyLock<Document> = LazyLock::new(|| Document::new(OPENAPI_V2_PROTO));
/// By path, in the order of the paths.
static V3: LazyLock<Vec<(&'static str, Document)>> = LazyLock::new(|| {
    OPENAPI_V3.iter().map(|(path, hash, gzip)| (*path, Document::new((hash, gzip)))).collect()
});

/// `/openapi/v2` as JSON.
pub fn v2() -> &'static Document {
    &V2
}

/// `/openapi/v2` as [`V2_PROTO_TYPE`].
pub fn v2_proto() -> &'static Document {
    &V2_PROTO
}

/// The document behind `/openapi/v3/<path>`, for instance of `api/v1` or `apis/apps/v1`.
pub fn v3(path: &str) -> Option<&'static Document> {
    let position = V3.binary_search_by(|(known, _)| (*known).cmp(path)).ok()?;
    Some(&V3[position].1)
}

/// The paths of every v3 document, sorted.
pub fn v3_paths() -> impl ExactSizeIterator<Item = &'static str> {
    V3.iter().map(|(path, _)| *path)
}

/// `/openapi/v3` with the built-in documents only.
pub fn v3_index() -> Bytes {
    static INDEX: LazyLock<Bytes> = LazyLock::new(|| v3_index_with([]));
    INDEX.clone()
}

/// `/openapi/v3` with further documents, each a path such as `apis/example.com/v1` and the digest
/// of its document; one with the path of a built-in document takes its place.
///
/// The digest is part of the address, so clients may keep the document for ever.
pub fn v3_index_with<'d>(further: impl IntoIterator<Item = (&'d str, &'d str)>) -> Bytes {
    let built_in = V3.iter().map(|(path, document)| (*path, document.hash()));
    let paths: Map<String, Value> = built_in
        .chain(further)
        .map(|(path, hash)| {
            let url = format!("/openapi/v3/{path}?hash={hash}");
            (path.to_owned(), json!({ "serverRelativeURL": url }))
        })
        .collect();
    json!({ "paths": paths }).to_string().into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn parsed(document: &Document) -> Value {
        serde_json::from_slice(&document.plain()).expect("JSON")
    }

    #[test]
    fn the_index_leads_to_every_document() {
        let index: Value = serde_json::from_slice(&v3_index()).expect("JSON");
        let paths = index["paths"].as_object().expect("paths");
        assert!(paths.len() > 30, "{}", paths.len());
        for (path, entry) in paths {
            let document = v3(path).expect("a document");
            let url = format!("/openapi/v3/{path}?hash={}", document.hash());
            assert_eq!(entry["serverRelativeURL"], json!(url));
            assert_eq!(document.hash().len(), 128);
            assert_eq!(parsed(document)["openapi"], json!("3.0.0"), "{path}");
        }
        for path in [
            "api",
            "api/v1",
            "apis",
            "apis/apps",
            "apis/apps/v1",
            "version",
            ".well-known/openid-configuration",
            "apis/apiextensions.k8s.io/v1",
        ] {
            assert!(paths.contains_key(path), "{path}");
        }
        for path in ["logs", "apis/storage.k8s.io/v1beta1", "apis/internal.apiserver.k8s.io", "x"] {
            assert!(v3(path).is_none(), "{path}");
        }
    }

    #[test]
    fn further_documents_are_listed() {
        let index = v3_index_with([("apis/example.com/v1", "AB"), ("apis/apps/v1", "CD")]);
        let index: Value = serde_json::from_slice(&index).expect("JSON");
        let url = |path: &str| index["paths"][path]["serverRelativeURL"].clone();
        assert_eq!(url("apis/example.com/v1"), json!("/openapi/v3/apis/example.com/v1?hash=AB"));
        assert_eq!(url("apis/apps/v1"), json!("/openapi/v3/apis/apps/v1?hash=CD"));
    }

    #[test]
    fn patch_operations_say_that_fields_are_validated() {
        let apps = parsed(v3("apis/apps/v1").expect("apps/v1"));
        let path = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
        let parameters = path["patch"]["parameters"].as_array().expect("parameters");
        assert!(parameters.iter().any(|parameter| parameter["name"] == "fieldValidation"));
    }

    #[test]
    fn v2_holds_what_is_served_and_what_that_refers_to() {
        let v2 = parsed(v2());
        let paths = v2["paths"].as_object().expect("paths");
        assert!(paths.contains_key("/api/v1/namespaces/{namespace}/pods/{name}/eviction"));
        assert!(!paths.keys().any(|path| path.contains("v1beta1") || path.contains("v1alpha")));
        let definitions = v2["definitions"].as_object().expect("definitions");
        let mut references = BTreeSet::new();
        collect_references(&v2, &mut references);
        for name in &references {
            assert!(definitions.contains_key(name), "{name} is not defined");
        }
        assert!(definitions.contains_key("io.k8s.api.core.v1.Pod"));
        assert!(!definitions.contains_key("io.k8s.api.storage.v1beta1.VolumeAttributesClass"));
    }

    fn collect_references(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
                    into.extend(target.strip_prefix("#/definitions/").map(str::to_owned));
                }
                fields.values().for_each(|value| collect_references(value, into));
            }
            Value::Array(items) => items.iter().for_each(|value| collect_references(value, into)),
            _ => {}
        }
    }

    #[test]
    fn v2_has_a_protobuf_form() {
        let document = v2_proto().plain();
        // Field 1, `swagger`, is the text 2.0; field 2, `info`, follows.
        assert_eq!(&document[..6], b"\x0a\x032.0\x12");
        assert!(document.len() > 1_000_000, "{}", document.len());
        assert_ne!(v2_proto().hash(), v2().hash());
    }
}
