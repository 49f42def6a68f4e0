//! Kinds that are served in several versions and kept in one.
//!
//! Of the released kinds only autoscaling's has versions of different form: v2 is kept, v1 is a
//! view of it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::catalog::Resource;
use crate::storage::Object;

/// The version of autoscaling that is kept.
const KEPT: &str = "autoscaling/v2";
const VIEW: &str = "autoscaling/v1";

/// A stored object in the version of `resource`.
pub(crate) fn served(object: &Arc<Object>, resource: &Resource) -> Arc<Object> {
    if !is_view(resource) {
        return object.clone();
    }
    Arc::new(Object::encode(&hpa_to_v1(object.value())))
}

/// Stored objects in the version of `resource`.
pub(crate) fn served_all(objects: Vec<Arc<Object>>, resource: &Resource) -> Vec<Arc<Object>> {
    if !is_view(resource) {
        return objects;
    }
    objects.iter().map(|object| served(object, resource)).collect()
}

/// An object as it came, in the version in which it is kept.
pub(crate) fn kept(value: Value, resource: &Resource) -> Value {
    if is_view(resource) { hpa_to_v2(value) } else { value }
}

fn is_view(resource: &Resource) -> bool {
    resource.group == "autoscaling" && resource.version == "v1"
}

/// v2 to v1: the one CPU utilisation target that v1 can say.
fn hpa_to_v1(mut hpa: Value) -> Value {
    hpa["apiVersion"] = VIEW.into();
    if let Some(spec) = hpa.get_mut("spec").and_then(Value::as_object_mut) {
        let metrics = spec.remove("metrics");
        spec.remove("behavior");
        let target = metrics.as_ref().and_then(Value::as_array).and_then(|metrics| {
            metrics
                .iter()
                .find(|m| m["resource"]["name"] == "cpu")
                .and_then(|m| m["resource"]["target"]["averageUtilization"].as_i64())
        });
        if let Some(target) = target {
            spec.insert("targetCPUUtilizationPercentage".into(), target.into());
        }
    }
    if let Some(status) = hpa.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("currentMetrics");
        status.remove("conditions");
    }
    hpa
}

fn hpa_to_v2(mut hpa: Value) -> Value {
    hpa["apiVersion"] = KEPT.into();
    if let Some(spec) = hpa.get_mut("spec").and_then(Value::as_object_mut)
        && let Some(target) = spec.remove("targetCPUUtilizationPercentage")
    {
        let metric = json!({
            "type": "Resource",
            "resource": {
                "name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": target},
            },
        });
        spec.insert("metrics".into(), json!([metric]));
    }
    if let Some(status) = hpa.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("currentCPUUtilizationPercentage");
    }
    hpa
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_v1_autoscaler_comes_back_as_it_was_sent() {
        let v1 = json!({
            "apiVersion": VIEW, "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
            "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 80},
        });
        let v2 = hpa_to_v2(v1.clone());
        assert_eq!(v2["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 80);
        assert_eq!(hpa_to_v1(v2), v1);
    }
}
