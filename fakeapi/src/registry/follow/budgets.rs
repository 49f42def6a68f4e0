//! Disruption budgets count the pods they protect, as the disruption controller does
//! (`pkg/controller/disruption`, Kubernetes 1.36).

use std::collections::BTreeMap;
use std::sync::Arc;

use apiserver::selector::LabelSelector;
use apiserver::storage::{Key, Object, PageRequest, ResourceId, Scope, Storage};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::cluster::Cluster;
use super::{BUDGETS, report};
use crate::cluster::baseline::RESOURCES;

impl Cluster {
    /// The budgets of a namespace.
    pub(super) fn budgets_in(&self, namespace: &str) -> Vec<Key> {
        let budgets = self.objects(*BUDGETS, namespace);
        let name =
            |budget: &Arc<Object>| budget.value()["metadata"]["name"].as_str().map(str::to_owned);
        let names = budgets.iter().filter_map(name);
        names.map(|name| Key::new(*BUDGETS, namespace, &name)).collect()
    }

    /// The objects of a namespace.
    fn objects(&self, resource: ResourceId, namespace: &str) -> Vec<Arc<Object>> {
        let scope = Scope { resource, namespace: Some(namespace) };
        let page = PageRequest { scope, after: None, limit: usize::MAX, at: None };
        let page = self.store.list(&page);
        // Only a list at a revision of the past can be refused.
        page.map(|page| page.objects).unwrap_or_default()
    }

    /// Brings a budget's status up to what is there.
    pub(super) fn follow_budget(&self, key: &Key) {
        let Some(budget) = self.store.get(key) else { return };
        let budget = budget.value();
        let Ok(selector) = LabelSelector::from_json(&budget["spec"]["selector"]) else { return };
        let pods = self.objects(RESOURCES.pods, &key.namespace);
        // Only those that it protects are parsed.
        let labelled = |pod: &&Arc<Object>| selector.matches(|label| pod.meta.label(label));
        let pods: Vec<Value> = pods.iter().filter(labelled).map(|pod| pod.value()).collect();
        let pods: Vec<&Value> = pods.iter().collect();
        let scale = self.scale_of(&key.namespace, &pods);
        let counts = Counts::of(&budget["spec"], &pods, scale);
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        if let Err(error) = self.edit(key, |budget| counts.show(budget, &now)) {
            report(self, key, &error);
        }
    }

    /// How many pods the controllers of `pods` want together. Pods without one do not count.
    fn scale_of(&self, namespace: &str, pods: &[&Value]) -> i64 {
        let mut wanted = BTreeMap::new();
        for pod in pods {
            if let Some((uid, replicas)) = self.controller_scale(namespace, pod) {
                wanted.insert(uid, replicas);
            }
        }
        wanted.values().sum()
    }

    /// The uid and `spec.replicas` of what made a pod: of the Deployment behind a `ReplicaSet`.
    fn controller_scale(&self, namespace: &str, pod: &Value) -> Option<(String, i64)> {
        let mut scaled = None;
        let mut of = pod.clone();
        // A pod's owner, and the owner's owner.
        for _ in 0..2 {
            let owners = of["metadata"]["ownerReferences"].as_array().cloned();
            let owner = owners.into_iter().flatten().find(|owner| owner["controller"] == true);
            let Some(owner) = owner else { break };
            let (group, plural) = match owner["kind"].as_str() {
                Some("ReplicaSet") => ("apps", "replicasets"),
                Some("Deployment") => ("apps", "deployments"),
                Some("StatefulSet") => ("apps", "statefulsets"),
                Some("ReplicationController") => ("", "replicationcontrollers"),
                _ => break,
            };
            let name = owner["name"].as_str().unwrap_or_default();
            let key = Key::new(ResourceId::of(group, plural), namespace, name);
            let Some(found) = self.store.get(&key).map(|found| found.value()) else { break };
            if found["metadata"]["uid"] != owner["uid"] {
                break;
            }
            let uid = found["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            scaled = Some((uid, found["spec"]["replicas"].as_i64().unwrap_or(1)));
            of = found;
        }
        scaled
    }
}

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    expected: i64,
    desired: i64,
    current: i64,
    allowed: i64,
}

impl Counts {
    /// Counts `pods`, whose controllers want `scale` of them.
    fn of(spec: &Value, pods: &[&Value], scale: i64) -> Self {
        let all = i64::try_from(pods.len()).unwrap_or(i64::MAX);
        let (expected, desired) = match (&spec["maxUnavailable"], &spec["minAvailable"]) {
            (Value::Null, Value::String(share)) => (scale, portion(share, scale)),
            (Value::Null, number) => (all, number.as_i64().unwrap_or(1)),
            (Value::String(share), _) => (scale, (scale - portion(share, scale)).max(0)),
            (number, _) => (scale, (scale - number.as_i64().unwrap_or_default()).max(0)),
        };
        let healthy = pods.iter().filter(|pod| is_healthy(pod)).count();
        let current = i64::try_from(healthy).unwrap_or(i64::MAX);
        let allowed = if expected <= 0 { 0 } else { (current - desired).max(0) };
        Self { expected, desired, current, allowed }
    }

    /// A budget with this status; `None` when it has it.
    fn show(self, budget: &Value, now: &str) -> Option<Value> {
        let mut shown = budget.clone();
        let status = &mut shown["status"];
        for (field, number) in [
            ("expectedPods", self.expected),
            ("desiredHealthy", self.desired),
            ("currentHealthy", self.current),
            ("disruptionsAllowed", self.allowed),
        ] {
            status[field] = number.into();
        }
        let generation = budget["metadata"]["generation"].clone();
        status["observedGeneration"] = generation.clone();
        let (word, reason) = if self.allowed > 0 {
            ("True", "SufficientPods")
        } else {
            ("False", "InsufficientPods")
        };
        let before = &budget["status"]["conditions"][0];
        let since = if before["status"] == word {
            before["lastTransitionTime"].clone()
        } else {
            now.into()
        };
        status["conditions"] = json!([{
            "type": "DisruptionAllowed", "status": word, "reason": reason, "message": "",
            "lastTransitionTime": since, "observedGeneration": generation,
        }]);
        (shown != *budget).then_some(shown)
    }
}

/// A share such as "30%" of a number, rounded up.
fn portion(share: &str, of: i64) -> i64 {
    let percent: i64 = share.trim_end_matches('%').parse().unwrap_or_default();
    (of * percent + 99).div_euclid(100)
}

/// Whether a pod is ready and stays.
fn is_healthy(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    pod["metadata"].get("deletionTimestamp").is_none()
        && conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn pod(ready: bool, going: bool) -> Value {
        let mut pod = json!({"metadata": {}, "status": {"conditions": [
            {"type": "Ready", "status": if ready { "True" } else { "False" }},
        ]}});
        if going {
            pod["metadata"]["deletionTimestamp"] = "now".into();
        }
        pod
    }

    #[test]
    fn budgets_count_as_the_disruption_controller() {
        let pods = [pod(true, false), pod(true, false), pod(false, false), pod(true, true)];
        let pods: Vec<&Value> = pods.iter().collect();
        for (spec, scale, [expected, desired, allowed]) in [
            (json!({"minAvailable": 1}), 0, [4, 1, 1]),
            (json!({"minAvailable": 2}), 0, [4, 2, 0]),
            (json!({"minAvailable": "50%"}), 3, [3, 2, 0]),
            (json!({"minAvailable": "30%"}), 3, [3, 1, 1]),
            (json!({"maxUnavailable": 2}), 3, [3, 1, 1]),
            (json!({"maxUnavailable": "100%"}), 3, [3, 0, 2]),
            (json!({"maxUnavailable": 9}), 3, [3, 0, 2]),
            (json!({"maxUnavailable": 1}), 0, [0, 0, 0]),
        ] {
            let counts = Counts::of(&spec, &pods, scale);
            assert_eq!(counts, Counts { expected, desired, current: 2, allowed }, "{spec}");
        }
    }

    #[test]
    fn a_condition_keeps_its_time_while_it_holds() {
        let counts = Counts { expected: 1, desired: 1, current: 1, allowed: 0 };
        let budget = json!({"metadata": {"generation": 1}, "status": {}});
        let shown = counts.show(&budget, "one").unwrap();
        assert_eq!(shown["status"]["conditions"][0]["reason"], "InsufficientPods");
        assert_eq!(counts.show(&shown, "two"), None);
        let more = Counts { allowed: 1, ..counts }.show(&shown, "two").unwrap();
        assert_eq!(more["status"]["conditions"][0]["lastTransitionTime"], "two");
    }
}
