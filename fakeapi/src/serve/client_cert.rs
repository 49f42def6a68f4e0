//! Who a client's certificate says it is.
//!
//! kube-apiserver asks for a certificate and takes any whose key the peer proves to hold; whether
//! it is trusted is decided after the handshake, so that a client with a wrong certificate reads
//! "401 Unauthorized" and not a TLS alert. The rules are those of its X.509 authenticator: a
//! chain to the cluster's CA by way of the certificates the client sent, now within the validity
//! of each, and usable for client authentication.

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use super::{tls, version1};

/// What is known of the peer from its certificate.
#[derive(Debug)]
pub enum ClientIdentity {
    /// It showed none.
    None,
    /// It showed one that the cluster's CA vouches for.
    Trusted(ClientCertificate),
    /// It showed one that counts for nothing; a request is answered with 401.
    Untrusted(UntrustedCertificate),
}

/// A trusted client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The subject's common name, which is the user's name; the last one when there are several,
    /// as Go takes it. Empty when there is none.
    pub common_name: String,
    /// The subject's organizations, which are the user's groups.
    pub organizations: Vec<String>,
    /// When the certificate ceases to be valid, in seconds since 1970. A connection may live
    /// longer, so each request is to be held against it.
    pub not_after: i64,
    /// The certificate itself.
    pub der: CertificateDer<'static>,
}

/// Why a client certificate counts for nothing.
#[derive(Debug, thiserror::Error)]
pub enum UntrustedCertificate {
    /// It cannot be parsed.
    #[error("the client certificate cannot be read")]
    Unreadable(#[source] x509_parser::error::X509Error),
    /// There is no valid chain from it to the cluster's CA.
    #[error("the client certificate is not valid here")]
    Chain(#[source] webpki::Error),
}

/// Judges the certificates a peer sent, its own first.
pub(super) fn judge(
    chain: Option<&[CertificateDer<'_>]>,
    roots: &RootCertStore,
    now: UnixTime,
) -> ClientIdentity {
    let Some((leaf, intermediates)) = chain.and_then(<[_]>::split_first) else {
        return ClientIdentity::None;
    };
    match trusted(leaf, intermediates, roots, now) {
        Ok(certificate) => ClientIdentity::Trusted(certificate),
        Err(why) => ClientIdentity::Untrusted(why),
    }
}

fn trusted(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    roots: &RootCertStore,
    now: UnixTime,
) -> Result<ClientCertificate, UntrustedCertificate> {
    match EndEntityCert::try_from(leaf) {
        Err(webpki::Error::UnsupportedCertVersion) => version1::verify(leaf, roots, now),
        parsed => parsed.and_then(|end_entity| {
            end_entity
                .verify_for_usage(
                    tls::signature_algorithms().all,
                    &roots.roots,
                    intermediates,
                    now,
                    KeyUsage::client_auth(),
                    None,
                    None,
                )
                .map(drop)
        }),
    }
    .map_err(UntrustedCertificate::Chain)?;
    let (_, parsed) = X509Certificate::from_der(leaf)
        .map_err(|error| UntrustedCertificate::Unreadable(error.into_x509()))?;
    named(&parsed, leaf).map_err(UntrustedCertificate::Unreadable)
}

fn named(
    parsed: &X509Certificate<'_>,
    leaf: &CertificateDer<'_>,
) -> Result<ClientCertificate, x509_parser::error::X509Error> {
    let subject: &X509Name<'_> = parsed.subject();
    let common_name = match subject.iter_common_name().last() {
        Some(name) => name.as_str()?.to_owned(),
        None => String::new(),
    };
    let organizations = subject
        .iter_organization()
        .map(|organization| organization.as_str().map(str::to_owned))
        .collect::<Result<_, _>>()?;
    Ok(ClientCertificate {
        common_name,
        organizations,
        not_after: parsed.validity().not_after.timestamp(),
        der: leaf.clone().into_owned(),
    })
}

/// The parser wraps its own error in that of its combinators.
trait IntoX509 {
    fn into_x509(self) -> x509_parser::error::X509Error;
}

impl IntoX509 for x509_parser::nom::Err<x509_parser::error::X509Error> {
    fn into_x509(self) -> x509_parser::error::X509Error {
        match self {
            Self::Error(error) | Self::Failure(error) => error,
            Self::Incomplete(_) => x509_parser::error::X509Error::InvalidCertificate,
        }
    }
}
