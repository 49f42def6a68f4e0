//! The printers there are, in order of (group, resource). Roles, cluster roles, limit ranges,
//! storage capacities and custom resource definitions have none on purpose: the real server
//! shows them in the default form.

use super::columns as c;
use super::printer::Printer;
use super::{
    admission, autoscaling, batch, certificates, coordination, core, devices, event, machinery,
    network, node, pod, policy, rbac, scheduling, service, storage, workload,
};

const ADMISSION: &str = "admissionregistration.k8s.io";
const APPS: &str = "apps";
const AUTOSCALING: &str = "autoscaling";
const BATCH: &str = "batch";
const CERTIFICATES: &str = "certificates.k8s.io";
const COORDINATION: &str = "coordination.k8s.io";
const DISCOVERY: &str = "discovery.k8s.io";
const EVENTS: &str = "events.k8s.io";
const FLOWCONTROL: &str = "flowcontrol.apiserver.k8s.io";
const INTERNAL: &str = "internal.apiserver.k8s.io";
const MIGRATION: &str = "storagemigration.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const NODE: &str = "node.k8s.io";
const POLICY: &str = "policy";
const RBAC: &str = "rbac.authorization.k8s.io";
const REGISTRATION: &str = "apiregistration.k8s.io";
const RESOURCE: &str = "resource.k8s.io";
const SCHEDULING: &str = "scheduling.k8s.io";
const STORAGE: &str = "storage.k8s.io";

/// Sorted, since lookups halve it.
#[rustfmt::skip]
pub(super) static PRINTERS: &[Printer] = &[
    Printer::new("", "componentstatuses", c::COMPONENT_STATUS, core::component_status),
    Printer::new("", "configmaps", c::CONFIG_MAP, core::config_map),
    Printer::new("", "endpoints", c::ENDPOINTS, service::endpoints),
    Printer::new("", "events", c::EVENT, event::core),
    Printer::new("", "namespaces", c::NAMESPACE, core::namespace),
    Printer::new("", "nodes", c::NODE, node::cells),
    Printer::new("", "persistentvolumeclaims", c::PERSISTENT_VOLUME_CLAIM, storage::persistent_volume_claim),
    Printer::new("", "persistentvolumes", c::PERSISTENT_VOLUME, storage::persistent_volume),
    Printer::new("", "pods", c::POD, pod::cells).with_conditions(pod::conditions),
    Printer::new("", "podtemplates", c::POD_TEMPLATE, workload::pod_template),
    Printer::new("", "replicationcontrollers", c::REPLICATION_CONTROLLER, workload::replication_controller),
    Printer::new("", "resourcequotas", c::RESOURCE_QUOTA, core::resource_quota),
    Printer::new("", "secrets", c::SECRET, core::secret),
    Printer::new("", "serviceaccounts", c::SERVICE_ACCOUNT, core::name_and_age),
    Printer::new("", "services", c::SERVICE, service::service),
    Printer::new(ADMISSION, "mutatingadmissionpolicies", c::MUTATING_ADMISSION_POLICY, admission::mutating_policy),
    Printer::new(ADMISSION, "mutatingadmissionpolicybindings", c::MUTATING_ADMISSION_POLICY_BINDING, admission::policy_binding),
    Printer::new(ADMISSION, "mutatingwebhookconfigurations", c::MUTATING_WEBHOOK_CONFIGURATION, admission::webhooks),
    Printer::new(ADMISSION, "validatingadmissionpolicies", c::VALIDATING_ADMISSION_POLICY, admission::validating_policy),
    Printer::new(ADMISSION, "validatingadmissionpolicybindings", c::VALIDATING_ADMISSION_POLICY_BINDING, admission::policy_binding),
    Printer::new(ADMISSION, "validatingwebhookconfigurations", c::VALIDATING_WEBHOOK_CONFIGURATION, admission::webhooks),
    Printer::new(REGISTRATION, "apiservices", machinery::API_SERVICE, machinery::api_service).repeating_headers(),
    Printer::new(APPS, "controllerrevisions", c::CONTROLLER_REVISION, workload::controller_revision),
    Printer::new(APPS, "daemonsets", c::DAEMON_SET, workload::daemon_set),
    Printer::new(APPS, "deployments", c::DEPLOYMENT, workload::deployment),
    Printer::new(APPS, "replicasets", c::REPLICA_SET, workload::replica_set),
    Printer::new(APPS, "statefulsets", c::STATEFUL_SET, workload::stateful_set),
    Printer::new(AUTOSCALING, "horizontalpodautoscalers", c::HORIZONTAL_POD_AUTOSCALER, autoscaling::horizontal_pod_autoscaler),
    Printer::new(AUTOSCALING, "scales", c::SCALE, autoscaling::scale),
    Printer::new(BATCH, "cronjobs", c::CRON_JOB, batch::cron_job),
    Printer::new(BATCH, "jobs", c::JOB, batch::job),
    Printer::new(CERTIFICATES, "certificatesigningrequests", c::CERTIFICATE_SIGNING_REQUEST, certificates::signing_request),
    Printer::new(CERTIFICATES, "clustertrustbundles", c::CLUSTER_TRUST_BUNDLE, certificates::trust_bundle),
    Printer::new(CERTIFICATES, "podcertificaterequests", c::POD_CERTIFICATE_REQUEST, certificates::pod_certificate_request),
    Printer::new(COORDINATION, "leasecandidates", c::LEASE_CANDIDATE, coordination::lease_candidate),
    Printer::new(COORDINATION, "leases", c::LEASE, coordination::lease),
    Printer::new(DISCOVERY, "endpointslices", c::ENDPOINT_SLICE, service::endpoint_slice),
    Printer::new(EVENTS, "events", c::EVENT, event::events),
    Printer::new(FLOWCONTROL, "flowschemas", c::FLOW_SCHEMA, policy::flow_schema).in_order(policy::by_precedence),
    Printer::new(FLOWCONTROL, "prioritylevelconfigurations", c::PRIORITY_LEVEL_CONFIGURATION, policy::priority_level),
    Printer::new(INTERNAL, "storageversions", c::STORAGE_VERSION, machinery::storage_version),
    Printer::new(NETWORKING, "ingressclasses", c::INGRESS_CLASS, network::ingress_class),
    Printer::new(NETWORKING, "ingresses", c::INGRESS, network::ingress),
    Printer::new(NETWORKING, "ipaddresses", c::IP_ADDRESS, network::ip_address),
    Printer::new(NETWORKING, "networkpolicies", c::NETWORK_POLICY, network::network_policy),
    Printer::new(NETWORKING, "servicecidrs", c::SERVICE_CIDR, network::service_cidr),
    Printer::new(NODE, "runtimeclasses", c::RUNTIME_CLASS, policy::runtime_class),
    Printer::new(POLICY, "poddisruptionbudgets", c::POD_DISRUPTION_BUDGET, policy::pod_disruption_budget),
    Printer::new(RBAC, "clusterrolebindings", c::CLUSTER_ROLE_BINDING, rbac::binding),
    Printer::new(RBAC, "rolebindings", c::ROLE_BINDING, rbac::binding),
    Printer::new(RESOURCE, "deviceclasses", c::DEVICE_CLASS, core::name_and_age),
    Printer::new(RESOURCE, "devicetaintrules", c::DEVICE_TAINT_RULE, devices::taint_rule),
    Printer::new(RESOURCE, "resourceclaims", c::RESOURCE_CLAIM, devices::claim),
    Printer::new(RESOURCE, "resourceclaimtemplates", c::RESOURCE_CLAIM_TEMPLATE, core::name_and_age),
    Printer::new(RESOURCE, "resourcepoolstatusrequests", c::RESOURCE_POOL_STATUS_REQUEST, devices::pool_status_request),
    Printer::new(RESOURCE, "resourceslices", c::RESOURCE_SLICE, devices::slice),
    Printer::new(SCHEDULING, "podgroups", c::POD_GROUP, scheduling::pod_group),
    Printer::new(SCHEDULING, "priorityclasses", c::PRIORITY_CLASS, policy::priority_class),
    Printer::new(SCHEDULING, "workloads", c::WORKLOAD, core::name_and_age),
    Printer::new(STORAGE, "csidrivers", c::CSI_DRIVER, storage::csi_driver),
    Printer::new(STORAGE, "csinodes", c::CSI_NODE, storage::csi_node),
    Printer::new(STORAGE, "storageclasses", c::STORAGE_CLASS, storage::storage_class),
    Printer::new(STORAGE, "volumeattachments", c::VOLUME_ATTACHMENT, storage::volume_attachment),
    Printer::new(STORAGE, "volumeattributesclasses", c::VOLUME_ATTRIBUTES_CLASS, storage::volume_attributes_class),
    Printer::new(MIGRATION, "storageversionmigrations", c::STORAGE_VERSION_MIGRATION, machinery::storage_version_migration),
];

#[cfg(test)]
mod tests {
    use super::PRINTERS;

    #[test]
    fn sorted_without_doubles() {
        for pair in PRINTERS.windows(2) {
            let [a, b] = pair else { unreachable!("windows of two") };
            assert!((a.group, a.resource) < (b.group, b.resource), "{a:?} before {b:?}");
        }
    }
}
