//! The printers there are, in order of (group, resource).

use super::columns as c;
use super::printer::Printer;
use super::{batch, coordination, core, node, pod, service, workload};

const APPS: &str = "apps";
const BATCH: &str = "batch";
const COORDINATION: &str = "coordination.k8s.io";

/// Sorted, since lookups halve it.
pub(super) static PRINTERS: &[Printer] = &[
    Printer::new(
        "",
        "componentstatuses",
        c::COMPONENT_STATUS,
        core::component_status,
    ),
    Printer::new("", "configmaps", c::CONFIG_MAP, core::config_map),
    Printer::new("", "endpoints", c::ENDPOINTS, service::endpoints),
    Printer::new("", "namespaces", c::NAMESPACE, core::namespace),
    Printer::new("", "nodes", c::NODE, node::cells),
    Printer::new("", "pods", c::POD, pod::cells).with_conditions(pod::conditions),
    Printer::new("", "podtemplates", c::POD_TEMPLATE, workload::pod_template),
    Printer::new(
        "",
        "replicationcontrollers",
        c::REPLICATION_CONTROLLER,
        workload::replication_controller,
    ),
    Printer::new(
        "",
        "resourcequotas",
        c::RESOURCE_QUOTA,
        core::resource_quota,
    ),
    Printer::new("", "secrets", c::SECRET, core::secret),
    Printer::new(
        "",
        "serviceaccounts",
        c::SERVICE_ACCOUNT,
        core::name_and_age,
    ),
    Printer::new("", "services", c::SERVICE, service::service),
    Printer::new(
        APPS,
        "controllerrevisions",
        c::CONTROLLER_REVISION,
        workload::controller_revision,
    ),
    Printer::new(APPS, "daemonsets", c::DAEMON_SET, workload::daemon_set),
    Printer::new(APPS, "deployments", c::DEPLOYMENT, workload::deployment),
    Printer::new(APPS, "replicasets", c::REPLICA_SET, workload::replica_set),
    Printer::new(
        APPS,
        "statefulsets",
        c::STATEFUL_SET,
        workload::stateful_set,
    ),
    Printer::new(BATCH, "cronjobs", c::CRON_JOB, batch::cron_job),
    Printer::new(BATCH, "jobs", c::JOB, batch::job),
    Printer::new(
        COORDINATION,
        "leasecandidates",
        c::LEASE_CANDIDATE,
        coordination::lease_candidate,
    ),
    Printer::new(COORDINATION, "leases", c::LEASE, coordination::lease),
    Printer::new(
        "discovery.k8s.io",
        "endpointslices",
        c::ENDPOINT_SLICE,
        service::endpoint_slice,
    ),
];

#[cfg(test)]
mod tests {
    use super::PRINTERS;

    #[test]
    fn sorted_without_doubles() {
        for pair in PRINTERS.windows(2) {
            let [a, b] = pair else {
                unreachable!("windows of two")
            };
            assert!(
                (a.group, a.resource) < (b.group, b.resource),
                "{a:?} before {b:?}"
            );
        }
    }
}
