//! Kubernetes API machinery as a library: a request comes in, a response goes out, and what
//! lies between is the real server's behaviour over a [`storage`](crate::storage) of your own.
//!
//! The crate knows nothing of clusters, addresses or transports.

#![forbid(unsafe_code)]

pub mod auth;
pub mod body;
pub mod catalog;
mod codec;
mod conversion;
mod counts;
mod discovery;
mod finish;
pub mod generated;
mod impersonate;
pub mod json;
pub mod kubelet;
pub mod names;
pub mod negotiate;
pub mod openapi;
pub mod patch;
pub mod protobuf;
pub mod quantity;
pub mod rbac;
pub mod render;
pub mod request;
pub mod selector;
mod server;
pub mod status;
pub mod storage;
pub mod streams;
pub mod table;
pub mod types;
mod verbs;
pub mod yaml;

pub use codec::MAX_BODY;
pub use counts::{RequestCount, RequestCounts};
pub use server::{ApiServer, BODY_DEADLINE, Call, Closing};
