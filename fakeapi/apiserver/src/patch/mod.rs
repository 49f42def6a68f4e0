//! The four ways a PATCH can say what shall change, three of them here as pure functions on a
//! document: JSON patch, JSON merge patch and Kubernetes' strategic merge patch. (The fourth,
//! apply, needs field ownership and lives elsewhere.)
//!
//! A patch that fails leaves the document as it was. Texts and quirks are the real server's:
//! a JSON patch `replace` of a missing member adds it, negative indices count from the end, a
//! merge patch takes nulls out of what it adds.

mod error;
mod json;
mod merge;
mod strategic;
mod types;

pub use error::PatchError;
pub use json::{MAX_COPIED_BYTES, MAX_OPERATIONS, json_patch};
pub use merge::merge_patch;
pub use strategic::{FieldRule, MergeSchema, Strategy, strategic};
pub use types::Merged;
