//! Which objects a request means: label selectors and field selectors.
//!
//! Every list, watch and deletecollection goes through here, and so do controllers that read
//! `spec.selector`. Parsing follows the real server's grammar to its error texts, because
//! clients print them.

mod error;
mod field;
pub mod fields;
mod label;
mod label_json;
mod label_parse;

pub use error::SelectorError;
pub use field::{FieldRequirement, FieldSelector};
pub use label::{LabelSelector, Operator, Requirement};

#[cfg(test)]
mod tests;
