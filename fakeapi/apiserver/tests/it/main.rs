//! The server as its clients meet it: requests in, responses out, in one process.

#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, not in what tests share")]

mod access;
mod create;
mod defaults;
mod delete;
mod discovery;
mod garbage;
mod harness;
mod namespace;
mod patch;
mod portforward;
mod read;
mod store;
mod subresource;
mod transport;
mod update;
mod watch;
