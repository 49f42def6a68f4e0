//! The documents in which a server tells what it serves: `/api`, `/apis` and below, `/version`,
//! the OpenAPI documents, health.

use std::collections::HashMap;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderValue,
    IF_NONE_MATCH, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::Body;
use crate::catalog::CatalogError;
use crate::negotiate::Form;
use crate::openapi;
use crate::render;
use crate::request::Query;

/// The form in which new clients ask for everything at once.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// A document with the tag that clients compare.
#[derive(Debug)]
struct Tagged {
    json: Bytes,
    etag: HeaderValue,
}

impl Tagged {
    fn new(value: &Value) -> Self {
        let json = format!("{value}\n");
        let tag = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, json.as_bytes()).simple();
        let etag = HeaderValue::from_str(&format!("\"{tag}\"")).expect("hex digits in quotes");
        Self { json: json.into(), etag }
    }
}

/// Discovery, built once for all servers of a release.
#[derive(Debug)]
pub(crate) struct Discovery {
    /// The aggregated forms of `/api` and `/apis`.
    aggregated: HashMap<&'static str, Tagged>,
    /// The plain documents by path.
    plain: HashMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Generated {
    groups: Vec<Value>,
    resources: HashMap<String, Value>,
    aggregated_core: Vec<Value>,
    aggregated_groups: Vec<Value>,
}

impl Discovery {
    /// Reads the generated discovery document.
    ///
    /// # Errors
    /// When the document is not of that form.
    pub(crate) fn new(document: &[u8]) -> Result<Self, CatalogError> {
        let Generated { groups, resources, aggregated_core, aggregated_groups } =
            serde_json::from_slice(document)?;
        let list = |items: Vec<Value>| {
            Tagged::new(&json!({
                "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
                "metadata": {}, "items": items,
            }))
        };
        let aggregated =
            HashMap::from([("/api", list(aggregated_core)), ("/apis", list(aggregated_groups))]);
        let mut plain = HashMap::new();
        for group in &groups {
            let mut one = group.clone();
            one["kind"] = "APIGroup".into();
            one["apiVersion"] = "v1".into();
            let name = group["name"].as_str().unwrap_or_default();
            plain.insert(format!("/apis/{name}"), one);
        }
        let all = json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups});
        plain.insert("/apis".into(), all);
        for (version, list) in resources {
            let root = if version.contains('/') { "apis" } else { "api" };
            plain.insert(format!("/{root}/{version}"), list);
        }
        Ok(Self { aggregated, plain })
    }

    /// Answers a path that is no resource, `None` when there is no such document.
    ///
    /// `address` is where this server is reached, `version` what it says it is.
    pub(crate) fn answer(
        &self,
        path: &str,
        query: &Query,
        headers: &HeaderMap,
        form: Form,
        address: &str,
        version: &str,
    ) -> Option<Response<Body>> {
        let path = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path);
        if wants_aggregated(headers)
            && let Some(document) = self.aggregated.get(path)
        {
            return Some(tagged(document, headers));
        }
        let value = match path {
            "/api" => json!({
                "kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs": [
                    {"clientCIDR": "0.0.0.0/0", "serverAddress": address},
                ],
            }),
            "/version" => version_info(version),
            "/" => self.paths(),
            "/healthz" | "/livez" | "/readyz" => return Some(text("ok")),
            "/openapi/v2" => return Some(openapi_v2(headers)),
            _ if path.starts_with("/openapi/v3") => return openapi_v3(path, query, headers),
            _ if is_health_check(path) => return Some(text("ok")),
            path => self.plain.get(path)?.clone(),
        };
        let mut response = render::value(form, StatusCode::OK, &value);
        response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
        Some(response)
    }

    /// `/` lists the paths there are.
    fn paths(&self) -> Value {
        let fixed =
            ["/api", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"];
        let mut paths: Vec<&str> = self.plain.keys().map(String::as_str).chain(fixed).collect();
        paths.sort_unstable();
        json!({"paths": paths})
    }
}

/// The checks of `/readyz` and its kin that a server without parts of its own has.
fn is_health_check(path: &str) -> bool {
    let mut parts = path.trim_start_matches('/').split('/');
    matches!(parts.next(), Some("healthz" | "livez" | "readyz"))
        && matches!(parts.next(), Some("ping" | "log" | "etcd"))
        && parts.next().is_none()
}

fn wants_aggregated(headers: &HeaderMap) -> bool {
    accepts(headers, |entry| {
        let has = |part: &str| entry.split(';').any(|p| p.trim() == part);
        has("as=APIGroupDiscoveryList") && has("v=v2") && has("g=apidiscovery.k8s.io")
    })
}

fn tagged(document: &Tagged, headers: &HeaderMap) -> Response<Body> {
    let known = headers.get(IF_NONE_MATCH).is_some_and(|tag| *tag == document.etag);
    let mut response = if known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let mut response = Response::new(Body::from(document.json.clone()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(AGGREGATED));
        response
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, document.etag.clone());
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    response
}

/// Whether a path is of the part of the server that answers GET alone and refuses other methods
/// by a `Status`.
pub(crate) fn is_document(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next();
    matches!(first, Some("api" | "apis" | "version"))
}

fn text(text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// `/version`, as a server of `version` (`v1.36.3`) tells it.
fn version_info(version: &str) -> Value {
    let mut numbers = version.trim_start_matches('v').split('.');
    json!({
        "major": numbers.next().unwrap_or_default(),
        "minor": numbers.next().unwrap_or_default(),
        "gitVersion": version,
        "gitCommit": "fa4ea9100000000000000000000000000000fa4e",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "go1.25.0",
        "compiler": "gc",
        "platform": "linux/amd64",
    })
}

fn openapi_v2(headers: &HeaderMap) -> Response<Body> {
    let proto = |entry: &str| openapi::V2_PROTO_TYPES.iter().any(|of| entry.starts_with(of));
    if accepts(headers, proto) {
        return openapi_document(openapi::v2_proto(), openapi::V2_PROTO_TYPE, headers);
    }
    openapi_document(openapi::v2(), "application/json", headers)
}

fn openapi_v3(path: &str, query: &Query, headers: &HeaderMap) -> Option<Response<Body>> {
    let path = path.strip_prefix("/openapi/v3")?.trim_matches('/');
    if path.is_empty() {
        let mut response = Response::new(Body::from(openapi::v3_index()));
        let kind = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        return Some(response);
    }
    let document = openapi::v3(path)?;
    let mut response = openapi_document(document, "application/json", headers);
    // Whoever names the digest may keep the document for ever.
    if query.get("hash") == Some(document.hash()) {
        let forever = HeaderValue::from_static("public, immutable");
        response.headers_mut().insert(CACHE_CONTROL, forever);
    }
    Some(response)
}

fn accepts(headers: &HeaderMap, wanted: impl Fn(&str) -> bool) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|entry| wanted(entry.trim()))
}

/// A document as it is kept, compressed, for those who can take it so.
fn openapi_document(
    document: &openapi::Document,
    kind: &'static str,
    headers: &HeaderMap,
) -> Response<Body> {
    let etag = format!("\"{}\"", document.hash());
    let known = headers.get(IF_NONE_MATCH).is_some_and(|tag| *tag == *etag);
    let zipped = headers
        .get(ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(',').any(|coding| coding.trim().starts_with("gzip")));
    let body = match (known, zipped) {
        (true, _) => Body::empty(),
        (false, true) => Body::from(document.gzip()),
        (false, false) => Body::from(document.plain()),
    };
    let mut response = Response::new(body);
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    if zipped && !known {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding, Accept"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(ETAG, etag);
    }
    response
}

/// What a path that nobody has answers: text, not a `Status`.
pub(crate) fn not_found() -> Response<Body> {
    let mut response = text("404 page not found\n");
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}
