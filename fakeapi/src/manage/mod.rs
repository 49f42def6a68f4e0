//! The management cluster: the real one that says which clusters there should be.

mod authorities;

pub use authorities::ManagementCluster;
