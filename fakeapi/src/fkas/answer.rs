//! The only writer of answers on the control port.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};
use http_body_util::Full;

/// Why a request failed, beside a body that must be FKAS's own text.
pub(crate) const CAUSE_HEADER: &str = "x-fakeapi-cause";

/// The longest cause in a header.
const CAUSE_BYTES: usize = 1024;

/// What a text without a type of its own is.
const PLAIN: &str = "text/plain; charset=utf-8";

/// An answer, not yet on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    status: StatusCode,
    content_type: Option<&'static str>,
    allow: Option<&'static str>,
    cause: Option<String>,
    body: Bytes,
}

impl Answer {
    /// 200 with nothing.
    pub(super) fn empty() -> Self {
        Self::with(None, Bytes::new())
    }

    /// 200 with JSON.
    pub(super) fn json(body: String) -> Self {
        Self::with(Some("application/json"), body.into())
    }

    /// 200 with YAML.
    pub(super) fn yaml(body: String) -> Self {
        Self::with(Some("application/yaml"), body.into())
    }

    /// 200 with text.
    pub(super) fn plain(body: impl Into<Bytes>) -> Self {
        Self::with(Some(PLAIN), body.into())
    }

    /// 200 with metrics in Prometheus' text format.
    pub(super) fn metrics(body: String) -> Self {
        Self::with(Some("text/plain; version=0.0.4; charset=utf-8"), body.into())
    }

    /// A failure as Go's `http.Error` sends it: the text and a newline.
    pub(super) fn failure(status: StatusCode, text: &str) -> Self {
        Self { status, ..Self::plain(format!("{text}\n")) }
    }

    /// Tells which methods would have been allowed.
    pub(super) fn allowing(self, methods: &'static str) -> Self {
        Self { allow: Some(methods), ..self }
    }

    /// Tells the cause beside the body.
    pub(super) fn because(self, cause: Option<String>) -> Self {
        Self { cause, ..self }
    }

    fn with(content_type: Option<&'static str>, body: Bytes) -> Self {
        Self { status: StatusCode::OK, content_type, allow: None, cause: None, body }
    }
}

impl From<Answer> for Response<Full<Bytes>> {
    fn from(answer: Answer) -> Self {
        let Answer { status, content_type, allow, cause, body } = answer;
        let mut response = Self::new(Full::new(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if let Some(kind) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if !status.is_success() {
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
        if let Some(methods) = allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        if let Some(value) = cause.as_deref().and_then(header_text) {
            headers.insert(CAUSE_HEADER, value);
        }
        response
    }
}

/// `text` as a header can carry it: one line of visible ASCII.
fn header_text(text: &str) -> Option<HeaderValue> {
    let visible = text.chars().map(|letter| match letter {
        ' '..='~' => letter,
        _ => '?',
    });
    HeaderValue::try_from(visible.take(CAUSE_BYTES).collect::<String>()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_fits_a_header() {
        let answer = Answer::failure(StatusCode::BAD_REQUEST, "no")
            .because(Some(format!("a\r\nb: é{}", "x".repeat(2 * CAUSE_BYTES))));
        let response = Response::from(answer);
        let cause = response.headers()[CAUSE_HEADER].to_str().unwrap();
        assert!(cause.starts_with("a??b: ?x"));
        assert_eq!(cause.len(), CAUSE_BYTES);
    }
}
