//! The names that the reconciler knows on objects of the management cluster.
//!
//! All of ours are under one domain; the others are Cluster API's and metal3's.

/// Annotation of a Cluster: where its address is written, a list with commas of
/// `infrastructure`, `topology`, `configmap`, `annotation`, or `none`.
///
/// Without it: into the topology's variable [`ENDPOINT_VARIABLE`] where the Cluster has one, else
/// into the infrastructure cluster.
pub const WRITE_ENDPOINT: &str = "fakeapi.dev/write-endpoint";

/// Annotation of a Cluster that the reconciler writes, when [`WRITE_ENDPOINT`] names
/// `annotation`: `IP:PORT`.
pub const ENDPOINT: &str = "fakeapi.dev/endpoint";

/// Annotation of a Cluster: with the value `true`, the reconciler sets `spec.paused` to false once
/// the address is written. So a Cluster can be created with a placeholder for an address (which
/// CAPM3's webhook demands) that no controller takes for the real one.
pub const UNPAUSE: &str = "fakeapi.dev/unpause";

/// Annotation of a Cluster: with the value `ignore`, the reconciler neither registers it nor
/// touches its objects.
pub const RECONCILE: &str = "fakeapi.dev/reconcile";

/// Label of a registration: the uid of the Cluster it was made for. It tells what the reconciler
/// registered from what users did.
pub const REGISTERED_FOR: &str = "fakeapi.dev/cluster-uid";

/// Label of a registration whose Cluster is paused, for another reason than to wait for its
/// address: when that Cluster goes now, it has moved to another management cluster.
pub const WENT_PAUSED: &str = "fakeapi.dev/cluster-paused";

/// The variable of metal3's `ClusterClass` that holds the address.
pub const ENDPOINT_VARIABLE: &str = "controlPlaneEndpoint";

/// The name under which the reconciler writes fields.
pub const FIELD_MANAGER: &str = "fakeapi-reconciler";

/// Cluster API's label for what belongs to a cluster.
pub const CLUSTER_NAME_LABEL: &str = "cluster.x-k8s.io/cluster-name";

/// Cluster API's annotation that stops controllers, whatever its value.
pub const PAUSED: &str = "cluster.x-k8s.io/paused";

/// The type of Secrets that Cluster API's controllers may take over.
pub const SECRET_TYPE: &str = "cluster.x-k8s.io/secret";

/// The group of Clusters and Machines.
pub const CAPI_GROUP: &str = "cluster.x-k8s.io";

/// The group of infrastructure kinds.
pub const INFRASTRUCTURE_GROUP: &str = "infrastructure.cluster.x-k8s.io";

/// metal3's infrastructure cluster.
pub const METAL3_CLUSTER: &str = "Metal3Cluster";

/// metal3's infrastructure machine.
pub const METAL3_MACHINE: &str = "Metal3Machine";
