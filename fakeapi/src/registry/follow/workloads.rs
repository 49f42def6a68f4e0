//! What the controllers of kube-proxy and coredns write into their objects' status.

use apiserver::storage::Key;
use serde_json::{Value, json};

use super::super::cluster::Cluster;
use super::report;
use crate::cluster::base::Count;

impl Cluster {
    /// Brings the status of kube-proxy's `DaemonSet` or coredns' `Deployment` up to what is there.
    /// One that no client has written to counts by itself.
    pub(super) fn follow_workload(&self, key: &Key) {
        let Some(count) = self.store.with_base(|base| base.count(key)) else { return };
        if let Err(error) = self.edit(key, |object| counted(object, &count)) {
            report(self, key, &error);
        }
    }
}

/// An object with the status that its controller writes; `None` when it has it, or is another one
/// than the cluster's own.
fn counted(object: &Value, count: &Count) -> Option<Value> {
    if object["metadata"]["uid"] != count.uid
        || object["metadata"].get("deletionTimestamp").is_some()
    {
        return None;
    }
    let mut counted = object.clone();
    let generation = object["metadata"]["generation"].clone();
    let status = &mut counted["status"];
    status["observedGeneration"] = generation;
    for (field, number) in count.fields() {
        status[field] = json!(number);
    }
    (counted != *object).then_some(counted)
}
