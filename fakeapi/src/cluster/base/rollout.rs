//! A client changes the image of kube-proxy or coredns: their pods are made anew with it, all in
//! one step.

use std::sync::Arc;

use apiserver::storage::BaseChange;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::nodes::{PodKind, Renewed};
use super::ClusterBase;
use super::change::Changes;

/// What a controller keeps in kube-system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Workload {
    /// The `DaemonSet` kube-proxy.
    Proxy,
    /// The `Deployment` coredns.
    Dns,
}

/// The images of workloads that clients have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Images {
    proxy: Option<Arc<str>>,
    dns: Option<Arc<str>>,
}

impl Images {
    pub(super) fn of(&self, workload: Workload) -> Option<&Arc<str>> {
        match workload {
            Workload::Proxy => self.proxy.as_ref(),
            Workload::Dns => self.dns.as_ref(),
        }
    }

    pub(super) fn set(&mut self, workload: Workload, image: &str) {
        let image = Some(image.into());
        match workload {
            Workload::Proxy => self.proxy = image,
            Workload::Dns => self.dns = image,
        }
    }
}

impl ClusterBase {
    /// Makes the pods of a workload anew with another image. No change when they have it.
    pub fn roll_out(
        &mut self,
        workload: Workload,
        image: &str,
        first_revision: u64,
        now: Timestamp,
    ) -> Vec<BaseChange> {
        let mut changes = Changes::new(first_revision, now);
        if self.activation.is_none() || self.image(workload) == image {
            return changes.list;
        }
        match workload {
            Workload::Proxy => self.roll_proxies(image, &mut changes),
            Workload::Dns => self.roll_dns(image, &mut changes),
        }
        changes.list
    }

    fn roll_proxies(&mut self, image: &str, changes: &mut Changes) {
        let names: Vec<Arc<str>> = self.nodes.iter().map(|(name, _)| name.clone()).collect();
        for name in &names {
            changes.deleted(self, self.current_key(PodKind::KubeProxy, name));
        }
        self.images.set(Workload::Proxy, image);
        for name in &names {
            let renewed = Renewed { origin: changes.next(), since: changes.now };
            self.nodes.renew(name, PodKind::KubeProxy, renewed, self.name_seed());
            changes.added(self.current_key(PodKind::KubeProxy, name));
        }
    }

    fn roll_dns(&mut self, image: &str, changes: &mut Changes) {
        for index in 0..self.dns.len() {
            changes.deleted(self, self.dns_key(index));
        }
        self.count_dns(changes);
        self.images.set(Workload::Dns, image);
        for index in 0..self.dns.len() {
            let node = self.dns[index].node.clone();
            self.start_dns(index, node, changes);
        }
    }
}
