//! What the tenant learns of its client.

use rcgen::ExtendedKeyUsagePurpose;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::client::{Dial, WAYS};
use super::pki::ClientKey;
use super::*;
use crate::serve::stats::HandshakeFailure;

async fn identity(at: ClusterAddr, tenant: &TestTenant, key: Option<ClientKey>) -> String {
    let mut seen = Vec::new();
    for (tls, alpn) in WAYS {
        let mut dial = Dial::new(at, &tenant.authority, alpn);
        (dial.tls, dial.key) = (tls, key.as_ref().map(|(c, k)| (c.clone(), k.clone_key())));
        let (_, body) = dial.http().await.text("/who").await.unwrap();
        // What follows in braces holds the time of the judgement.
        let identity = body.split('|').nth(2).unwrap();
        seen.push(identity.split(" {").next().unwrap().to_owned());
    }
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:?}");
    seen.swap_remove(0)
}

#[tokio::test]
async fn a_client_is_who_its_certificate_says_if_the_ca_vouches_for_it() {
    let site = Site::start(fast());
    let (at, tenant) = site.tenant("a", "127.0.0.1");
    let (_, other) = site.tenant("b", "127.0.0.2");
    let own = &tenant.authority;
    let past = rcgen::date_time_ymd(2001, 1, 1);
    let future = rcgen::date_time_ymd(2999, 1, 1);
    let cases = [
        (own.client("eve", &["system:masters"], |_| {}), r#"eve ["system:masters"]"#),
        (own.client("nobody", &[], |_| {}), "nobody []"),
        (own.client("any", &[], |p| p.extended_key_usages.clear()), "any []"),
        (other.authority.client("eve", &["system:masters"], |_| {}), "untrusted: UnknownIssuer"),
        (own.client("late", &[], |p| p.not_after = past), "untrusted: CertExpired"),
        (own.client("early", &[], |p| p.not_before = future), "untrusted: CertNotValidYet"),
        (
            own.client("server", &[], |p| {
                p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }),
            "untrusted: RequiredEkuNotFoundContext(RequiredEkuNotFoundContext",
        ),
    ];
    assert_eq!(identity(at, &tenant, None).await, "none");
    for (key, expected) in cases {
        let seen = identity(at, &tenant, Some(key)).await;
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_is_worth_nothing() {
    let site = Site::start(fast());
    let (at, tenant) = site.tenant("a", "127.0.0.1");
    let (chain, _): (Vec<CertificateDer<'_>>, _) = tenant.authority.client("eve", &[], |_| {});
    let (_, wrong): (_, PrivateKeyDer<'_>) = tenant.authority.client("mallory", &[], |_| {});
    for (tls, _) in [WAYS[0], WAYS[2]] {
        let resolver = MismatchedKey::new(chain.clone(), &wrong);
        let ended = resolver.dial(at, &tenant.authority, tls).await;
        assert!(ended, "the server went on");
    }
    eventually("both failures are counted", || {
        site.server.stats().handshake_failed(HandshakeFailure::Protocol) == 2
    })
    .await;
    assert_eq!(site.server.stats().requests, 0);
}

/// A client that signs with another key than its certificate's.
#[derive(Debug)]
struct MismatchedKey(Arc<CertifiedKey>);

impl MismatchedKey {
    fn new(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'_>) -> Self {
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(key).unwrap();
        Self(Arc::new(CertifiedKey::new(chain, key)))
    }

    /// Whether the server ended the connection before it answered anything.
    async fn dial(
        self,
        at: ClusterAddr,
        trust: &Authority,
        tls: &'static rustls::SupportedProtocolVersion,
    ) -> bool {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[tls])
            .unwrap()
            .with_root_certificates(trust.roots())
            .with_client_cert_resolver(Arc::new(self));
        let tcp = tokio::net::TcpStream::connect(at.0).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let Ok(mut stream) = connector.connect(at.ip().into(), tcp).await else {
            return true;
        };
        let sent = stream.write_all(b"GET /who HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let (read, end) = read_to_end(&mut stream).await;
        read.is_empty() && (sent.is_err() || end.is_err())
    }
}

impl rustls::client::ResolvesClientCert for MismatchedKey {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _sigschemes: &[rustls::SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_tenant_without_a_certificate_fails_the_handshake_and_is_counted() {
    let site = Site::start(fast());
    let tenant = TestTenant::new("broken", &[]);
    let at = site.put("127.0.0.1", Arc::clone(&tenant));
    let failed = Dial::new(at, &tenant.authority, "h2").tls().await;
    failed.expect_err("there was nothing to show");
    eventually("it is counted", || {
        site.server.stats().handshake_failed(HandshakeFailure::Certificate) == 1
    })
    .await;
    eventually("its places are free", || tenant.connections.open() == 0).await;
}
