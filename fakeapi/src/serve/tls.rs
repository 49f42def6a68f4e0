//! The TLS side of a connection: the certificate of the address it went to, TLS 1.2 and 1.3,
//! `h2` and `http/1.1` by ALPN.
//!
//! A configuration is 1.3 KB without session storage and tickets (10.8 KB with), so those are
//! off: sessions would also cross identities if clusters shared a store. The configurations of
//! addresses that nobody visits are forgotten, and made again when somebody does.

use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};

use lru::LruCache;
use parking_lot::Mutex;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ResolvesServerCert, StoresServerSessions};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::RawPublicKeyEntity;

use super::client_cert::{ClientIdentity, judge};
use super::{BoxError, Tenant, version1};
use crate::addr::ClusterAddr;

/// What `h2` is called in ALPN.
pub(super) const ALPN_H2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
static ANY_CLIENT: LazyLock<Arc<AnyClientCertificate>> =
    LazyLock::new(|| Arc::new(AnyClientCertificate));
static NO_SESSIONS: LazyLock<Arc<dyn StoresServerSessions>> =
    LazyLock::new(|| Arc::new(NoServerSessionStorage {}));

/// The signature algorithms accepted of clients and of their issuers.
pub(super) fn signature_algorithms() -> WebPkiSupportedAlgorithms {
    PROVIDER.signature_verification_algorithms
}

/// The TLS configuration that serves this certificate.
pub fn server_config(key: Arc<CertifiedKey>) -> Arc<ServerConfig> {
    config(Arc::new(SingleCertAndKey::from(key)))
}

/// The TLS configuration that serves this certificate to clients that show one of which these
/// authorities know, and to nobody else: as etcd does, whose clients are told in the handshake.
pub fn vouched_config(key: Arc<CertifiedKey>, roots: Arc<RootCertStore>) -> Arc<ServerConfig> {
    let clients = Arc::new(VouchedClientCertificate { roots });
    config_for(Arc::new(SingleCertAndKey::from(key)), clients)
}

/// The TLS configuration with these certificates.
pub(super) fn config(certificates: Arc<dyn ResolvesServerCert>) -> Arc<ServerConfig> {
    config_for(certificates, Arc::clone(&ANY_CLIENT) as _)
}

/// # Panics
/// Never: the provider knows the suites of both TLS versions.
fn config_for(
    certificates: Arc<dyn ResolvesServerCert>,
    clients: Arc<dyn ClientCertVerifier>,
) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("aws-lc has suites for TLS 1.2 and 1.3")
        .with_client_cert_verifier(clients)
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![ALPN_H2.to_vec(), ALPN_HTTP1.to_vec()];
    config.session_storage = Arc::clone(&NO_SESSIONS);
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

/// Takes any client certificate, or none, as long as the peer proves that it holds its key.
/// Whether it is trusted is judged after the handshake ([`super::client_cert`]).
#[derive(Debug)]
struct AnyClientCertificate;

impl ClientCertVerifier for AnyClientCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        version1::public_key(end_entity).map_err(unreadable)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = version1::public_key(cert).map_err(unreadable)?;
        let key = RawPublicKeyEntity::try_from(&key).map_err(unreadable)?;
        let known = signature_algorithms().mapping.iter().find(|(scheme, _)| *scheme == dss.scheme);
        let algorithms = known.map_or(&[][..], |(_, algorithms)| algorithms);
        let proven = algorithms
            .iter()
            .any(|algorithm| key.verify_signature(*algorithm, message, dss.signature()).is_ok());
        if proven {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(rustls::Error::InvalidCertificate(CertificateError::BadSignature))
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = version1::public_key(cert).map_err(unreadable)?;
        verify_tls13_signature_with_raw_key(message, &key, dss, &signature_algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signature_algorithms().supported_schemes()
    }
}

/// Takes the client certificates that an authority vouches for, by the same rules by which others
/// are judged after the handshake.
#[derive(Debug)]
struct VouchedClientCertificate {
    roots: Arc<RootCertStore>,
}

impl ClientCertVerifier for VouchedClientCertificate {
    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let chain: Vec<CertificateDer<'_>> =
            std::iter::once(end_entity).chain(intermediates).cloned().collect();
        match judge(Some(&chain), &self.roots, now) {
            ClientIdentity::Trusted(_) => Ok(ClientCertVerified::assertion()),
            ClientIdentity::None | ClientIdentity::Untrusted(_) => {
                Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        ANY_CLIENT.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        ANY_CLIENT.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signature_algorithms().supported_schemes()
    }
}

/// A certificate whose key cannot be read proves nothing.
fn unreadable(_: webpki::Error) -> rustls::Error {
    rustls::Error::InvalidCertificate(CertificateError::BadEncoding)
}

/// The configurations of the addresses visited last. One worker's own, so never contended.
pub(super) struct ConfigCache {
    bound: NonZeroUsize,
    configs: Mutex<LruCache<ClusterAddr, Cached>>,
}

struct Cached {
    generation: u64,
    config: Arc<ServerConfig>,
}

impl ConfigCache {
    /// A cache of at most `bound` configurations.
    pub(super) fn new(bound: NonZeroUsize) -> Self {
        Self {
            bound,
            // Bounded below: a bounded `LruCache` takes the memory for all entries at once.
            configs: Mutex::new(LruCache::unbounded()),
        }
    }

    /// The configuration of the tenant's identity of now.
    pub(super) fn get<T: Tenant>(
        &self,
        at: ClusterAddr,
        tenant: &T,
    ) -> Result<Arc<ServerConfig>, BoxError> {
        let generation = tenant.generation();
        if let Some(cached) = self.configs.lock().get(&at)
            && cached.generation == generation
        {
            return Ok(Arc::clone(&cached.config));
        }
        let config = server_config(tenant.certificate()?);
        let cached = Cached { generation, config: Arc::clone(&config) };
        let mut configs = self.configs.lock();
        configs.put(at, cached);
        if configs.len() > self.bound.get() {
            configs.pop_lru();
        }
        Ok(config)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.configs.lock().len()
    }
}
