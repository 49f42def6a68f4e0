//! Certificate authorities, given or made.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::KeyPair;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::SigningKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;

use super::IdentityError;
use super::der::{BOOLEAN, OCTET_STRING, SEQUENCE, bits, element};
use super::leaf::{BASIC_CONSTRAINTS, KEY_USAGE, SUBJECT_KEY_ID, ToSign, extension, name, sign};
use super::pem::encode;
use crate::register::CaPem;

/// The common name kubeadm gives a cluster's CA.
pub const KUBERNETES_CA_NAME: &str = "kubernetes";

/// The common name kubeadm gives an etcd CA.
pub const ETCD_CA_NAME: &str = "etcd-ca";

/// How long a CA that is made here lasts, as kubeadm's do.
const CA_LIFETIME: Duration = Duration::from_hours(10 * 365 * 24);

/// How far the clock of a client may be behind ours.
const CLOCK_SKEW: Duration = Duration::from_mins(5);

/// A certificate authority: a certificate that may sign others, and its key.
///
/// Kept encoded, because a cluster signs a few certificates in its life: about 2 KiB for an RSA
/// CA of 2048 bits, 600 bytes for one that was made here.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateAuthority {
    certificate: Box<[u8]>,
    key: Box<[u8]>,
    form: KeyForm,
}

/// How a private key is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyForm {
    Pkcs1,
    Sec1,
    Pkcs8,
}

/// What a certificate that is signed by an authority takes from it.
pub(super) struct Issuer {
    pub(super) name: Vec<u8>,
    pub(super) key_id: Option<Vec<u8>>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) key: Arc<dyn SigningKey>,
}

impl CertificateAuthority {
    /// Reads an authority as Secrets hold it: the first certificate of `pem.certificate` and the
    /// first key of `pem.key`, RSA, ECDSA or Ed25519, in PKCS#1, SEC1 or PKCS#8.
    ///
    /// An authority that has expired is taken: its clusters are refused by clients, as real ones
    /// are. See [`Self::expired`].
    ///
    /// # Errors
    /// When one of the two cannot be read, the certificate may not sign others, or the key is
    /// another one's.
    pub fn from_pem(pem: &CaPem) -> Result<Self, IdentityError> {
        let certificate = CertificateDer::from_pem_slice(pem.certificate.as_bytes())
            .map_err(IdentityError::CertificatePem)?;
        let key =
            PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).map_err(IdentityError::KeyPem)?;
        let form = match &key {
            PrivateKeyDer::Pkcs1(_) => KeyForm::Pkcs1,
            PrivateKeyDer::Sec1(_) => KeyForm::Sec1,
            _ => KeyForm::Pkcs8,
        };
        let this =
            Self { certificate: certificate.as_ref().into(), key: key.secret_der().into(), form };
        let parsed = this.parse()?;
        may_sign(&parsed)?;
        let public = this.signing_key()?.public_key().ok_or(IdentityError::Algorithm)?.to_vec();
        let (_, public) =
            SubjectPublicKeyInfo::from_der(&public).map_err(IdentityError::Certificate)?;
        if public.subject_public_key.data != parsed.public_key().subject_public_key.data {
            return Err(IdentityError::KeyMismatch);
        }
        Ok(this)
    }

    /// Makes an authority on a new P-256 key, for ten years from `now`.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate(common_name: &str, now: Timestamp) -> Result<Self, IdentityError> {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
            .map_err(IdentityError::Generate)?;
        let key = PrivateKeyDer::Pkcs8(pair.serialize_der().into());
        let signer = any_supported_type(&key).map_err(IdentityError::Key)?;
        let public = signer.public_key().ok_or(IdentityError::Algorithm)?;
        let subject = name(&[], common_name);
        let key_id = key_id(&public);
        let certificate = sign(
            &ToSign {
                issuer: &subject,
                subject: &subject,
                public_key: &public,
                not_before: now - CLOCK_SKEW,
                not_after: now + CA_LIFETIME,
                extensions: &[
                    // digitalSignature, keyEncipherment, keyCertSign: as kubeadm's.
                    extension(KEY_USAGE, true, &bits(2, &[0xa4])),
                    extension(
                        BASIC_CONSTRAINTS,
                        true,
                        &element(SEQUENCE, &[&element(BOOLEAN, &[&[0xff]])]),
                    ),
                    extension(SUBJECT_KEY_ID, false, &element(OCTET_STRING, &[&key_id])),
                ],
            },
            &*signer,
        )?;
        Ok(Self {
            certificate: certificate.as_ref().into(),
            key: key.secret_der().into(),
            form: KeyForm::Pkcs8,
        })
    }

    /// The authority as Secrets hold it; a key that was given keeps its encoding.
    pub fn to_pem(&self) -> CaPem {
        let label = match self.form {
            KeyForm::Pkcs1 => "RSA PRIVATE KEY",
            KeyForm::Sec1 => "EC PRIVATE KEY",
            KeyForm::Pkcs8 => "PRIVATE KEY",
        };
        CaPem { certificate: self.certificate_pem(), key: encode(label, &self.key) }
    }

    /// The certificate alone, as PEM.
    pub fn certificate_pem(&self) -> String {
        encode("CERTIFICATE", &self.certificate)
    }

    /// The certificate.
    pub fn certificate(&self) -> CertificateDer<'_> {
        CertificateDer::from(&*self.certificate)
    }

    /// Whether the certificate's time is over at `now`: whoever verifies what it signed will
    /// refuse it.
    ///
    /// # Errors
    /// Never for an authority that [`Self::from_pem`] took.
    pub fn expired(&self, now: Timestamp) -> Result<bool, IdentityError> {
        let end = self.parse()?.validity().not_after.timestamp();
        Ok(now.as_second() > end)
    }

    /// What this authority's signatures need.
    pub(super) fn issuer(&self) -> Result<Issuer, IdentityError> {
        let parsed = self.parse()?;
        let key_id = parsed.iter_extensions().find_map(|e| {
            if let x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) =
                e.parsed_extension()
            {
                Some(id.0.to_vec())
            } else {
                None
            }
        });
        let second = |at| Timestamp::from_second(at).map_err(IdentityError::Time);
        Ok(Issuer {
            name: parsed.subject().as_raw().to_vec(),
            key_id,
            not_before: second(parsed.validity().not_before.timestamp())?,
            not_after: second(parsed.validity().not_after.timestamp())?,
            key: self.signing_key()?,
        })
    }

    fn parse(&self) -> Result<X509Certificate<'_>, IdentityError> {
        let (_, parsed) =
            X509Certificate::from_der(&self.certificate).map_err(IdentityError::Certificate)?;
        Ok(parsed)
    }

    fn signing_key(&self) -> Result<Arc<dyn SigningKey>, IdentityError> {
        let key = match self.form {
            KeyForm::Pkcs1 => PrivateKeyDer::Pkcs1(self.key.to_vec().into()),
            KeyForm::Sec1 => PrivateKeyDer::Sec1(self.key.to_vec().into()),
            KeyForm::Pkcs8 => PrivateKeyDer::Pkcs8(self.key.to_vec().into()),
        };
        any_supported_type(&key).map_err(IdentityError::Key)
    }
}

/// Keys stay out of logs.
impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority").field("form", &self.form).finish_non_exhaustive()
    }
}

/// Whether a certificate may sign others (RFC 5280 4.2.1.9 and 4.2.1.3).
fn may_sign(certificate: &X509Certificate<'_>) -> Result<(), IdentityError> {
    let constraints = certificate.basic_constraints().map_err(IdentityError::Extensions)?;
    match constraints {
        None => return Err(IdentityError::NotAnAuthority("it has no basicConstraints")),
        Some(found) if !found.value.ca => {
            return Err(IdentityError::NotAnAuthority("basicConstraints deny it"));
        }
        Some(_) => {}
    }
    let usage = certificate.key_usage().map_err(IdentityError::Extensions)?;
    if usage.is_some_and(|found| !found.value.key_cert_sign()) {
        return Err(IdentityError::NotAnAuthority("keyUsage has no keyCertSign"));
    }
    Ok(())
}

/// A key's identifier: anything that tells keys apart will do (RFC 5280 4.2.1.2), so the digest
/// behind name-based UUIDs serves.
fn key_id(public_key: &[u8]) -> [u8; 16] {
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_X500, public_key).into_bytes()
}
