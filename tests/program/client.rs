//! A client of the clusters: TLS to an address, one request, and what was shown.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::net::TcpStream;

use crate::control::Cluster;

/// For one connection and its request, when many share two cores with the server.
const PATIENCE: Duration = Duration::from_secs(20);
/// Connections at once.
const AT_ONCE: usize = 64;

/// What a cluster answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
    certificate: CertificateDer<'static>,
}

/// What an administrator's kubeconfig says.
#[derive(Clone)]
pub(crate) struct Kubeconfig {
    pub(crate) server: String,
    authority: CertificateDer<'static>,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Kubeconfig {
    pub(crate) fn parse(text: &str) -> Self {
        let value = |key: &str| {
            let found = text.lines().find_map(|line| line.trim().strip_prefix(key));
            found.unwrap_or_else(|| panic!("no {key} in {text}")).trim().to_owned()
        };
        let pem = |key: &str| STANDARD.decode(value(key)).unwrap();
        let certificate = |key: &str| CertificateDer::from_pem_slice(&pem(key)).unwrap();
        Self {
            server: value("server: "),
            authority: certificate("certificate-authority-data: "),
            certificate: certificate("client-certificate-data: "),
            key: pem("client-key-data: "),
        }
    }

    /// A client that trusts this cluster's authority only, and shows its administrator's
    /// certificate.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(&self.key).unwrap();
        let config = builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![self.certificate.clone()], key)
            .unwrap();
        Arc::new(config)
    }
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap()
}

/// A client without a certificate that takes whatever certificate it is shown, to look at it. It
/// resumes no session, so that every connection shows one.
pub(crate) fn curious() -> Arc<ClientConfig> {
    let mut config = builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Curious(aws_lc_rs::default_provider())))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// Takes any certificate, yet only from who has its key.
#[derive(Debug)]
struct Curious(CryptoProvider);

impl ServerCertVerifier for Curious {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Connects, asks for a path and reads the whole answer.
pub(crate) async fn get(client: Arc<ClientConfig>, at: SocketAddr, path: &str) -> Result<Answer> {
    let exchange = async {
        let tcp = TcpStream::connect(at).await.context("cannot connect")?;
        tcp.set_nodelay(true)?;
        let connector = tokio_rustls::TlsConnector::from(client);
        let tls = connector.connect(at.ip().into(), tcp).await.context("no TLS")?;
        let shown = tls.get_ref().1.peer_certificates().context("no certificate")?;
        let certificate = shown.first().context("no certificate")?.clone();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tls)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::get(path).header("host", at.to_string()).body(Empty::new())?;
        let request: Request<Empty<Bytes>> = request;
        let response = sender.send_request(request).await.context("no answer")?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.context("half an answer")?.to_bytes();
        drop(sender);
        connection.await??;
        Ok(Answer { status, body, certificate })
    };
    tokio::time::timeout(PATIENCE, exchange).await.context("no answer in time")?
}

impl Answer {
    /// Checks that the certificate is for this address and not for the one after it.
    pub(crate) fn shows(&self, ip: IpAddr) -> Result<()> {
        let certificate = webpki::EndEntityCert::try_from(&self.certificate)?;
        certificate
            .verify_is_valid_for_subject_name(&ip.into())
            .context("the certificate is another's")?;
        let other = certificate.verify_is_valid_for_subject_name(&next(ip).into());
        ensure!(other.is_err(), "the certificate is for other addresses too");
        Ok(())
    }
}

fn next(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => std::net::Ipv4Addr::from_bits(ip.to_bits() + 1).into(),
        IpAddr::V6(ip) => std::net::Ipv6Addr::from_bits(ip.to_bits() + 1).into(),
    }
}

/// Connects to each of these clusters, many at a time, and checks that each answers `/readyz` and
/// shows a certificate for its own address. Tells the faults of those that do not.
pub(crate) async fn faults_of(clusters: Vec<Cluster>) -> Vec<String> {
    let client = curious();
    let checks = stream::iter(clusters).map(|cluster| {
        let client = Arc::clone(&client);
        // A task each: the runtime has more than one thread.
        tokio::spawn(async move {
            let outcome = check(client, cluster.at).await;
            outcome.err().map(|error| format!("{} at {}: {error:#}", cluster.name, cluster.at))
        })
    });
    checks.buffer_unordered(AT_ONCE).filter_map(async |fault| fault.unwrap()).collect().await
}

async fn check(client: Arc<ClientConfig>, at: SocketAddr) -> Result<()> {
    let answer = get(client, at, "/readyz").await?;
    ensure!(answer.status == 200, "status {}", answer.status);
    ensure!(&answer.body[..] == b"ok", "{:?}", answer.body);
    answer.shows(at.ip())
}

/// What connecting ends with when no connection comes about within `patience`.
pub(crate) async fn refusal(at: SocketAddr, patience: Duration) -> std::io::ErrorKind {
    match tokio::time::timeout(patience, TcpStream::connect(at)).await {
        Ok(Ok(_)) => panic!("{at} takes connections"),
        Ok(Err(error)) => error.kind(),
        Err(_) => std::io::ErrorKind::TimedOut,
    }
}
