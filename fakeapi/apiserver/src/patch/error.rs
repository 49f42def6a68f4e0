//! Why a patch was refused, sorted by the status code the server answers with.

/// A patch that was not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch is not of its format.
    #[error("{0}")]
    Malformed(String),
    /// More operations than one JSON patch may have.
    #[error("The allowed maximum operations in a JSON patch is {allowed}, got {got}")]
    TooManyOperations {
        /// [`MAX_OPERATIONS`](super::MAX_OPERATIONS).
        allowed: usize,
        /// What the patch has.
        got: usize,
    },
    /// The patch is well formed but does not fit the document, or its `test` failed.
    #[error("{0}")]
    Unfit(String),
    /// A strategic merge patch that contradicts itself or the schema: the server has no better
    /// answer than an internal error.
    #[error("{0}")]
    Contradictory(String),
}

impl PatchError {
    /// The HTTP status code of the refusal.
    pub fn code(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::TooManyOperations { .. } => 413,
            Self::Unfit(_) => 422,
            Self::Contradictory(_) => 500,
        }
    }
}
