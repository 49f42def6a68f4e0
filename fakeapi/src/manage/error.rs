//! Why a piece of work failed.

use super::clusters::ClustersError;
use crate::serve::BoxError;

/// Why a piece of work failed. It comes again.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkError {
    /// fakeapi did not do its part.
    #[error(transparent)]
    Clusters(#[from] ClustersError),
    /// The management cluster did not do its part.
    #[error("the management cluster refused {what}")]
    Management {
        /// What was asked for.
        what: String,
        /// Why it did not.
        #[source]
        source: kube::Error,
    },
    /// A Secret does not hold an authority, or none could be made.
    #[error("Secret {secret} cannot be used")]
    Secret {
        /// The Secret.
        secret: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// An annotation has a value that means nothing.
    #[error("annotation {annotation} names {word:?}, which is no place for an address")]
    Annotation {
        /// The annotation.
        annotation: &'static str,
        /// The word.
        word: String,
    },
    /// Nobody has registered the cluster yet.
    #[error("nobody has registered the cluster yet")]
    NotRegistered,
    /// There is no infrastructure cluster yet to write the address into.
    #[error("there is no infrastructure cluster yet to write the address into")]
    NoInfrastructure,
    /// The cluster's control plane boots.
    #[error("the cluster's control plane is not there yet: it boots")]
    Booting,
    /// It took too long.
    #[error("it took longer than {0} s")]
    Late(u64),
}

impl WorkError {
    /// Whether nothing is wrong: something else must come first, of which no event tells.
    pub(super) fn is_wait(&self) -> bool {
        matches!(self, Self::NotRegistered | Self::NoInfrastructure | Self::Booting)
    }
}
