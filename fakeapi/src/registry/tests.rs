//! Registries over a real journal, started again and again.

mod behaviour;
mod etcd;
mod health;
mod identity;
mod restart;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use apiserver::ApiServer;
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::{AuthoritySource, Found, Parts, Registry, Shared};
use crate::behaviour::Book;
use crate::cluster::baseline::Baseline;
use crate::cluster::identity::{CertificateAuthority, ServingKey};
use crate::ipam::{Ipam, Plan};
use crate::journal::{Journal, Live, SyncPolicy};
use crate::register::{CONTROL_PLANE_LABEL, CaPem, ClusterName, NodeSpec};
use crate::serve::BoxError;

static SHARED: LazyLock<Arc<Shared>> = LazyLock::new(|| {
    Arc::new(Shared {
        api: Arc::new(ApiServer::new().unwrap()),
        baseline: Arc::new(Baseline::new(br#"{"items":[]}"#).unwrap()),
        serving_key: ServingKey::generate().unwrap(),
        anonymous_admin: false,
    })
});

/// Secrets of a management cluster, by name.
#[derive(Default)]
pub(super) struct Secrets(Mutex<BTreeMap<String, Found>>);

impl Secrets {
    fn put(&self, name: &str, ca: &CaPem) {
        self.0.lock().insert(name.to_owned(), Found::Pair(ca.clone()));
    }

    fn put_keyless(&self, name: &str) {
        self.0.lock().insert(name.to_owned(), Found::Keyless);
    }
}

impl AuthoritySource for Secrets {
    fn authority<'a>(
        &'a self,
        name: &'a ClusterName,
        purpose: &'static str,
    ) -> BoxFuture<'a, Result<Found, BoxError>> {
        let found = self.0.lock().get(&format!("{}-{purpose}", name.name)).cloned();
        async move { Ok(found.unwrap_or(Found::Missing)) }.boxed()
    }
}

/// A run of the program, as far as clusters are concerned.
pub(super) struct Run {
    pub(super) registry: Arc<Registry>,
    journal: Arc<Journal>,
}

pub(super) fn start(directory: &Path, secrets: Option<&Arc<Secrets>>) -> Run {
    let (journal, replay) = Journal::open(directory, SyncPolicy::Never).unwrap();
    let journal = Arc::new(journal);
    let pools = vec!["127.64.0.0/24".parse().unwrap()];
    let registry = Registry::new(Parts {
        shared: SHARED.clone(),
        ipam: Ipam::new(Plan::Addresses { pools, port: 6443 }).unwrap(),
        journal: Some(journal.clone()),
        behaviours: Book::open(directory).unwrap(),
        authorities: secrets.map(|secrets| secrets.clone() as Arc<dyn AuthoritySource>),
    });
    registry.restore(&replay).unwrap();
    let live: Arc<dyn Live> = registry.clone();
    journal.attach(&live);
    Run { registry, journal }
}

pub(super) fn named(name: &str) -> ClusterName {
    ClusterName::new("default", name)
}

fn authority() -> CaPem {
    CertificateAuthority::generate("test", Timestamp::now()).unwrap().to_pem()
}

pub(super) fn control_plane(name: &str) -> NodeSpec {
    let labels = BTreeMap::from([(CONTROL_PLANE_LABEL.to_owned(), String::new())]);
    NodeSpec { name: name.to_owned(), labels, ..NodeSpec::default() }
}
