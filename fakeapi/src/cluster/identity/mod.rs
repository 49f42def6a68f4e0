//! The certificates that a cluster is known by.
//!
//! A cluster owns two certificate authorities and nothing else: what it serves is signed when
//! somebody asks, on one key that all clusters of the process share, and can be forgotten again.

mod authority;
mod der;
mod issue;
mod leaf;
mod names;
mod pem;

#[cfg(test)]
mod tests;

pub use authority::{CertificateAuthority, ETCD_CA_NAME, KUBERNETES_CA_NAME};
pub use issue::{
    ServingKey, client_certificate, etcd_certificate, serve_certificate, serve_certificate_until,
};
pub use leaf::LEAF_LIFETIME;
pub use names::{SERVICE_IPV4, SERVICE_IPV6, SubjectNames};
pub use pem::PemKeyPair;
use rustls_pki_types::pem::Error as PemError;
use x509_parser::nom;

/// Why a certificate or a key cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The certificate's PEM holds no certificate, or is no PEM.
    #[error("no certificate in the PEM text")]
    CertificatePem(#[source] PemError),
    /// The key's PEM holds no private key, or is no PEM.
    #[error("no private key in the PEM text")]
    KeyPem(#[source] PemError),
    /// The certificate is not X.509.
    #[error("the certificate cannot be read")]
    Certificate(#[source] nom::Err<x509_parser::error::X509Error>),
    /// An extension occurs twice or holds what it must not.
    #[error("the certificate's extensions cannot be read")]
    Extensions(#[source] x509_parser::error::X509Error),
    /// The certificate may not sign others.
    #[error("the certificate is not one of an authority: {0}")]
    NotAnAuthority(&'static str),
    /// The key is none of RSA (2048 to 8192 bits), ECDSA (P-256, P-384, P-521) and Ed25519.
    #[error("the private key is of no kind that can sign")]
    Key(#[source] rustls::Error),
    /// The key belongs to another certificate.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// A new key could not be made.
    #[error("no key could be generated")]
    Generate(#[source] rcgen::Error),
    /// The system gave no random numbers.
    #[error("no random numbers for a serial number")]
    Random,
    /// The authority's key did not sign.
    #[error("the certificate could not be signed")]
    Sign(#[source] rustls::Error),
    /// The authority's key signs in no way that certificates know.
    #[error("the authority's key has no signature algorithm for certificates")]
    Algorithm,
    /// A point in time that certificates cannot hold.
    #[error("the validity cannot be written")]
    Time(#[source] jiff::Error),
}
