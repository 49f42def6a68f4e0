//! Writing and signing one certificate.

use std::time::Duration;

use jiff::Timestamp;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::SigningKey;
use rustls_pki_types::{AlgorithmIdentifier, CertificateDer, alg_id};

use super::IdentityError;
use super::der::{
    BOOLEAN, INTEGER, OBJECT_ID, OCTET_STRING, SEQUENCE, SET, UTF8_STRING, bits, context, element,
    time,
};

/// How long a certificate lasts, as kubeadm's do; never longer than its authority.
///
/// KCP writes the API server's end down and may roll machines out before it.
pub const LEAF_LIFETIME: Duration = Duration::from_hours(365 * 24);

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];

/// Extensions, in the order they are written.
pub(super) const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 0x0e];
pub(super) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
pub(super) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
pub(super) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
pub(super) const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];
pub(super) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];

/// What a certificate says, before it is signed.
pub(super) struct ToSign<'a> {
    /// The issuer's Name, byte for byte as in the authority's certificate.
    pub(super) issuer: &'a [u8],
    /// The subject's Name.
    pub(super) subject: &'a [u8],
    /// The subject's key, as `SubjectPublicKeyInfo`.
    pub(super) public_key: &'a [u8],
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    /// Extensions made by [`extension`].
    pub(super) extensions: &'a [Vec<u8>],
}

/// A Name of organizations and a common name, one attribute an RDN.
pub(super) fn name(organizations: &[&str], common_name: &str) -> Vec<u8> {
    let attribute = |kind: &[u8], text: &str| {
        let kind = element(OBJECT_ID, &[kind]);
        let text = element(UTF8_STRING, &[text.as_bytes()]);
        element(SET, &[&element(SEQUENCE, &[&kind, &text])])
    };
    let mut parts: Vec<u8> =
        organizations.iter().flat_map(|text| attribute(ORGANIZATION, text)).collect();
    parts.extend(attribute(COMMON_NAME, common_name));
    element(SEQUENCE, &[&parts])
}

/// One extension around the DER of its value.
pub(super) fn extension(id: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let id = element(OBJECT_ID, &[id]);
    let critical = if critical { element(BOOLEAN, &[&[0xff]]) } else { Vec::new() };
    let value = element(OCTET_STRING, &[value]);
    element(SEQUENCE, &[&id, &critical, &value])
}

/// Signs a certificate with a serial number of 127 random bits.
pub(super) fn sign(
    this: &ToSign<'_>,
    key: &dyn SigningKey,
) -> Result<CertificateDer<'static>, IdentityError> {
    let (scheme, algorithm) = algorithm(key)?;
    let algorithm = element(SEQUENCE, &[algorithm.as_ref()]);
    let version = element(context(0, true), &[&element(INTEGER, &[&[2]])]);
    let validity = element(
        SEQUENCE,
        &[
            &time(this.not_before).map_err(IdentityError::Time)?,
            &time(this.not_after).map_err(IdentityError::Time)?,
        ],
    );
    let extensions = element(SEQUENCE, &[&this.extensions.concat()]);
    let tbs = element(
        SEQUENCE,
        &[
            &version,
            &element(INTEGER, &[&serial()?]),
            &algorithm,
            this.issuer,
            &validity,
            this.subject,
            this.public_key,
            &element(context(3, true), &[&extensions]),
        ],
    );
    let signer = key.choose_scheme(&[scheme]).ok_or(IdentityError::Algorithm)?;
    let signature = signer.sign(&tbs).map_err(IdentityError::Sign)?;
    let whole = element(SEQUENCE, &[&tbs, &algorithm, &bits(0, &signature)]);
    Ok(CertificateDer::from(whole))
}

/// How this key signs certificates: the digest goes with the curve, and is SHA-256 for RSA.
fn algorithm(
    key: &dyn SigningKey,
) -> Result<(SignatureScheme, AlgorithmIdentifier), IdentityError> {
    [
        (SignatureScheme::RSA_PKCS1_SHA256, alg_id::RSA_PKCS1_SHA256),
        (SignatureScheme::ECDSA_NISTP256_SHA256, alg_id::ECDSA_SHA256),
        (SignatureScheme::ECDSA_NISTP384_SHA384, alg_id::ECDSA_SHA384),
        (SignatureScheme::ECDSA_NISTP521_SHA512, alg_id::ECDSA_SHA512),
        (SignatureScheme::ED25519, alg_id::ED25519),
    ]
    .into_iter()
    .find(|(scheme, _)| key.choose_scheme(&[*scheme]).is_some())
    .ok_or(IdentityError::Algorithm)
}

/// A positive integer of 16 bytes whose first is not zero, so that it is its own shortest form.
fn serial() -> Result<[u8; 16], IdentityError> {
    let mut serial = [0; 16];
    default_provider().secure_random.fill(&mut serial).map_err(|_| IdentityError::Random)?;
    serial[0] = serial[0] & 0x7f | 0x40;
    Ok(serial)
}
