//! The program from outside: the real binary, real sockets, real files.
//!
//! `cargo test -p fakeapi-tests --test it`
//!
//! Most need no privileges: the kernel side is off and all addresses are of the loopback link.
//! Those in `root` need root and make a network namespace of their own. A test that cannot run
//! prints `SKIP name: why`; with `FAKEAPI_NO_SKIP` in the environment that is a failure.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod abuse;
mod behaviour;
mod drain;
mod durability;
mod fkas;
mod management;
mod nodes;
mod recovery;
mod registration;
mod root;
mod serving;
mod shutdown;
mod tunnels;
