//! A cluster answers its clients.

use std::sync::Arc;

use apiserver::auth::User;
use apiserver::body::Body;
use apiserver::kubelet::Kubelet;
use apiserver::status::Status;
use apiserver::storage::{Key, ResourceId, Storage};
use apiserver::streams::Upgrade;
use apiserver::{ApiServer, Call, Closing};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;

use super::Registry;
use super::cluster::Cluster;
use super::kubelet::Pods;
use crate::addr::ClusterAddr;
use crate::behaviour::{Effects, Verdict};
use crate::cluster::identity::{SubjectNames, serve_certificate, serve_certificate_until};
use crate::serve::outage::OutageSwitch;
use crate::serve::{
    BoxError, ClientIdentity, ConnectionCount, Directory, Draining, Peer, RequestBody, Takeover,
    Tenant, Within,
};

impl Directory for Registry {
    type Tenant = Cluster;

    fn tenant(&self, at: ClusterAddr) -> Option<Arc<Cluster>> {
        self.clusters.at(at)
    }
}

impl Tenant for Cluster {
    type Body = Body;

    fn generation(&self) -> u64 {
        self.identity.read().generation
    }

    fn certificate(&self) -> Result<Arc<CertifiedKey>, BoxError> {
        let facts = self.facts();
        let names = SubjectNames::api_server(facts.addr.ip());
        let key = &self.shared.serving_key;
        let end = self.behaviour.effects().and_then(|effects| effects.certificate_end());
        Ok(match end {
            Some(end) => serve_certificate_until(&facts.ca, key, &names, end)?,
            None => serve_certificate(&facts.ca, key, &names, Timestamp::now())?,
        })
    }

    fn client_roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        // An authority that cannot be a root vouches for nobody.
        if let Err(error) = roots.add(self.facts().ca.certificate()) {
            tracing::warn!(cluster = %self.name(), %error, "the CA cannot vouch for clients");
        }
        Arc::new(roots)
    }

    fn connections(&self) -> &ConnectionCount {
        &self.connections
    }

    fn removed(&self) -> &CancellationToken {
        &self.gone
    }

    fn outage(&self) -> &Arc<OutageSwitch> {
        &self.behaviour.outage
    }

    async fn serve(
        self: Arc<Self>,
        peer: Arc<Peer>,
        mut request: Request<RequestBody>,
    ) -> Response<Body> {
        let within = request.extensions().get::<Arc<Within>>().cloned();
        let draining = request.extensions().get::<Draining>().cloned();
        if let Some(effects) = self.behaviour.effects()
            && let Some(refusal) = judge(&effects, &request, draining.as_ref()).await
        {
            return ApiServer::refuse(&request, &refusal);
        }
        let user = self.authenticate(&peer, request.headers());
        if let Some(connection) = Takeover::of(&mut request) {
            let upgrade = Upgrade::new(move |session| {
                connection.clone().run(|io| session(Box::new(io)));
            });
            request.extensions_mut().insert(upgrade);
        }
        let closing: Closing = Arc::new(move || match draining.clone() {
            Some(draining) => Box::pin(async move { draining.begun().await }),
            None => Box::pin(std::future::pending()),
        });
        let kubelet = Arc::new(Pods { cluster: self.clone(), within });
        let call = self.call(user, closing, kubelet);
        self.shared.api.handle(&call, request).await
    }
}

/// Lets a request wait as rules of behaviour say; answers what they refuse it with.
async fn judge<B>(
    effects: &Effects,
    request: &Request<B>,
    draining: Option<&Draining>,
) -> Option<Status> {
    let Verdict { delay, refusal } = effects.on_request(request);
    if !delay.is_zero() {
        let ends = async {
            match draining {
                Some(draining) => draining.begun().await,
                None => std::future::pending().await,
            }
        };
        // Whoever ends does not wait for what was made slow.
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = ends => {}
        }
    }
    refusal
}

impl Cluster {
    /// The cluster's server as one request meets it.
    pub(super) fn call(
        self: &Arc<Self>,
        user: Option<User>,
        closing: Closing,
        kubelet: Arc<dyn Kubelet>,
    ) -> Call {
        Call {
            storage: self.storage(),
            user,
            address: self.address().to_string().into(),
            version: self.store.with_base(|base| base.version().clone()),
            closing,
            kubelet,
        }
    }

    /// Who asks; `None` when what was shown is not valid.
    fn authenticate(&self, peer: &Peer, headers: &HeaderMap) -> Option<User> {
        match &peer.identity {
            ClientIdentity::Trusted(certificate) => {
                // A connection may outlive its client's certificate.
                let valid = certificate.not_after >= Timestamp::now().as_second();
                return valid.then(|| {
                    let groups = certificate.organizations.iter().cloned();
                    User::authenticated(certificate.common_name.clone(), groups)
                });
            }
            ClientIdentity::Untrusted(_) => return self.open_door(),
            ClientIdentity::None => {}
        }
        match bearer(headers) {
            Some(token) => self.bootstrap_token(token).or_else(|| self.open_door()),
            None if self.shared.anonymous_admin => self.open_door(),
            None => Some(User::anonymous()),
        }
    }

    /// FKAS let everybody do everything; an operator can have that back.
    fn open_door(&self) -> Option<User> {
        let group = || apiserver::auth::SYSTEM_MASTERS.to_owned();
        self.shared
            .anonymous_admin
            .then(|| User::authenticated(apiserver::auth::ANONYMOUS, [group()]))
    }

    /// `ID.SECRET` of a bootstrap token, as kubeadm's joining nodes show it.
    ///
    /// <https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/>
    fn bootstrap_token(&self, token: &str) -> Option<User> {
        let (id, secret) = token.split_once('.')?;
        let name = format!("bootstrap-token-{id}");
        let key = Key::new(ResourceId::of("", "secrets"), "kube-system", &name);
        let stored = self.store.get(&key)?.value();
        if stored["type"] != "bootstrap.kubernetes.io/token" {
            return None;
        }
        let field = |name: &str| decoded(&stored["data"][name]);
        let known = field("token-id")? == id
            && same(&field("token-secret")?, secret)
            && field("usage-bootstrap-authentication").as_deref() == Some("true");
        let alive = field("expiration")
            .is_none_or(|end| end.parse::<Timestamp>().is_ok_and(|end| end > Timestamp::now()));
        if !known || !alive {
            return None;
        }
        let extra = field("auth-extra-groups").unwrap_or_default();
        let groups = extra
            .split(',')
            .filter(|group| group.starts_with("system:bootstrappers:"))
            .map(str::to_owned)
            .chain(["system:bootstrappers".to_owned()]);
        Some(User::authenticated(format!("system:bootstrap:{id}"), groups))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn decoded(value: &serde_json::Value) -> Option<String> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str()?).ok()?;
    String::from_utf8(bytes).ok()
}

/// Compares secrets in a time that tells nothing about where they differ.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
}
