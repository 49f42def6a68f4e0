//! What one fake cluster is made of: who it is, what it holds before anyone writes to it, and
//! which nodes it has.
//!
//! A cluster costs what makes it different from the next one. Everything else is a template that
//! the whole process shares, rendered when somebody reads.

pub mod base;
pub mod baseline;
pub mod identity;
pub mod kubeconfig;
pub mod members;
pub mod nodes;
pub mod template;
