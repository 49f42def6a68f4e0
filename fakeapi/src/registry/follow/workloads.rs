//! What the controllers of kube-proxy and coredns write into their objects' status.

use apiserver::storage::{Key, Storage};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::cluster::Cluster;
use super::super::nodes::Refused;
use super::super::record::Change;
use super::report;
use crate::cluster::base::Count;

impl Cluster {
    /// Brings the status of kube-proxy's `DaemonSet` or coredns' `Deployment` up to what is there.
    /// One that no client has written to counts by itself.
    pub(super) fn follow_workload(&self, key: &Key) {
        let Some(count) = self.store.with_base(|base| base.count(key)) else { return };
        self.follow_image(key, &count);
        if let Err(error) = self.edit(key, |object| counted(object, &count)) {
            report(self, key, &error);
        }
    }

    /// Makes a workload's pods anew when a client has given it another image.
    fn follow_image(&self, key: &Key, count: &Count) {
        let Some(object) = self.store.get(key).map(|object| object.value()) else { return };
        let image = object["spec"]["template"]["spec"]["containers"][0]["image"].as_str();
        let Some(image) = image.filter(|_| is_own(&object, count)) else { return };
        let (workload, at) = (count.workload, Timestamp::now());
        if self.store.with_base(|base| base.has_image(workload, image)) {
            return;
        }
        let change = Change::RollOut { workload, image: image.to_owned(), at };
        let made = self.store.change_base(|base, revision| {
            self.write_change(revision, &change)?;
            Ok(base.roll_out(workload, image, revision, at))
        });
        if let Err(Refused::Journal(error)) = made {
            report(self, key, &error);
        }
    }
}

/// Whether an object is the cluster's own, and stays.
fn is_own(object: &Value, count: &Count) -> bool {
    let metadata = &object["metadata"];
    metadata["uid"] == count.uid && metadata.get("deletionTimestamp").is_none()
}

/// An object with the status that its controller writes; `None` when it has it, or is another one
/// than the cluster's own.
fn counted(object: &Value, count: &Count) -> Option<Value> {
    if !is_own(object, count) {
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
