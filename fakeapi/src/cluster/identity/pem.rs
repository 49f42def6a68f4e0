//! PEM as Kubernetes writes it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The length of a line of base64 in PEM (RFC 7468).
const LINE: usize = 64;

/// A certificate and its private key as PEM texts, ready for a kubeconfig or a Secret.
#[derive(Clone)]
pub struct PemKeyPair {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

/// Writes `der` as PEM with `label`.
pub(super) fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut out = String::with_capacity(body.len() * 66 / LINE + 2 * label.len() + 40);
    out.push_str("-----BEGIN ");
    out.push_str(label);
    out.push_str("-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}
