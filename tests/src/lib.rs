//! The harness of the outside tests.
