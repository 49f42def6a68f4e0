//! What every answer gets before it leaves: its headers, and compression where it pays.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, HeaderName, HeaderValue, VARY,
};
use http::{HeaderMap, Response};

use crate::body::Body;

/// Answers of at least so many bytes are compressed for those who can take it, as the real
/// server does.
const GZIP_FROM: usize = 128 * 1024;

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
/// The longest audit id that is taken from a client.
const MAX_AUDIT_ID: usize = 64;

/// What of a request's headers shapes every answer.
pub(crate) struct Sent {
    audit_id: Option<HeaderValue>,
    gzip: bool,
}

impl Sent {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let audit_id = headers.get(AUDIT_ID).filter(|id| (1..=MAX_AUDIT_ID).contains(&id.len()));
        Self { audit_id: audit_id.cloned(), gzip: accepts_gzip(headers) }
    }
}

/// Whether a client can take gzip.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let name = parts.next();
            name == Some("gzip") && !parts.any(|part| part == "q=0")
        })
    })
}

/// Adds the headers that every answer of a real server has, and compresses a long one.
pub(crate) fn finish(response: Response<Body>, sent: &Sent) -> Response<Body> {
    let mut response = if sent.gzip { compressed(response) } else { response };
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert_with(|| HeaderValue::from_static("no-cache, private"));
    let id = sent.audit_id.clone().or_else(|| {
        let id = uuid::Uuid::new_v4().to_string();
        HeaderValue::from_str(&id).ok()
    });
    if let Some(id) = id {
        headers.insert(AUDIT_ID, id);
    }
    response
}

fn compressed(response: Response<Body>) -> Response<Body> {
    let long = response.body().len().is_some_and(|len| len >= GZIP_FROM);
    if !long || response.headers().contains_key(CONTENT_ENCODING) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let parts = match body {
        Body::Parts(parts) => parts,
        stream @ Body::Stream(_) => return Response::from_parts(head, stream),
    };
    match gzip(&parts) {
        Ok(bytes) => {
            head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            head.headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
            Response::from_parts(head, bytes.into())
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be compressed");
            Response::from_parts(head, Body::Parts(parts))
        }
    }
}

fn gzip<'a>(parts: impl IntoIterator<Item = &'a Bytes>) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    parts.into_iter().try_for_each(|part| encoder.write_all(part))?;
    encoder.finish()
}
