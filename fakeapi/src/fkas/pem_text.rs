//! Certificate authorities as callers send them: base64 of PEM, in whatever base64 survived the
//! way. In a query `+` may have become a space, and shells like the URL-safe alphabet.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::register::CaPem;

/// Why a CA in a request was not taken. The text goes to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadCa {
    /// One of a pair without the other.
    #[error("{0} and {1} must be given together")]
    Half(&'static str, &'static str),
    /// Not base64.
    #[error("{0} is not base64")]
    Base64(&'static str),
    /// Base64 of something else.
    #[error("{0} is not a PEM {1}")]
    Pem(&'static str, &'static str),
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A CA of the two fields, each with its name; `None` when neither is given.
pub(super) fn ca(
    (cert_field, cert): (&'static str, Option<&str>),
    (key_field, key): (&'static str, Option<&str>),
) -> Result<Option<CaPem>, BadCa> {
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some(CaPem {
            certificate: pem(cert_field, "certificate", cert, |pem| {
                CertificateDer::from_pem_slice(pem).is_ok()
            })?,
            key: pem(key_field, "private key", key, |pem| {
                PrivateKeyDer::from_pem_slice(pem).is_ok()
            })?,
        })),
        _ => Err(BadCa::Half(cert_field, key_field)),
    }
}

fn pem(
    field: &'static str,
    what: &'static str,
    text: &str,
    holds: impl Fn(&[u8]) -> bool,
) -> Result<String, BadCa> {
    let standard: String = text
        .chars()
        .filter(|letter| !matches!(letter, '\r' | '\n'))
        .map(|letter| match letter {
            ' ' | '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    let bytes = LENIENT.decode(standard).map_err(|_| BadCa::Base64(field))?;
    let pem = String::from_utf8(bytes).map_err(|_| BadCa::Pem(field, what))?;
    if holds(pem.as_bytes()) { Ok(pem) } else { Err(BadCa::Pem(field, what)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fkas::fake::test_ca;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

    fn read(cert: &str, key: &str) -> Result<Option<CaPem>, BadCa> {
        ca(("caCert", Some(cert)), ("caKey", Some(key)))
    }

    #[test]
    fn every_base64_is_read() {
        let mut expected = test_ca();
        // "~~~" and "???" make "+" and "/" appear, which PEM alone never does.
        expected.certificate.insert_str(0, "~~~ ???>>>\n");
        for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
            let cert = engine.encode(&expected.certificate);
            let key = engine.encode(&expected.key);
            assert_eq!(read(&cert, &key), Ok(Some(expected.clone())));
            assert_eq!(read(&cert.replace('+', " "), &key), Ok(Some(expected.clone())));
            let (head, tail) = cert.split_at(64);
            assert_eq!(read(&format!("{head}\r\n{tail}\n"), &key), Ok(Some(expected.clone())));
        }
        assert!(STANDARD.encode(&expected.certificate).contains('+'));
        assert!(STANDARD.encode(&expected.certificate).contains('/'));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let good = test_ca();
        let (cert, key) = (STANDARD.encode(&good.certificate), STANDARD.encode(&good.key));
        let text = |result: Result<Option<CaPem>, BadCa>| result.unwrap_err().to_string();
        assert_eq!(text(read("?", &key)), "caCert is not base64");
        assert_eq!(text(read(&cert, &cert)), "caKey is not a PEM private key");
        assert_eq!(text(read(&key, &key)), "caCert is not a PEM certificate");
        assert_eq!(text(read("/w==", &key)), "caCert is not a PEM certificate");
        assert_eq!(
            text(ca(("caCert", Some(&cert)), ("caKey", None))),
            "caCert and caKey must be given together"
        );
        assert_eq!(ca(("caCert", None), ("caKey", None)), Ok(None));
    }
}
