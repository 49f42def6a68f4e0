//! The three kinds of certificate that a cluster's authorities sign.

use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use rcgen::KeyPair;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::der::{OBJECT_ID, SEQUENCE, bits, context, element};
use super::leaf::{
    AUTHORITY_KEY_ID, BASIC_CONSTRAINTS, EXTENDED_KEY_USAGE, KEY_USAGE, LEAF_LIFETIME,
    SUBJECT_ALT_NAME, ToSign, extension, name, sign,
};
use super::pem::{PemKeyPair, encode};
use super::{CertificateAuthority, IdentityError, SubjectNames};

/// The common name of an API server's certificate: KCP looks for it.
const API_SERVER_NAME: &str = "kube-apiserver";

const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

/// What a certificate is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To be shown by a server.
    Server,
    /// To be shown by a client.
    Client,
    /// Both, as an etcd member needs.
    Both,
}

/// The one key on which all clusters of a process serve.
///
/// Who holds it can pose as any of them, which is no loss: they are all this process. It is
/// what makes a cluster's identity one signature instead of a key of its own.
#[derive(Clone)]
pub struct ServingKey {
    signer: Arc<dyn SigningKey>,
    public: Arc<[u8]>,
}

impl ServingKey {
    /// A new P-256 key.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate() -> Result<Self, IdentityError> {
        Self::with_secret().map(|(key, _)| key)
    }

    fn with_secret() -> Result<(Self, PrivatePkcs8KeyDer<'static>), IdentityError> {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
            .map_err(IdentityError::Generate)?;
        let secret = PrivatePkcs8KeyDer::from(pair.serialize_der());
        let signer = any_supported_type(&PrivateKeyDer::Pkcs8(secret.clone_key()))
            .map_err(IdentityError::Key)?;
        let public = signer.public_key().ok_or(IdentityError::Algorithm)?.as_ref().into();
        Ok((Self { signer, public }, secret))
    }
}

/// What an API server shows its clients: CN `kube-apiserver`, for `names`, for a year.
///
/// # Errors
/// When the authority's key does not sign.
pub fn serve_certificate(
    authority: &CertificateAuthority,
    key: &ServingKey,
    names: &SubjectNames,
    now: Timestamp,
) -> Result<Arc<CertifiedKey>, IdentityError> {
    let subject = name(&[], API_SERVER_NAME);
    let leaf = issue(authority, key, &subject, names, Purpose::Server, now)?;
    Ok(Arc::new(CertifiedKey::new(vec![leaf], key.signer.clone())))
}

/// The same, ending at this moment, whether it is to come or past.
///
/// # Errors
/// When the authority's key does not sign.
pub fn serve_certificate_until(
    authority: &CertificateAuthority,
    key: &ServingKey,
    names: &SubjectNames,
    end: Timestamp,
) -> Result<Arc<CertifiedKey>, IdentityError> {
    let subject = name(&[], API_SERVER_NAME);
    // No certificate ends before it begins.
    let begin = authority.issuer()?.not_before.min(end - LEAF_LIFETIME);
    let leaf = issue_for(authority, key, &subject, names, Purpose::Server, begin..end)?;
    Ok(Arc::new(CertifiedKey::new(vec![leaf], key.signer.clone())))
}

/// What the etcd member on `node` shows; members are clients of each other.
///
/// # Errors
/// When the authority's key does not sign.
pub fn etcd_certificate(
    authority: &CertificateAuthority,
    key: &ServingKey,
    node: &str,
    names: &SubjectNames,
    now: Timestamp,
) -> Result<Arc<CertifiedKey>, IdentityError> {
    let subject = name(&[], node);
    let leaf = issue(authority, key, &subject, names, Purpose::Both, now)?;
    Ok(Arc::new(CertifiedKey::new(vec![leaf], key.signer.clone())))
}

/// A client's certificate on a key of its own: `common_name` is the user, `organizations` are
/// its groups.
///
/// # Errors
/// When no key can be made or the authority's key does not sign.
pub fn client_certificate(
    authority: &CertificateAuthority,
    common_name: &str,
    organizations: &[&str],
    now: Timestamp,
) -> Result<PemKeyPair, IdentityError> {
    let (key, secret) = ServingKey::with_secret()?;
    let subject = name(organizations, common_name);
    let none = SubjectNames::default();
    let leaf = issue(authority, &key, &subject, &none, Purpose::Client, now)?;
    Ok(PemKeyPair {
        certificate: encode("CERTIFICATE", &leaf),
        key: encode("PRIVATE KEY", secret.secret_pkcs8_der()),
    })
}

/// Signs a leaf that begins with its authority and ends after a year or with it.
fn issue(
    authority: &CertificateAuthority,
    key: &ServingKey,
    subject: &[u8],
    names: &SubjectNames,
    purpose: Purpose,
    now: Timestamp,
) -> Result<CertificateDer<'static>, IdentityError> {
    let issuer = authority.issuer()?;
    let validity = issuer.not_before..issuer.not_after.min(now + LEAF_LIFETIME);
    issue_for(authority, key, subject, names, purpose, validity)
}

/// Signs a leaf of this validity.
fn issue_for(
    authority: &CertificateAuthority,
    key: &ServingKey,
    subject: &[u8],
    names: &SubjectNames,
    purpose: Purpose,
    validity: Range<Timestamp>,
) -> Result<CertificateDer<'static>, IdentityError> {
    let issuer = authority.issuer()?;
    let uses: &[&[u8]] = match purpose {
        Purpose::Server => &[SERVER_AUTH],
        Purpose::Client => &[CLIENT_AUTH],
        Purpose::Both => &[SERVER_AUTH, CLIENT_AUTH],
    };
    let uses: Vec<u8> = uses.iter().flat_map(|id| element(OBJECT_ID, &[id])).collect();
    let mut extensions = vec![
        // digitalSignature, keyEncipherment
        extension(KEY_USAGE, true, &bits(5, &[0xa0])),
        extension(EXTENDED_KEY_USAGE, false, &element(SEQUENCE, &[&uses])),
        extension(BASIC_CONSTRAINTS, true, &element(SEQUENCE, &[])),
    ];
    if let Some(id) = &issuer.key_id {
        let id = element(SEQUENCE, &[&element(context(0, false), &[id])]);
        extensions.push(extension(AUTHORITY_KEY_ID, false, &id));
    }
    if !names.is_empty() {
        extensions.push(extension(SUBJECT_ALT_NAME, false, &names.der()));
    }
    let parts = ToSign {
        issuer: &issuer.name,
        subject,
        public_key: &key.public,
        not_before: validity.start,
        not_after: validity.end,
        extensions: &extensions,
    };
    sign(&parts, &*issuer.key)
}
