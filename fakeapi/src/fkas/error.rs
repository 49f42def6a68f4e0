//! Why a control request was refused, and the only place that chooses its code and text.
//!
//! For the requests FKAS knows, code and body are FKAS's own, even where a better code exists: its
//! callers may compare them. The cause, which FKAS only logs, goes into a header beside the body.

use http::StatusCode;

use super::answer::Answer;
use super::go_json::InvalidJson;
use super::pem_text::BadCa;
use super::with_causes;
use crate::behaviour::BehaviourError;
use crate::register::{NotAClusterName, RegisterError};

/// Why a control request was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum ControlError {
    /// No such path.
    #[error("404 page not found")]
    NoSuchPath,
    /// The path does not know the method.
    #[error("Method not allowed")]
    Method {
        /// The methods it knows.
        allow: &'static str,
    },
    /// The body is not JSON of the right types.
    #[error(transparent)]
    Json(#[from] InvalidJson),
    /// The body is too long.
    #[error("Request body is larger than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// The body broke off.
    #[error("Request body could not be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A CA in the request cannot be used.
    #[error(transparent)]
    Ca(#[from] BadCa),
    /// `resource` is not a name.
    #[error("resource is not NAMESPACE/NAME")]
    Resource(#[from] NotAClusterName),
    /// Some other value of the request is wrong.
    #[error("{field} {problem}")]
    Value {
        /// Where it stands.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Registering failed.
    #[error("{}", registering_text(source, *address_asked))]
    Register {
        /// Whether the request named an address.
        address_asked: bool,
        /// Why.
        source: RegisterError,
    },
    /// Adding or changing a node failed.
    #[error("{}", node_text(node, source))]
    Node {
        /// The node.
        node: String,
        /// Why.
        source: RegisterError,
    },
    /// Something FKAS does not know failed.
    #[error("{}", with_causes(source))]
    Other {
        /// Why.
        source: RegisterError,
    },
    /// A rule of behaviour was not taken.
    #[error("{}", with_causes(.0))]
    Behaviour(#[from] BehaviourError),
    /// The task that did the work is gone.
    #[error("Internal error")]
    Task(#[from] tokio::task::JoinError),
}

impl ControlError {
    /// The code it is answered with.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Json(_)
            | Self::Body(_)
            | Self::Ca(_)
            | Self::Resource(_)
            | Self::Value { .. } => StatusCode::BAD_REQUEST,
            Self::Register { address_asked, source } => registering_status(source, *address_asked),
            Self::Node { source, .. } => node_status(source),
            Self::Other { source } => other_status(source),
            Self::Behaviour(error) => behaviour_status(error),
            Self::Task(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the text leaves out.
    fn cause(&self) -> Option<String> {
        let text = self.to_string();
        match self {
            Self::Register { source, .. } | Self::Node { source, .. } => {
                Some(with_causes(source)).filter(|cause| !text.contains(cause.as_str()))
            }
            Self::Body(source) => Some(with_causes(&**source)),
            _ => None,
        }
    }

    /// The text of one item in the answer to an array, where there is no header for the cause.
    pub(super) fn item_text(&self) -> String {
        match self.cause() {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }
}

impl From<ControlError> for Answer {
    fn from(error: ControlError) -> Self {
        let answer = Self::failure(error.status(), &error.to_string()).because(error.cause());
        match error {
            ControlError::Method { allow } => answer.allowing(allow),
            _ => answer,
        }
    }
}

/// What a caller itself got wrong when registering, which FKAS had no way to say.
fn callers_fault(source: &RegisterError, address_asked: bool) -> bool {
    match source {
        RegisterError::Invalid { .. } | RegisterError::Authority { .. } => true,
        RegisterError::Address { .. } => address_asked,
        _ => false,
    }
}

fn registering_text(source: &RegisterError, address_asked: bool) -> String {
    match source {
        _ if callers_fault(source, address_asked) => with_causes(source),
        RegisterError::Address { .. } => "Failed to initialize listener".to_owned(),
        _ => "Failed to register resource group to listener".to_owned(),
    }
}

fn registering_status(source: &RegisterError, address_asked: bool) -> StatusCode {
    match source {
        RegisterError::Address { .. } if address_asked => StatusCode::CONFLICT,
        _ if callers_fault(source, address_asked) => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn node_text(node: &str, source: &RegisterError) -> String {
    match source {
        RegisterError::UnknownCluster(_) => "Workload Cluster does not exist".to_owned(),
        RegisterError::NotActivated(_) => "Workload Cluster has not been activated".to_owned(),
        RegisterError::Secret { .. } => format!("Error adding node: {node}"),
        RegisterError::Authority { which: "etcd", .. } => "Failed to generate etcdKey".to_owned(),
        RegisterError::Authority { .. } => "Failed to add API server".to_owned(),
        _ => format!("Error adding node: {node} {}", with_causes(source)),
    }
}

fn node_status(source: &RegisterError) -> StatusCode {
    match source {
        RegisterError::Invalid { .. } => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn behaviour_status(error: &BehaviourError) -> StatusCode {
    match error {
        BehaviourError::Unknown(_) => StatusCode::NOT_FOUND,
        BehaviourError::Invalid(_) => StatusCode::BAD_REQUEST,
        BehaviourError::TooMany => StatusCode::CONFLICT,
        BehaviourError::Write { .. }
        | BehaviourError::Read { .. }
        | BehaviourError::Form { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn other_status(source: &RegisterError) -> StatusCode {
    match source {
        RegisterError::UnknownCluster(_) | RegisterError::UnknownNode { .. } => {
            StatusCode::NOT_FOUND
        }
        RegisterError::NotActivated(_) | RegisterError::Address { .. } => StatusCode::CONFLICT,
        RegisterError::Invalid { .. } | RegisterError::Authority { .. } => StatusCode::BAD_REQUEST,
        RegisterError::Secret { .. } | RegisterError::Failed(..) => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::ClusterName;

    fn because(text: &str) -> Box<dyn std::error::Error + Send + Sync> {
        text.into()
    }

    fn name() -> ClusterName {
        ClusterName::new("ns", "c")
    }

    fn authority(which: &'static str) -> RegisterError {
        RegisterError::Authority { cluster: name(), which, source: because("not a key") }
    }

    fn address() -> RegisterError {
        RegisterError::Address { cluster: name(), source: because("pool is empty") }
    }

    fn secret() -> RegisterError {
        RegisterError::Secret { cluster: name(), secret: "c-ca".into(), source: because("403") }
    }

    fn invalid() -> RegisterError {
        RegisterError::Invalid { field: "version", message: "is no version".into() }
    }

    #[test]
    fn node_texts_are_fkas_own() {
        for (source, status, text, cause) in [
            (
                RegisterError::UnknownCluster(name()),
                500,
                "Workload Cluster does not exist",
                Some("cluster ns/c is not registered"),
            ),
            (
                RegisterError::NotActivated(name()),
                500,
                "Workload Cluster has not been activated",
                Some("cluster ns/c has no control-plane node yet"),
            ),
            (
                secret(),
                500,
                "Error adding node: n",
                Some("Secret c-ca of cluster ns/c could not be read: 403"),
            ),
            (
                authority("etcd"),
                500,
                "Failed to generate etcdKey",
                Some("the etcd CA of cluster ns/c cannot be used: not a key"),
            ),
            (
                authority("cluster"),
                500,
                "Failed to add API server",
                Some("the cluster CA of cluster ns/c cannot be used: not a key"),
            ),
            (
                RegisterError::Failed("journal", because("disk full")),
                500,
                "Error adding node: n journal: disk full",
                None,
            ),
            (invalid(), 400, "Error adding node: n version: is no version", None),
        ] {
            let error = ControlError::Node { node: "n".into(), source };
            assert_eq!((error.status().as_u16(), error.to_string().as_str()), (status, text));
            assert_eq!(error.cause().as_deref(), cause, "{text}");
        }
    }

    #[test]
    fn register_texts() {
        for (source, asked, status, text) in [
            (address(), false, 500, "Failed to initialize listener"),
            (address(), true, 409, "no address for cluster ns/c: pool is empty"),
            (secret(), false, 500, "Failed to register resource group to listener"),
            (
                RegisterError::Failed("journal", because("disk full")),
                true,
                500,
                "Failed to register resource group to listener",
            ),
            (
                authority("etcd"),
                false,
                400,
                "the etcd CA of cluster ns/c cannot be used: not a key",
            ),
            (invalid(), false, 400, "version: is no version"),
        ] {
            let error = ControlError::Register { address_asked: asked, source };
            assert_eq!((error.status().as_u16(), error.to_string().as_str()), (status, text));
            assert_eq!(error.cause().is_some(), status == 500, "{text}");
        }
    }
}
