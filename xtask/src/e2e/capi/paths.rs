//! Where objects are in the management cluster's API.

use serde_json::Value;

/// Core kinds of Cluster API.
pub(super) const CORE: &str = "/apis/cluster.x-k8s.io/v1beta2";
/// The kubeadm control-plane provider's.
pub(super) const CONTROL_PLANE: &str = "/apis/controlplane.cluster.x-k8s.io/v1beta2";
/// The kubeadm bootstrap provider's.
pub(super) const BOOTSTRAP: &str = "/apis/bootstrap.cluster.x-k8s.io/v1beta2";
/// The test's own infrastructure provider's.
pub(super) const INFRASTRUCTURE: &str = "/apis/infrastructure.cluster.x-k8s.io/v1alpha1";
/// A text within an object, empty where there is none.
pub(super) fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The status of a condition, and its reason and message.
pub(super) fn condition<'a>(value: &'a Value, kind: &str) -> Option<(&'a str, String)> {
    let conditions = value["status"]["conditions"].as_array()?;
    let condition = conditions.iter().find(|condition| condition["type"] == kind)?;
    let told = format!(
        "{} is {}: {}: {}",
        kind,
        text(condition, "/status"),
        text(condition, "/reason"),
        text(condition, "/message").replace('\n', "; ")
    );
    Some((condition["status"].as_str()?, told))
}
