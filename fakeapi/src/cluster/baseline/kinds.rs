//! The resources behind the kinds of the baseline.

use std::sync::LazyLock;

use apiserver::storage::ResourceId;

/// Resources that this part names itself.
#[derive(Debug)]
pub struct Resources {
    /// `nodes`
    pub nodes: ResourceId,
    /// `pods`
    pub pods: ResourceId,
    /// `leases.coordination.k8s.io`
    pub leases: ResourceId,
    /// `configmaps`
    pub configmaps: ResourceId,
    /// `services`
    pub services: ResourceId,
    /// `endpoints`
    pub endpoints: ResourceId,
    /// `endpointslices.discovery.k8s.io`
    pub slices: ResourceId,
    /// `daemonsets.apps`
    pub daemonsets: ResourceId,
    /// `deployments.apps`
    pub deployments: ResourceId,
    /// `replicasets.apps`
    pub replicasets: ResourceId,
}

/// The resources that this part names itself.
pub static RESOURCES: LazyLock<Resources> = LazyLock::new(|| Resources {
    nodes: ResourceId::of("", "nodes"),
    pods: ResourceId::of("", "pods"),
    leases: ResourceId::of("coordination.k8s.io", "leases"),
    configmaps: ResourceId::of("", "configmaps"),
    services: ResourceId::of("", "services"),
    endpoints: ResourceId::of("", "endpoints"),
    slices: ResourceId::of("discovery.k8s.io", "endpointslices"),
    daemonsets: ResourceId::of("apps", "daemonsets"),
    deployments: ResourceId::of("apps", "deployments"),
    replicasets: ResourceId::of("apps", "replicasets"),
});

/// The resource of a kind, when the baseline may hold it.
pub(super) fn resource(api_version: &str, kind: &str) -> Option<ResourceId> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let resource = match (group, kind) {
        ("", "ConfigMap") => "configmaps",
        ("", "Endpoints") => "endpoints",
        ("", "Namespace") => "namespaces",
        ("", "Service") => "services",
        ("", "ServiceAccount") => "serviceaccounts",
        ("apps", "ControllerRevision") => "controllerrevisions",
        ("apps", "DaemonSet") => "daemonsets",
        ("apps", "Deployment") => "deployments",
        ("apps", "ReplicaSet") => "replicasets",
        ("discovery.k8s.io", "EndpointSlice") => "endpointslices",
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => "flowschemas",
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => {
            "prioritylevelconfigurations"
        }
        ("networking.k8s.io", "ServiceCIDR") => "servicecidrs",
        ("rbac.authorization.k8s.io", "ClusterRole") => "clusterroles",
        ("rbac.authorization.k8s.io", "ClusterRoleBinding") => "clusterrolebindings",
        ("rbac.authorization.k8s.io", "Role") => "roles",
        ("rbac.authorization.k8s.io", "RoleBinding") => "rolebindings",
        ("scheduling.k8s.io", "PriorityClass") => "priorityclasses",
        _ => return None,
    };
    Some(ResourceId::of(group, resource))
}
