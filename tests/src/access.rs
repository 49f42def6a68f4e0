//! How a client reaches a cluster: the address, whom it trusts, who it says it is.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::session::Session;

/// A client's certificates and its key.
type ClientKey = (Vec<CertificateDer<'static>>, Arc<PrivateKeyDer<'static>>);

/// How a client reaches a cluster.
#[derive(Clone, Debug)]
pub struct Access {
    /// The API server.
    pub address: SocketAddr,
    /// The CA it must be vouched for by.
    pub ca: CertificateDer<'static>,
    client: Option<ClientKey>,
    alpn: &'static str,
    sni: Option<&'static str>,
}

impl Access {
    /// As a kubeconfig's current context says.
    ///
    /// # Errors
    /// When the text is no kubeconfig with a CA and a client certificate.
    pub fn from_kubeconfig(text: &str) -> Result<Self> {
        let config: Value = serde_saphyr::from_str(text)?;
        let named = |list: &str, name: &Value| -> Result<Value> {
            let entries = config[list].as_array().with_context(|| format!("no {list}"))?;
            let found = entries.iter().find(|entry| &entry["name"] == name);
            found.cloned().with_context(|| format!("no {name} in {list}"))
        };
        let context = &named("contexts", &config["current-context"])?["context"];
        let cluster = &named("clusters", &context["cluster"])?["cluster"];
        let user = &named("users", &context["user"])?["user"];
        let data = |of: &Value, key: &str| -> Result<Vec<u8>> {
            let text = of[key].as_str().with_context(|| format!("no {key}"))?;
            Ok(STANDARD.decode(text)?)
        };
        let server = cluster["server"].as_str().context("no server")?;
        let address = server.strip_prefix("https://").context("the server is not https")?;
        let ca = CertificateDer::from_pem_slice(&data(cluster, "certificate-authority-data")?)?;
        let chain = CertificateDer::pem_slice_iter(&data(user, "client-certificate-data")?)
            .collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(&data(user, "client-key-data")?)?;
        let client = Some((chain, Arc::new(key)));
        Ok(Self { address: address.parse()?, ca, client, alpn: "h2", sni: None })
    }

    /// Without a client certificate.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self { client: None, ..self.clone() }
    }

    /// With the client certificate of another.
    #[must_use]
    pub fn as_client_of(&self, other: &Self) -> Self {
        Self { client: other.client.clone(), ..self.clone() }
    }

    /// By HTTP/1.1 instead of HTTP/2.
    #[must_use]
    pub fn http1(&self) -> Self {
        Self { alpn: "http/1.1", ..self.clone() }
    }

    /// Asking for another server name than that of the cluster.
    #[must_use]
    pub fn asking_for(&self, name: &'static str) -> Self {
        Self { sni: Some(name), ..self.clone() }
    }

    /// TCP and TLS; the server's certificate is checked to be for the address.
    ///
    /// # Errors
    /// When the server is not there or not who it must be.
    pub async fn tls(&self) -> Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = ByAddress::new(&self.ca, self.address, provider.clone())?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &self.client {
            Some((chain, key)) => config.with_client_auth_cert(chain.clone(), key.clone_key())?,
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![self.alpn.as_bytes().to_vec()];
        let name = match self.sni {
            Some(name) => ServerName::try_from(name)?,
            None => ServerName::from(self.address.ip()),
        };
        let tcp = TcpStream::connect(self.address).await?;
        Ok(TlsConnector::from(Arc::new(config)).connect(name, tcp).await?)
    }

    /// TCP, TLS and HTTP.
    ///
    /// # Errors
    /// When the server is not there or not who it must be.
    pub async fn connect(&self) -> Result<Session> {
        Session::over(self.tls().await?, self.address).await
    }
}

/// Verifies that a server is who its address says, whatever name was asked for.
#[derive(Debug)]
struct ByAddress {
    inner: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl ByAddress {
    fn new(
        ca: &CertificateDer<'static>,
        address: SocketAddr,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone())?;
        let inner =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        Ok(Self { inner, name: ServerName::from(address.ip()) })
    }
}

impl ServerCertVerifier for ByAddress {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _asked: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
