//! Updates of a node that a client has written to, and that therefore lives in the store.

use serde_json::{Map, Value, json};

use super::record::{ROLE_LABEL, UUID_LABEL, given};
use crate::register::{CONTROL_PLANE_LABEL, NodeSpec};

/// `stored` with what `spec` says about it: labels and uuid, providerID, the kubelet's version;
/// `None` when it says so already.
///
/// Labels are added and overwritten, never taken away: who else wrote labels is not known. What
/// clients wrote besides stays; a worker that becomes a control plane gets that one's role and
/// taint, once, so that who takes them away later is not overruled.
pub fn merge_node(stored: &Value, spec: &NodeSpec) -> Option<Value> {
    let mut labels: Vec<(&str, &str)> =
        spec.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    labels.extend(given(spec.uuid.as_deref()).map(|uuid| (UUID_LABEL, uuid)));
    let known = &stored["metadata"]["labels"][CONTROL_PLANE_LABEL];
    let promoted = spec.control_plane() && known.is_null();
    if promoted {
        labels.push((ROLE_LABEL, ""));
    }
    let mut merged = stored.clone();
    let root = merged.as_object_mut()?;
    for (key, value) in labels {
        set(root, &["metadata", "labels", key], value)?;
    }
    if let Some(provider) = &spec.provider_id {
        set(root, &["spec", "providerID"], provider)?;
    }
    if promoted {
        taint(root)?;
    }
    if let Some(version) = &spec.version {
        set(root, &["status", "nodeInfo", "kubeletVersion"], version)?;
    }
    (merged != *stored).then_some(merged)
}

/// Gives a node the taint of control planes; `None` when its taints are no list.
fn taint(node: &mut Map<String, Value>) -> Option<()> {
    let spec = node.entry("spec").or_insert_with(|| Map::new().into());
    let taints = spec.as_object_mut()?.entry("taints");
    let taints = taints.or_insert_with(|| Value::Array(Vec::new()));
    let taints = taints.as_array_mut()?;
    if !taints.iter().any(|taint| taint["key"] == ROLE_LABEL) {
        taints.push(json!({"effect": "NoSchedule", "key": ROLE_LABEL}));
    }
    Some(())
}

/// Sets a string deep in an object; `None` when something on the way is no object.
fn set(object: &mut Map<String, Value>, path: &[&str], value: &str) -> Option<()> {
    let (last, way) = path.split_last()?;
    let mut object = object;
    for step in way {
        let next = object.entry(*step).or_insert(Value::Null);
        if next.is_null() {
            *next = Map::new().into();
        }
        object = next.as_object_mut()?;
    }
    object.insert((*last).to_owned(), value.into());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn stored() -> Value {
        json!({
            "kind": "Node", "apiVersion": "v1",
            "metadata": {"name": "n", "labels": {"mine": "1", "a": "old"}},
            "spec": {"unschedulable": true},
            "status": {"nodeInfo": {"kubeletVersion": "v1.35.0", "osImage": "x"}},
        })
    }

    #[test]
    fn an_update_adds_to_what_clients_wrote() {
        let spec = NodeSpec {
            name: "n".into(),
            provider_id: Some("metal3://a/b/c".into()),
            uuid: Some("u".into()),
            labels: [("a".to_owned(), "new".to_owned())].into(),
            version: Some("v1.36.3".into()),
        };
        let merged = merge_node(&stored(), &spec).unwrap();
        assert_eq!(
            merged,
            json!({
                "kind": "Node", "apiVersion": "v1",
                "metadata": {"name": "n", "labels": {"mine": "1", "a": "new", "metal3.io/uuid": "u"}},
                "spec": {"unschedulable": true, "providerID": "metal3://a/b/c"},
                "status": {"nodeInfo": {"kubeletVersion": "v1.36.3", "osImage": "x"}},
            })
        );
        assert_eq!(merge_node(&merged, &spec), None);
    }

    #[test]
    fn nothing_said_is_nothing_changed() {
        let spec = NodeSpec { uuid: Some(String::new()), ..NodeSpec::default() };
        assert_eq!(merge_node(&stored(), &spec), None);
    }

    #[test]
    fn a_worker_that_becomes_a_control_plane_gets_role_and_taint_once() {
        let mut spec = NodeSpec::default();
        let label = CONTROL_PLANE_LABEL.to_owned();
        spec.labels.insert(label, String::new());
        let bare =
            json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n", "labels": null}});
        let mut merged = merge_node(&bare, &spec).unwrap();
        assert_eq!(merged["metadata"]["labels"][ROLE_LABEL], "");
        assert_eq!(merged["spec"]["taints"], json!([{"effect": "NoSchedule", "key": ROLE_LABEL}]));
        merged["spec"]["taints"] = json!([]);
        assert_eq!(merge_node(&merged, &spec), None);
    }
}
