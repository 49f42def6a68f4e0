//! The program from outside: the real binary, real sockets, real files.
//!
//! `cargo test -p fakeapi-tests --test it`
//!
//! Needs no privileges: the kernel side is off and all addresses are of the loopback link. Tests
//! that need more say `SKIP name: why`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod abuse;
mod durability;
mod management;
mod nodes;
mod registration;
mod serving;
mod shutdown;
