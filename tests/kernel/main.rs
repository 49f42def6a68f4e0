//! Tests against the running kernel: need root, make their own network namespaces, and run on a
//! guest that has nothing but this binary.
//!
//! `cargo test -p fakeapi-tests --test kernel -- --test-threads=1`

mod edge_trial;
mod namespace;
