//! etcd's gRPC services, generated: see NOTICE.
#![expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    missing_docs,
    reason = "written by a generator with rules of its own"
)]

/// The services and what they say.
pub mod etcdserverpb {
    include!("etcdserverpb.rs");
}

/// Key-value pairs and their events.
pub mod mvccpb {
    include!("mvccpb.rs");
}

/// Users and roles.
pub mod authpb {
    include!("authpb.rs");
}
